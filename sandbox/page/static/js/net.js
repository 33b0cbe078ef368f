/** The way to the sandbox: reading, acting, and following what changes. */

/** What did not work: `message`, `why`, and `cure`, each a sentence. */
export class Trouble extends Error {
  constructor({ error, why = "", cure = "" }) {
    super(error);
    this.why = why;
    this.cure = cure;
  }
}

const AWAY = {
  error: "The sandbox could not be reached.",
  why: "It has ended, or is busy.",
  cure: "Look at the terminal where it runs; the page goes on by itself when it is back.",
};

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Trouble(AWAY);
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble({ error: `The sandbox answered ${answer.status}.`, ...said });
  return said;
}

export function get(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return asked(`/api/${path}?${new URLSearchParams(given)}`, {});
}

export function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Requested-With": "cdm" };
  return asked(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

/** Do what a person does. Trouble where it cannot be done, or the app did not take it. */
export async function act(name, body) {
  const said = await post(`act/${name}`, body);
  if (said.error) throw new Trouble(said);
}

const AGAIN_MS = 2000;

/** Follow one person's changes after number `since`. `onBatch(batch)`; `onLost()` when all must be read anew;
 *  `onConnection(isThere)`. Answers with a function that ends it. */
export function follow({ user, since, run, onBatch, onLost, onConnection }) {
  let source = null;
  let timer = 0;
  let seq = since;
  const connect = () => {
    source = new EventSource(`/api/stream?${new URLSearchParams({ user, since: seq })}`);
    source.addEventListener("hello", ({ data }) => {
      onConnection(true);
      if (JSON.parse(data).run !== run) onLost();
    });
    source.addEventListener("batch", ({ data }) => {
      const batch = JSON.parse(data);
      seq = batch.seq ?? seq;
      onBatch(batch);
    });
    source.addEventListener("reset", () => onLost());
    source.onerror = () => {
      onConnection(false);
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(connect, AGAIN_MS);
    };
  };
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
