/** Batches put together until the next frame, so that however many come, the page is changed once. */

const HIDDEN_MS = 500;

export class Pending {
  /** `show({messages, gone, channels, modals, home, world})` gets the last state of each. */
  constructor(show) {
    this.show = show;
    this.messages = new Map();
    this.gone = new Map();
    this.rest = {};
    this.isPlanned = false;
  }

  add({ messages = [], gone = [], seq: _, ...rest }) {
    for (const message of messages) {
      const key = `${message.channel} ${message.ts}`;
      this.messages.set(key, message);
      this.gone.delete(key);
    }
    for (const [channel, ts] of gone) {
      this.gone.set(`${channel} ${ts}`, [channel, ts]);
      this.messages.delete(`${channel} ${ts}`);
    }
    Object.assign(this.rest, rest);
    this.plan();
  }

  /** No frames are drawn for a page that is not looked at, and its title must go on. */
  plan() {
    if (this.isPlanned) return;
    this.isPlanned = true;
    if (document.visibilityState === "visible") requestAnimationFrame(() => this.flush());
    setTimeout(() => this.flush(), HIDDEN_MS);
  }

  flush() {
    if (!this.isPlanned) return;
    this.isPlanned = false;
    const batch = { messages: [...this.messages.values()], gone: [...this.gone.values()], ...this.rest };
    this.messages.clear();
    this.gone.clear();
    this.rest = {};
    this.show(batch);
  }
}
