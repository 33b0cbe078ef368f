/** The thread pane: a message and its replies, beside the channel. */

import { Composer } from "./composer.js";
import { find } from "./dom.js";
import { MessageList, PAGE } from "./list.js";
import { isDismissed } from "./memory.js";
import { get } from "./net.js";
import { tellTrouble } from "./notices.js";

export class Thread {
  /** `tried(act, body)` does something and tells what did not work. */
  constructor({ user, tried, onNew }) {
    this.user = user;
    this.onNew = onNew;
    this.ts = "";
    this.channel = null;
    this.list = null;
    this.composer = new Composer(find("thread-composer"), {
      id: "thread-composer", label: "Reply in the thread", send: (text) => this.reply(text, tried),
    });
  }

  async open(channel, ts, isFresh) {
    if (!isFresh && ts === this.ts && channel.id === this.channel?.id) return;
    this.list?.close();
    this.ts = ts;
    this.channel = channel;
    find("thread").hidden = false;
    find("thread-name").textContent = `Thread in ${channel.im ? channel.name : `#${channel.name}`}`;
    this.composer.aim("Reply…", channel.archived ? "This channel is archived: nobody can write here." : "");
    let isPinned = false;
    const list = new MessageList(find("thread-messages"), {
      load: async ({ before }) => {
        const page = await get("thread", { user: this.user(), channel: channel.id, ts, before, limit: PAGE });
        if (!isPinned) list.pin(page.parent);
        isPinned = true;
        return page;
      },
      options: { inThread: true },
      isHidden: (message) => message.ephemeral && isDismissed(this.user(), message.ts),
      onNew: this.onNew,
    });
    this.list = list;
    try {
      await list.open();
      // On a touch screen the focus would bring up the keyboard, over what there is to read.
      if (matchMedia("(hover: hover)").matches) this.composer.focus();
      else find("thread").querySelector("[data-close]").focus();
    } catch (trouble) {
      tellTrouble(trouble);
    }
  }

  close() {
    this.list?.close();
    this.list = null;
    this.ts = "";
    find("thread").hidden = true;
  }

  apply(messages, gone) {
    if (!this.list) return;
    const parent = messages.find((message) => message.ts === this.ts);
    if (parent) this.list.pin(parent);
    this.list.apply(messages.filter((message) => message.thread_ts === this.ts), gone);
  }

  remove(ts) {
    this.list?.remove(ts);
    this.list?.frame();
  }

  async reply(text, tried) {
    if (text.startsWith("/")) {
      tellTrouble({ message: "Commands do not work in threads.", why: "Slack has none there.", cure: "Type it in the channel." });
      return false;
    }
    await this.list.toNewest();
    return tried("post", { channel: this.channel.id, text, thread_ts: this.ts });
  }
}
