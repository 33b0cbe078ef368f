/** What this browser remembers of one run of the sandbox: what was read, what was dismissed. */

const PREFIX = "cdm:";

let run = "";

/** Begin with a run; what is remembered of others is forgotten. */
export function begin(current) {
  run = current;
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX) && !key.startsWith(`${PREFIX}${run}:`) && !key.startsWith(`${PREFIX}always:`)) {
      localStorage.removeItem(key);
    }
  }
}

const recall = (key) => JSON.parse(localStorage.getItem(PREFIX + key) ?? "null");
const keep = (key, value) => localStorage.setItem(PREFIX + key, JSON.stringify(value));

/** How many messages of each channel the person has read: {channel: count}. */
export const readCounts = (user) => recall(`${run}:read:${user}`) ?? {};

export function markRead(user, channel, count) {
  const counts = readCounts(user);
  if (counts[channel] !== count) keep(`${run}:read:${user}`, { ...counts, [channel]: count });
}

export const isDismissed = (user, ts) => (recall(`${run}:dismissed:${user}`) ?? []).includes(ts);

export function dismiss(user, ts) {
  keep(`${run}:dismissed:${user}`, [...(recall(`${run}:dismissed:${user}`) ?? []), ts]);
}

export const setting = (name) => recall(`always:${name}`);
export const setSetting = (name, value) => keep(`always:${name}`, value);
