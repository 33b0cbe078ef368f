/** The page: who one is, where one is, and what changes there. */

import { MessageList, PAGE } from "./list.js";
import { Composer } from "./composer.js";
import { bindControls } from "./controls.js";
import { find, make, morphChildren, parsed } from "./dom.js";
import { begin, dismiss, isDismissed, markRead, readCounts, setSetting, setting } from "./memory.js";
import { inOneLine } from "./message.js";
import { Modals } from "./modals.js";
import { act, follow, get } from "./net.js";
import { ask, tellTrouble } from "./notices.js";
import { arrange, bindPanes, closeDrawer, giveWorld } from "./panes.js";
import { Pending } from "./pending.js";
import { HOME, placeName, showPeople, showPlaces, Switcher } from "./sidebar.js";
import { Thread } from "./thread.js";
import { localize } from "./times.js";
import { bindWorld, showWorld } from "./world.js";

const AGAIN_MS = 2000;
const MOVING_TIMES_MS = 20_000;
const APP = "CDM sandbox";

/** As the server has it (`/api/workspace`), kept up to date; `place` is a channel's name in the address, or "home". */
let state = null;
let place = "";
let list = null;
let stopFollowing = () => {};
let starts = 0;
const drafts = new Map();

const user = () => state.user;
const person = () => state.people.find(({ id }) => id === state.user);
const channelNamed = (name) => state.channels.find((one) => placeName(one) === name || one.id === name);
const channel = () => channelNamed(place);
const isWatched = () => document.visibilityState === "visible" && place !== HOME;

const address = (where, thread = "") => `#/${[person().name, where, thread].filter(Boolean).map(encodeURIComponent).join("/")}`;
const addressed = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

const goTo = (where, thread = "") => { location.hash = address(where, thread); };

function unread(one) {
  return Math.max(0, one.posted - (readCounts(user())[one.id] ?? 0));
}

// beginning

async function start() {
  stopFollowing();
  starts += 1;
  const mine = starts;
  const [name = ""] = addressed();
  const found = await get("workspace", { user: name }).catch(() => null);
  if (mine !== starts) return;
  if (!found) {
    showConnection(false);
    setTimeout(() => mine === starts && start(), AGAIN_MS);
    return;
  }
  state = found;
  showConnection(true);
  begin(state.run);
  showPeople(state);
  if (state.world) giveWorld();
  modals.show(state.modals);
  await route(true);
  if (mine !== starts) return;
  stopFollowing = follow({
    user: state.user, since: state.seq, run: state.run, onBatch: (batch) => pending.add(batch), onLost: start,
    onConnection: showConnection,
  });
}

function showConnection(isThere) {
  const line = find("connection");
  line.textContent = isThere ? "" : "Not connected, trying again. What you see may be old.";
  line.classList.toggle("shown", !isThere);
}

/** Show what the address says. */
async function route(isFresh = false) {
  const [name = "", where = "", ts = ""] = addressed();
  if (!isFresh && name !== person().name && name !== user()) return start();
  const known = where === HOME ? HOME : channelNamed(where) ? placeName(channelNamed(where)) : "";
  const wanted = known || placeName(channelNamed(state.start) ?? state.channels[0] ?? { name: HOME });
  if (wanted !== where || name !== person().name) history.replaceState(null, "", address(wanted, known ? ts : ""));
  if (isFresh || wanted !== place) await showPlace(wanted);
  if (wanted !== place) return; // another was asked for meanwhile
  await (ts && place !== HOME ? thread.open(channel(), ts, isFresh) : thread.close());
  arrange();
  showSidebar();
}

async function showPlace(wanted) {
  closeDrawer();
  if (place) drafts.set(place, composer.text.value);
  place = wanted;
  list?.close();
  list = null;
  find("home").hidden = place !== HOME;
  find("channel").hidden = place === HOME;
  const one = channel();
  find("place-name").textContent = place === HOME ? state.bot.name : `${one.im ? "" : "#"}${one.name}`;
  find("place-about").textContent = place === HOME ? "Home" : one.im ? "direct message" : about(one);
  if (place === HOME) return openHome();
  find("messages").setAttribute("aria-label", `Messages in ${find("place-name").textContent}`);
  composer.aim(`Message ${find("place-name").textContent}`, one.archived ? `#${one.name} is archived: nobody can write here.` : "");
  composer.put(drafts.get(place) ?? "");
  list = new MessageList(find("messages"), {
    load: (from) => get("messages", { user: user(), channel: one.id, limit: PAGE, ...from }),
    isHidden: (message) => message.ephemeral && isDismissed(user(), message.ts),
    onRead: markPlaceRead,
    onNew: announce,
  });
  return list.open().catch(tellTrouble);
}

const about = (one) => [one.private ? "private" : "", `${one.people} members`, one.archived ? "archived" : ""].filter(Boolean).join(", ");

function markPlaceRead() {
  if (!isWatched() || !channel()) return;
  markRead(user(), channel().id, channel().posted);
  showSidebar();
}

function showSidebar() {
  const total = showPlaces({ ...state, place, unread, address });
  document.title = `${total ? `(${total}) ` : ""}${find("place-name").textContent} · ${person().name} · ${APP}`;
}

