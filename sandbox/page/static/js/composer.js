/** The box for messages and commands: completes commands, remembers what was typed, sends with Enter. */

import { counted, fill, make } from "./dom.js";

const KEPT = 50;
const LISTED = 8;

export class Composer {
  /** `send(text)` resolves to whether it was sent; if not, the text comes back. `completions` are
   *  [{usage, does}]; none where commands cannot be typed. */
  constructor(host, { id, label, completions = () => [], send }) {
    this.completions = completions;
    this.send = send;
    this.history = [];
    this.at = 0;
    this.chosen = -1;
    this.offered = [];
    this.isFromHistory = false;
    this.list = make("ul", { id: `${id}-list`, role: "listbox", class: "completions", "aria-label": "Commands", hidden: true });
    this.text = make("textarea", {
      id: `${id}-text`, rows: 1, autocomplete: "off", spellcheck: "false", enterkeyhint: "send",
      "aria-autocomplete": "list", "aria-controls": `${id}-list`, "aria-label": label,
    });
    this.told = make("p", { class: "unseen", role: "status" });
    this.button = make("button", { type: "submit", class: "send", "aria-label": "Send" }, "➤");
    this.form = make("form", { class: "composer-form" }, this.text, this.button);
    host.replaceChildren(this.list, this.form, this.told);
    this.text.addEventListener("input", () => this.typed());
    this.text.addEventListener("keydown", (event) => this.pressed(event));
    this.text.addEventListener("blur", () => setTimeout(() => this.offer([]), 150));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) this.accept(Number(option.dataset.number));
    });
  }

  /** Where it writes to; null where nobody may write. */
  aim(label, why = "") {
    this.text.placeholder = why || label;
    this.text.setAttribute("aria-label", why || label);
    this.text.disabled = this.button.disabled = why !== "";
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  typed() {
    this.isFromHistory = false;
    this.grow();
    this.offer(this.matching());
  }

  /** As high as its text, up to eight lines. */
  grow() {
    this.text.rows = Math.min(8, this.text.value.split("\n").length);
  }

  matching() {
    const typed = this.text.value;
    if (!typed.startsWith("/") || typed.includes("\n")) return [];
    const words = typed.toLowerCase().split(/\s+/);
    return this.completions().filter(({ usage }) => {
      const parts = usage.split(" ");
      return words.every((word, number) => {
        const part = parts[number];
        if (part === undefined) return /…|name/.test(parts.at(-1)) || word === "";
        return /^[<[]/.test(part) || (number < words.length - 1 ? part === word : part.startsWith(word));
      });
    }).slice(0, LISTED);
  }

  offer(offered) {
    this.offered = offered;
    this.chosen = -1;
    this.list.hidden = !offered.length;
    this.told.textContent = offered.length ? `${counted(offered.length, "command")}. Arrow down to choose.` : "";
    this.show();
  }

  show() {
    fill(this.list, ...this.offered.map(({ usage, does }, number) => make("li", {
      id: `${this.list.id}-${number}`, role: "option", "data-number": number, "aria-selected": String(number === this.chosen),
    }, make("code", {}, usage), make("span", { class: "note" }, does))));
    if (this.chosen < 0) this.text.removeAttribute("aria-activedescendant");
    else this.text.setAttribute("aria-activedescendant", `${this.list.id}-${this.chosen}`);
    this.list.children[this.chosen]?.scrollIntoView({ block: "nearest" });
  }

  accept(number) {
    const words = this.offered[number].usage.split(" ");
    const open = words.findIndex((word) => /^[<[]/.test(word));
    this.put(open < 0 ? words.join(" ") : `${words.slice(0, open).join(" ")} `);
    this.offer([]);
    this.focus();
  }

  put(text) {
    this.text.value = text;
    this.text.setSelectionRange(text.length, text.length);
    this.grow();
  }

  pressed(event) {
    if (event.isComposing) return;
    const isOpen = !this.list.hidden;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (isOpen && this.chosen >= 0) this.accept(this.chosen);
      else this.submit();
    } else if (event.key === "Tab" && !event.shiftKey && isOpen && this.text.value.trim() !== this.offered[0].usage) {
      event.preventDefault();
      this.accept(Math.max(0, this.chosen));
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      event.stopPropagation();
      this.offer([]);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.arrow(event, event.key === "ArrowDown" ? 1 : -1, isOpen);
    }
  }

  arrow(event, step, isOpen) {
    if (isOpen && !this.isFromHistory) {
      event.preventDefault();
      const count = this.offered.length;
      this.chosen = this.chosen < 0 ? (step > 0 ? 0 : count - 1) : (this.chosen + step + count) % count;
      this.show();
    } else if ((this.text.value === "" || this.isFromHistory) && this.history.length) {
      const at = this.at + step;
      if (at < 0 || at > this.history.length) return;
      event.preventDefault();
      this.at = at;
      this.put(this.history[at] ?? "");
      this.isFromHistory = at < this.history.length;
    }
  }

  async submit() {
    const text = this.text.value.trim();
    if (!text) return;
    this.offer([]);
    this.history = [...this.history.filter((said) => said !== text), text].slice(-KEPT);
    this.at = this.history.length;
    this.isFromHistory = false;
    this.put("");
    const isSent = await this.send(text);
    if (!isSent && !this.text.value) this.put(text);
  }
}
