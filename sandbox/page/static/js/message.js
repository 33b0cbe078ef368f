/** One message as an element. Everything it does is done by delegation, so it can be replaced part by part. */

import { counted, make, parsed } from "./dom.js";
import { dateOf, dayName, dayOf, localize, timeOfDay } from "./times.js";

const TINTS = 6;

/** An `<article>`; `inThread` leaves out the way into the thread it is already in. */
export function messageElement(message, { inThread = false } = {}) {
  const article = make("article", {
    class: classes(message),
    "data-key": message.ts,
    "data-channel": message.channel,
    "data-ts": message.ts,
    "data-thread": message.thread_ts,
    tabindex: "-1",
    "aria-label": `${message.author.name}, ${timeOfDay(dateOf(message.ts))}`,
  },
    make("div", { class: `avatar tint-${tint(message.author.id)}`, "aria-hidden": "true" }, initial(message.author)),
    make("div", { class: "message-body" }, head(message), ...body(message), foot(message, inThread)),
    message.deleted || message.ephemeral ? null : tools(message, inThread),
  );
  return localize(article);
}

function classes(message) {
  const more = [message.ephemeral && "only-you", message.error && "failed", message.deleted && "deleted"];
  return ["message", ...more.filter(Boolean)].join(" ");
}

const initial = (author) => (author.bot ? "⚙" : author.name[0].toUpperCase());

function tint(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  return sum % TINTS;
}

function head(message) {
  const date = dateOf(message.ts);
  const when = { class: "at", datetime: date.toISOString(), title: date.toLocaleString() };
  return make("h3", { class: "by" },
    make("span", { class: "author" }, message.author.name),
    message.author.bot ? make("span", { class: "app-mark" }, "app") : null,
    make("time", when, timeOfDay(date)),
    message.broadcast && message.thread_ts ? make("span", { class: "note" }, "replied in a thread") : null,
  );
}

function body(message) {
  if (message.deleted) return [make("p", { class: "note" }, "This message was deleted.")];
  const parts = [];
  if (message.ephemeral) {
    parts.push(make("p", { class: "note" }, "Only visible to you ",
      make("button", { type: "button", class: "link", "data-do": "dismiss" }, "Dismiss")));
  }
  const content = make("form", { class: "content", novalidate: true });
  content.append(parsed(message.html));
  if (message.edited) content.append(make("span", { class: "edited" }, "(edited)"));
  return [...parts, content, ...message.files.map(fileCard)];
}

function fileCard(file) {
  const link = make("a", { href: file.url, download: file.name }, "Save");
  return make("figure", { class: "file", "data-key": file.id },
    make("figcaption", {}, make("span", { class: "file-name" }, file.title || file.name),
      make("span", { class: "note" }, `${file.name} · ${size(file.size)}`), link),
    file.preview === null ? null : make("details", {},
      make("summary", {}, file.cut ? "Show the beginning" : "Show"),
      make("pre", { tabindex: "0" }, file.preview + (file.cut ? "\n…" : ""))),
  );
}

function size(bytes) {
  if (bytes < 1000) return counted(bytes, "byte");
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function foot(message, inThread) {
  const reactions = message.reactions.map(({ html, count }) => {
    const mark = make("span", { class: "reaction" });
    mark.append(parsed(html), ` ${count}`);
    return mark;
  });
  const thread = inThread || !message.replies ? null : make("button", {
    type: "button", class: "link replies", "data-do": "thread",
  }, counted(message.replies.count, "reply", "replies"), make("span", { class: "note" }, lastReply(message.replies.last)));
  return make("div", { class: "foot" }, ...reactions, thread);
}

function lastReply(ts) {
  const date = dateOf(ts);
  const day = dayOf(date) === dayOf(new Date()) ? "" : `${dayName(date)} `;
  return `, last ${day}${timeOfDay(date)}`;
}

function tools(message, inThread) {
  const button = (what, label) => make("button", { type: "button", class: "tool", "data-do": what }, label);
  return make("div", { class: "tools" }, inThread ? null : button("thread", "Reply in thread"), button("delete", "Delete"));
}

export const dayDivider = (ts) =>
  make("div", { class: "day", role: "separator" }, make("span", {}, dayName(dateOf(ts))));

/** Whether a message goes on where the one before stops: of the same person, within five minutes. */
export function goesOn(before, message) {
  return !message.author.bot && before?.author.id === message.author.id && !before.deleted && !message.broadcast
    && Number(message.ts) - Number(before.ts) < 300;
}

/** What a screen reader is told of a new message. */
export function inOneLine(message) {
  const text = parsed(message.html).textContent.replace(/\s+/g, " ").trim();
  return `${message.author.name}: ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`;
}