function announce(messages) {
  const foreign = messages.filter((message) => message.author.id !== user());
  if (!foreign.length) return;
  const line = foreign.length > 2 ? `${foreign.length} new messages` : foreign.map(inOneLine).join(". ");
  find("announcer").replaceChildren(make("p", {}, line));
}

// the app's home

async function openHome() {
  showHome(state.home);
  await act("open_home", { user: user() }).catch(tellTrouble);
}

function showHome(home) {
  state.home = home;
  if (place !== HOME) return;
  const next = make("form");
  next.append(home ? parsed(home.html) : make("p", { class: "note" }, "The app has not shown anything here yet."));
  localize(next);
  morphChildren(find("home").querySelector("form"), next);
}

// what changes

const pending = new Pending((batch) => {
  if (batch.channels) state.channels = batch.channels;
  if (batch.channels && place !== HOME && !channel()) route();
  const here = channel()?.id;
  const mine = batch.messages.filter((message) => message.channel === here);
  const gone = batch.gone.filter(([where]) => where === here).map(([, ts]) => ts);
  list?.apply(mine.filter((message) => !message.thread_ts || message.broadcast), gone);
  thread.apply(mine, gone);
  if (batch.modals) modals.show(batch.modals);
  if (batch.home) showHome(batch.home);
  if (batch.world) showWorld(batch.world);
  if (batch.channels) {
    list?.told();
    showSidebar();
  }
});

// what people do

const modals = new Modals(user);

const commands = () => state.completions.map(({ usage }) => usage.split(" ")[0]);

/** Do it; tells what did not work, and answers whether it did. */
async function tried(name, body) {
  try {
    await act(name, { user: user(), ...body });
    return true;
  } catch (trouble) {
    tellTrouble(trouble);
    return false;
  }
}

async function send(text) {
  await list?.toNewest();
  const where = channel().id;
  if (!text.startsWith("/")) return tried("post", { channel: where, text });
  const [, command, rest] = text.match(/^(\S+)\s*([\s\S]*)$/);
  if (commands().length && !commands().includes(command)) {
    tellTrouble({ message: `${command} is not a command here.`, why: `There is ${[...new Set(commands())].join(", ")}.`, cure: "Type / to see what can be said." });
    return false;
  }
  return tried("slash", { channel: where, command, text: rest });
}

const composer = new Composer(find("composer"), {
  id: "composer", label: "Message", completions: () => state?.completions ?? [], send,
});
const thread = new Thread({ user, tried, onNew: announce });
const switcher = new Switcher({
  goTo,
  places: () => [
    ...state.channels.map((one) => ({ place: placeName(one), label: `${one.im ? "" : "#"}${one.name}`, unread: unread(one) })),
    { place: HOME, label: `${state.bot.name}: Home`, unread: 0 },
  ],
});

const closeThread = () => {
  const { channel: where, ts } = thread;
  goTo(place);
  const parent = find("messages").querySelector(`[data-channel="${where.id}"][data-ts="${ts}"]`);
  (parent?.querySelector(".replies") ?? parent ?? find("messages")).focus({ preventScroll: true });
};

async function doWith(what, message) {
  const { channel: where, ts } = message.dataset;
  if (what === "thread") goTo(place, message.dataset.thread ?? ts);
  else if (what === "dismiss") {
    dismiss(user(), ts);
    list?.remove(ts);
    list?.frame();
    thread.remove(ts);
    composer.focus();
  } else if (what === "delete" && await ask({
    title: "Delete this message?", text: "It is deleted for everybody, as an administrator of the workspace can.",
    confirm: "Delete", deny: "Keep it", style: "danger",
  })) tried("delete", { channel: where, ts });
}

function bind() {
  bindControls({ user, goTo: (id) => channelNamed(id) && goTo(placeName(channelNamed(id))) });
  bindPanes({ closeThread });
  bindWorld();
  addEventListener("hashchange", () => state && route());
  document.addEventListener("visibilitychange", () => list?.told());
  document.addEventListener("submit", (event) => event.target.matches(".content, #home form") && event.preventDefault());
  document.addEventListener("click", (event) => {
    const does = event.target.closest("[data-do]");
    const skip = event.target.closest("[data-skip]");
    if (does) doWith(does.dataset.do, does.closest(".message"));
    else if (skip) {
      event.preventDefault();
      find(skip.dataset.skip).focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog:modal")) return;
    event.preventDefault();
    switcher.open();
  });
  find("go-to").addEventListener("click", () => switcher.open());
  find("go-to-key").textContent = /Mac|iP/.test(navigator.platform) ? "⌘K" : "Ctrl K";
  find("person").addEventListener("change", ({ target }) => {
    const other = state.people.find(({ id }) => id === target.value);
    location.hash = `#/${encodeURIComponent(other.name)}/${encodeURIComponent(place)}`;
  });
  bindTheme();
}

function bindTheme() {
  const choose = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  find("theme").value = setting("theme") ?? "";
  choose(find("theme").value);
  find("theme").addEventListener("change", ({ target }) => {
    setSetting("theme", target.value);
    choose(target.value);
  });
}

bind();
setInterval(() => localize(document), MOVING_TIMES_MS); // "3 minutes ago", "yesterday"
start();
