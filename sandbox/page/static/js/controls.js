/** Buttons, menus and inputs of Block Kit: what a person does with them becomes an act. */

import { act } from "./net.js";
import { ask, tellTrouble } from "./notices.js";

const waiting = new WeakSet();
const before = new WeakMap();

/** Bind them all, wherever they appear. `user()` is who acts, `goTo(channel)` shows a channel. */
export function bindControls({ user, goTo }) {
  const perform = async (element, value) => {
    if (waiting.has(element)) return;
    if (element.dataset.confirm && !(await ask(JSON.parse(element.dataset.confirm)))) {
      restore(element);
      return;
    }
    waiting.add(element);
    element.setAttribute("aria-busy", "true");
    try {
      const [name, body] = address(element);
      await act(name, { user: user(), ...body, action_id: element.dataset.action, value });
      remember(element);
    } catch (trouble) {
      restore(element);
      tellTrouble(trouble);
    } finally {
      waiting.delete(element);
      element.removeAttribute("aria-busy");
    }
  };
  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-act]");
    if (!element || !isPressed(element)) return;
    if (element.dataset.act === "goto") {
      goTo(element.dataset.channel);
      return;
    }
    closeMenu(element.closest("details.bk-overflow"));
    perform(element, element.dataset.value ?? null);
  });
  document.addEventListener("focusin", ({ target }) => target.matches?.("[data-act=choose]") && remember(target));
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-act=choose]")) return;
    const value = chosen(target);
    if (value !== null) perform(target, value);
  });
  bindMenus();
}

const isPressed = (element) => element.dataset.act === "press" || element.dataset.act === "goto"
  || (element.dataset.act === "choose" && ["button", "a"].includes(element.localName));

/** Which act presses this element, and where. */
function address(element) {
  const modal = element.closest("dialog[data-view]");
  if (modal) return ["click_in_view", { values: filledIn(modal) }];
  if (element.closest("#home")) return ["click_in_view", { home: true }];
  const { channel, ts } = element.closest(".message").dataset;
  return ["click", { channel, ts }];
}

/** What a control holds, as Slack would send it; null for nothing. */
export function chosen(control) {
  const kind = control.dataset.type;
  if (kind === "checkboxes") return several(siblings(control).filter((box) => box.checked).map((box) => box.value));
  if (kind === "radio_buttons") return siblings(control).find((box) => box.checked)?.value ?? null;
  if (control.multiple) return several([...control.selectedOptions].map((option) => option.value));
  if (kind === "datetimepicker") return control.value ? Math.floor(new Date(control.value).getTime() / 1000) : null;
  if (kind.startsWith("multi_")) return several(control.value.split(",").map((one) => one.trim()).filter(Boolean));
  if (control.value === "" || kind === "file_input") return null;
  return kind === "rich_text_input" ? richText(control.value) : control.value;
}

/** By block for inputs, which have one control each; by action elsewhere. What is empty and was preset is sent empty. */
export function filledIn(form) {
  const filled = {};
  for (const control of form.querySelectorAll("[name][data-type]")) {
    const name = control.closest(".bk-input") ? control.dataset.block : control.name;
    const value = chosen(control);
    if (value !== null) filled[name] = value;
    else if (isCleared(control)) filled[name] = "";
  }
  return filled;
}

const isCleared = (control) => control.localName !== "select" && control.type !== "radio" && Boolean(control.defaultValue);

const richText = (text) => ({
  type: "rich_text", elements: [{ type: "rich_text_section", elements: [{ type: "text", text }] }],
});

const several = (values) => (values.length === 1 ? values[0] : values);

const siblings = (control) => [...control.closest("fieldset").querySelectorAll("input")];

const isTicked = (control) => control.type === "checkbox" || control.type === "radio";

function remember(control) {
  before.set(control, isTicked(control) ? control.checked : control.value);
}

/** Put a control back to what it held before a choice that did not come to pass. */
function restore(control) {
  if (!before.has(control)) return;
  control[isTicked(control) ? "checked" : "value"] = before.get(control);
}

/** Folded menus: one open at a time, arrow keys within, Escape and a press elsewhere close. */
function bindMenus() {
  document.addEventListener("toggle", ({ target }) => {
    if (!target.matches?.("details.bk-overflow") || !target.open) return;
    document.querySelectorAll("details.bk-overflow[open]").forEach((other) => other !== target && closeMenu(other));
    const items = menuItems(target);
    items[0]?.focus({ preventScroll: true });
    items.at(-1)?.scrollIntoView({ block: "nearest" });
  }, true);
  document.addEventListener("pointerdown", ({ target }) => {
    document.querySelectorAll("details.bk-overflow[open]").forEach((menu) => menu.contains(target) || closeMenu(menu));
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.("details.bk-overflow[open]");
    if (!menu) return;
    const items = menuItems(menu);
    const at = items.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape") {
      event.stopPropagation();
      closeMenu(menu, true);
    } else if (event.key === "Tab") {
      closeMenu(menu);
      return;
    } else if (next === undefined) {
      return;
    } else {
      items.at(next % items.length).focus();
    }
    event.preventDefault();
  }, true);
}

const menuItems = (menu) => [...menu.querySelectorAll("[data-act]")];

function closeMenu(menu, isFocusKept = menu?.contains(document.activeElement)) {
  if (!menu) return;
  menu.open = false;
  if (isFocusKept) menu.querySelector("summary").focus({ preventScroll: true });
}
