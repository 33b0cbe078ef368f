/** The person's modals: a stack of dialogs that follows the server's, and keeps what was typed. */

import { filledIn } from "./controls.js";
import { make, morphChildren, parsed } from "./dom.js";
import { act } from "./net.js";
import { tellTrouble } from "./notices.js";
import { localize } from "./times.js";

export class Modals {
  /** `user()` is who has them. */
  constructor(user) {
    this.user = user;
    this.dialogs = new Map();
    this.closing = null;
  }

  /** Show the stack as the server has it, the last on top. */
  show(views) {
    const wanted = new Set(views.map(({ id }) => id));
    for (const [id, dialog] of [...this.dialogs].reverse()) {
      if (wanted.has(id)) continue;
      this.dialogs.delete(id);
      dialog.close();
      dialog.remove();
    }
    for (const view of views) this.put(view);
  }

  put(view) {
    const known = this.dialogs.get(view.id);
    const dialog = known ?? this.opened(view);
    const inner = dialog.querySelector(".modal-view");
    const held = inner.contains(document.activeElement) ? document.activeElement.getAttribute("name") : null;
    const next = make("div");
    next.append(parsed(view.html));
    localize(next);
    morphChildren(inner, next);
    if (!view.trouble) dialog.querySelector(".modal-trouble").textContent = "";
    dialog.setAttribute("aria-label", view.title || "Dialog");
    inner.removeAttribute("aria-busy");
    if (!known) {
      dialog.showModal();
      focusFirst(inner);
    } else if (Object.keys(view.errors).length) {
      inner.querySelector("[aria-invalid=true]")?.focus();
    } else if (dialog === topmost() && !document.activeElement.closest(".modal-view *")) {
      focusFirst(inner, held);
    }
  }

  opened(view) {
    const dialog = make("dialog", { class: "modal", "data-view": view.id },
      make("div", { class: "modal-view", tabindex: "-1" }),
      make("p", { class: "modal-trouble", role: "alert" }),
      make("div", { class: "dialog-toasts" }));
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(dialog, event.target);
    });
    dialog.addEventListener("click", ({ target }) => {
      if (target.closest("[data-close-view]")) this.close();
    });
    document.body.append(dialog);
    this.dialogs.set(view.id, dialog);
    return dialog;
  }

  async close() {
    if (this.closing) return;
    this.closing = act("close_view", { user: this.user() }).catch(tellTrouble);
    await this.closing;
    this.closing = null;
  }

  async submit(dialog, form) {
    const inner = dialog.querySelector(".modal-view");
    if (inner.getAttribute("aria-busy")) return;
    inner.setAttribute("aria-busy", "true");
    const buttons = [...dialog.querySelectorAll("button[type=submit]")];
    buttons.forEach((button) => { button.disabled = true; });
    dialog.querySelector(".modal-trouble").textContent = "";
    try {
      await act("submit_view", { user: this.user(), values: filledIn(form) });
    } catch (failed) {
      dialog.querySelector(".modal-trouble").textContent = `${failed.message} ${failed.why} ${failed.cure}`;
    } finally {
      inner.removeAttribute("aria-busy");
      buttons.forEach((button) => { button.disabled = false; });
    }
  }
}

const topmost = () => [...document.querySelectorAll("dialog:modal")].at(-1);

/** The control named `held` if there is one, else where one begins. */
function focusFirst(inner, held = null) {
  const same = held && inner.querySelector(`[name="${CSS.escape(held)}"]`);
  (same || (inner.querySelector("[autofocus]") ?? inner.querySelector(FIELD) ?? inner)).focus();
}

const FIELD = "input:not([type=hidden]), select, textarea, button:not([data-close-view])";
