/** A long list of messages of which a window is in the document: pages come and go at its ends as the reader scrolls. */

import { counted, make, morph } from "./dom.js";
import { dayDivider, goesOn, messageElement } from "./message.js";
import { dateOf, dayOf } from "./times.js";

export const PAGE = 50;
const MOST = 300;
const NEAR_PX = 60;
const AGAIN_MS = 2000;
const AHEAD = "800px 0px";

export class MessageList {
  /** `load({before, after})` answers with a page {messages, more_before, more_after}. `isHidden(message)` leaves one
   *  out, `onRead()` is called when the newest message is on the screen, `onNew(messages)` for what arrives. */
  constructor(scroller, { load, options = {}, isHidden = () => false, onRead = () => {}, onNew = () => {} }) {
    this.scroller = scroller;
    this.load = load;
    this.options = options;
    this.isHidden = isHidden;
    this.onRead = onRead;
    this.onNew = onNew;
    this.items = [];
    this.elements = new Map();
    this.moreBefore = false;
    this.moreAfter = false;
    this.newest = "";
    this.missed = 0;
    this.isStuck = true;
    this.loading = null;
    this.waiting = [];
    this.ended = new AbortController();
    this.pinned = make("div", { class: "pinned" });
    this.top = make("div", { class: "end" });
    this.bottom = make("div", { class: "end" });
    this.body = make("div", { class: "list" });
    this.bar = make("button", { type: "button", class: "new-bar", hidden: true });
    scroller.replaceChildren(this.pinned, this.top, this.body, this.bottom, this.bar);
    this.bar.addEventListener("click", () => this.toNewest());
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true, signal: this.ended.signal });
    this.sizes = new ResizeObserver(() => this.isStuck && this.toBottom());
    this.sizes.observe(scroller);
    this.sizes.observe(this.body);
    this.ends = new IntersectionObserver((seen) => this.reached(seen), { root: scroller, rootMargin: AHEAD });
  }

  close() {
    this.ended.abort();
    this.sizes.disconnect();
    this.ends.disconnect();
    this.scroller.replaceChildren();
  }

  /** Show the newest page. */
  async open() {
    const page = await this.loaded({});
    if (!page) return;
    this.items = [];
    this.elements.clear();
    this.body.replaceChildren();
    this.moreBefore = page.more_before;
    this.moreAfter = false;
    this.isStuck = true;
    this.insert(page.messages);
    this.toBottom();
    this.caughtUp();
  }

  /** A page, or null if the list was closed meanwhile. What changes until `caughtUp` waits, for the page may be older. */
  async loaded(from) {
    this.loading = this.load(from);
    try {
      const page = await this.loading;
      return this.ended.signal.aborted ? null : page;
    } catch (trouble) {
      setTimeout(() => this.caughtUp(), AGAIN_MS);
      throw trouble;
    }
  }

  caughtUp() {
    const waited = this.waiting;
    this.waiting = [];
    this.loading = null;
    this.watchEnds();
    waited.forEach(([messages, gone]) => this.apply(messages, gone));
    this.told();
  }

  /** Keep a message above all others: the parent of a thread. */
  pin(message) {
    const element = messageElement(message, this.options);
    const shown = this.pinned.firstElementChild;
    if (shown) this.inPlace(() => morphMessage(shown, element));
    else this.pinned.append(element);
  }

  /** What changed: `messages` with their present state, and the ts of those that are gone. */
  apply(messages, gone) {
    if (this.loading) {
      this.waiting.push([messages, gone]);
      return;
    }
    const arrived = messages.filter((m) => m.ts > this.newest && !this.elements.has(m.ts));
    const fits = messages.filter((m) => this.elements.has(m.ts) || this.isWithin(m.ts));
    if (!fits.length && !arrived.length && !gone.some((ts) => this.elements.has(ts))) return;
    this.inPlace(() => {
      gone.forEach((ts) => this.remove(ts));
      this.insert(fits);
      if (this.isStuck) this.dropBefore();
    });
    this.newest = arrived.reduce((most, m) => (m.ts > most ? m.ts : most), this.newest);
    if (arrived.length) {
      if (!this.isStuck) this.missed += arrived.length;
      this.onNew(arrived);
    }
    this.told();
  }

  async toNewest() {
    if (this.moreAfter) await this.open();
    this.isStuck = true;
    this.toBottom();
    this.told();
  }

  isWithin(ts) {
    if (!this.items.length) return !this.moreAfter;
    return (ts > this.items[0].ts || !this.moreBefore) && (ts < this.items.at(-1).ts || !this.moreAfter);
  }

  insert(messages) {
    for (const message of messages) {
      if (this.isHidden(message)) {
        this.remove(message.ts);
        continue;
      }
      const shown = this.elements.get(message.ts);
      const at = this.place(message.ts);
      const element = messageElement(message, this.options);
      if (shown) {
        element.classList.toggle("goes-on", shown.classList.contains("goes-on"));
        morphMessage(shown, element);
        this.items[at] = message;
      } else {
        this.items.splice(at, 0, message);
        this.elements.set(message.ts, element);
        measured(element);
        this.body.insertBefore(element, at + 1 < this.items.length ? this.startOf(this.items[at + 1]) : null);
      }
      if (message.ts > this.newest && !this.moreAfter) this.newest = message.ts;
    }
    this.frame();
  }

  startOf(message) {
    const element = this.elements.get(message.ts);
    return element.previousSibling?.classList.contains("day") ? element.previousSibling : element;
  }

  place(ts) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].ts < ts) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  remove(ts) {
    const element = this.elements.get(ts);
    if (!element) return;
    element.remove();
    this.elements.delete(ts);
    this.items.splice(this.place(ts), 1);
  }

  /** Day dividers, and messages that go on under the head of the one before. */
  frame() {
    let before = null;
    for (const message of this.items) {
      const element = this.elements.get(message.ts);
      const isNewDay = !before || dayOf(dateOf(before.ts)) !== dayOf(dateOf(message.ts));
      let previous = element.previousSibling;
      while (previous?.classList.contains("day") && (!isNewDay || previous.previousSibling?.classList.contains("day"))) {
        previous.remove();
        previous = element.previousSibling;
      }
      if (isNewDay && !previous?.classList.contains("day")) this.body.insertBefore(dayDivider(message.ts), element);
      element.classList.toggle("goes-on", !isNewDay && goesOn(before, message));
      before = message;
    }
    while (this.body.lastChild?.classList?.contains("day")) this.body.lastChild.remove();
  }

  dropBefore() {
    if (this.items.length <= MOST) return;
    this.items.slice(0, this.items.length - MOST).forEach((message) => this.remove(message.ts));
    this.moreBefore = true;
    this.frame();
  }

  dropAfter() {
    if (this.items.length <= MOST) return;
    this.items.slice(MOST).forEach((message) => this.remove(message.ts));
    this.moreAfter = true;
    this.frame();
  }

  async reached(seen) {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting || this.loading) continue;
      if (target === this.top && this.moreBefore) await this.grow("before").catch(() => {});
      else if (target === this.bottom && this.moreAfter) await this.grow("after").catch(() => {});
    }
  }

  async grow(way) {
    const page = await this.loaded({ [way]: way === "before" ? this.items[0]?.ts : this.items.at(-1)?.ts });
    if (!page) return;
    this.inPlace(() => {
      this.insert(page.messages);
      if (way === "before") {
        this.moreBefore = page.more_before;
        this.dropAfter();
      } else {
        this.moreAfter = page.more_after;
        this.dropBefore();
      }
    });
    this.caughtUp();
  }

  /** An end that stays in sight after a page came must be told of again. */
  watchEnds() {
    this.ends.disconnect();
    if (this.ended.signal.aborted) return;
    this.ends.observe(this.top);
    this.ends.observe(this.bottom);
  }

  /** Change the list while what the reader looks at stays where it is. */
  inPlace(change) {
    const anchor = this.isStuck && !this.moreAfter ? null : this.lookedAt();
    const was = anchor?.getBoundingClientRect().top;
    this.scroller.classList.add("changing");
    change();
    if (!anchor) this.toBottom();
    else if (anchor.isConnected) this.scroller.scrollTop += anchor.getBoundingClientRect().top - was;
    requestAnimationFrame(() => this.scroller.classList.remove("changing"));
  }

  /** The message under the mouse or with the focus, which must not slip away from a press; else the first in sight. */
  lookedAt() {
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const isInSight = (element) => {
      const box = element.getBoundingClientRect();
      return box.bottom > top && box.top < bottom;
    };
    const held = [":hover", ":focus-within"].map((how) => this.body.querySelector(`.message${how}`));
    return held.find((one) => one && isInSight(one)) ?? this.items.map((m) => this.elements.get(m.ts)).find(isInSight);
  }

  toBottom() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.isStuck = !this.moreAfter && scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.told();
  }

  told() {
    if (this.isStuck && !this.moreAfter) {
      this.missed = 0;
      this.onRead();
    }
    this.bar.hidden = this.isStuck && !this.moreAfter;
    this.bar.textContent = this.missed ? `${counted(this.missed, "new message")} ↓` : "To the newest ↓";
    this.bar.classList.toggle("has-new", this.missed > 0);
  }
}

/** Rendered for a moment even out of sight, so that its height is known and nothing jumps when it comes in sight. */
function measured(element) {
  element.classList.add("fresh");
  requestAnimationFrame(() => requestAnimationFrame(() => element.classList.remove("fresh")));
}

/** A press may take away its own button: the focus stays with the message then. */
function morphMessage(shown, element) {
  const hadFocus = shown.contains(document.activeElement);
  morph(shown, element);
  if (hadFocus && !shown.contains(document.activeElement)) shown.focus({ preventScroll: true });
}
