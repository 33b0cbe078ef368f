/** What the page itself says and asks: notices of what did not work, and questions before a dangerous act. */

import { find, make } from "./dom.js";

const SHOWN_MS = { trouble: 12_000, news: 5_000 };
const MOST = 3;

/** Tell what happened, why, and what to do. It goes by itself, unless the reader is at it. */
export function tellTrouble(trouble) {
  tell("trouble", trouble.message, trouble.why, trouble.cure);
}

export function tellNews(text) {
  tell("news", text);
}

function tell(kind, ...lines) {
  const texts = lines.filter(Boolean).map((line, number) => make("p", { class: number ? "" : "toast-what" }, line));
  const close = make("button", { type: "button", class: "plain", "aria-label": "Close the notice" }, "✕");
  const toast = make("div", { class: `toast ${kind}`, role: kind === "trouble" ? "alert" : "status" },
    make("div", {}, ...texts), close);
  const away = () => (toast.matches(":hover, :focus-within") ? setTimeout(away, 2000) : toast.remove());
  close.addEventListener("click", () => toast.remove());
  setTimeout(away, SHOWN_MS[kind]);
  // Above an open dialog nothing else can be seen or pressed, so the notice goes into it.
  const top = [...document.querySelectorAll("dialog:modal")].at(-1);
  const place = top?.querySelector(".dialog-toasts") ?? find("toasts");
  place.append(toast);
  while (place.children.length > MOST) place.firstElementChild.remove();
}

/** Ask; resolves to true for yes. `question` is {title, text, confirm, deny, style}, of plain texts. */
export function ask(question) {
  const yes = make("button", { type: "submit", value: "yes", class: `bk-button ${question.style === "danger" ? "bk-danger" : "bk-primary"}` },
    question.confirm || "Yes");
  const no = make("button", { type: "submit", value: "", class: "bk-button" }, question.deny || "Cancel");
  const dialog = make("dialog", { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
    make("form", { method: "dialog" },
      make("h2", { id: "confirm-title" }, question.title || "Are you sure?"),
      make("p", { id: "confirm-text" }, question.text),
      make("div", { class: "dialog-buttons" }, no, yes)));
  document.body.append(dialog);
  dialog.showModal();
  no.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
