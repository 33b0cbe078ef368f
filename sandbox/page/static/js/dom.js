/** Making elements, and changing them without losing what the reader did to them. */

export const find = (id) => document.getElementById(id);

/** An element with attributes (false and null leave one out) and children (texts or nodes; null is skipped). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Nodes of HTML that the server rendered. */
export function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** What the reader or a waiting act has set. */
const KEPT = new Set(["open", "aria-busy"]);
/** Not data-block: Slack makes up a new one with every edit. */
const NAMED = ["id", "name", "label", "data-key", "data-action", "data-value", "value", "for"];

/** Make the children and attributes of `old` those of `next`, keeping every node that is still there: so the focus,
 *  open menus, typed text and a press that has begun survive. `next` is used up. */
export function morph(old, next) {
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, next);
}

export function morphChildren(old, next) {
  let at = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    let same = at;
    while (same && !isSame(same, wanted)) same = same.nextSibling;
    if (!same || (same !== at && !identity(wanted))) {
      old.insertBefore(wanted, at);
      continue;
    }
    while (at !== same) at = removed(at);
    at = same.nextSibling;
    if (wanted.nodeType === Node.ELEMENT_NODE) morph(same, wanted);
    else if (same.data !== wanted.data) same.data = wanted.data;
  }
  while (at) at = removed(at);
}

function removed(node) {
  const following = node.nextSibling;
  node.remove();
  return following;
}

function isSame(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && identity(one) === identity(other);
}

function identity(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  const names = NAMED.map((name) => (name === "value" && node.localName !== "option" && node.type !== "radio"
    && node.type !== "checkbox" ? "" : node.getAttribute(name) ?? ""));
  const block = node.classList.contains("bk-block") ? node.className : ""; // so that a row of buttons stays one
  return [block, ...names].join("\u0000").replace(/^\u0000+$/, "");
}

/** Make these the children of the element, keeping those that are there already. */
export function fill(element, ...children) {
  const next = make(element.localName, {}, ...children);
  morphChildren(element, next);
}

/** "1 reply", "3 replies" */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
