/** Sidebar, thread and world: columns where there is room, drawers where there is none. */

import { find } from "./dom.js";
import { setting, setSetting } from "./memory.js";

const narrow = matchMedia("(max-width: 799px)");
const covering = matchMedia("(max-width: 1023px)"); // the thread covers the channel
const wide = matchMedia("(min-width: 1200px)");
const roomy = matchMedia("(min-width: 1500px)");

let drawer = "";
let opener = null;
let hasWorld = false;

const isThreadOpen = () => !find("thread").hidden;
const isColumn = (name) => (name === "sidebar" ? !narrow.matches
  : wide.matches && (roomy.matches || !isThreadOpen()));

/** Put everything in its place, after the width or what is open has changed. */
export function arrange() {
  if (drawer && isColumn(drawer)) drawer = "";
  const isWorldColumn = hasWorld && isColumn("world") && setting("world") !== "closed";
  find("world").hidden = !isWorldColumn && drawer !== "world";
  document.body.classList.toggle("world-column", isWorldColumn);
  document.body.classList.toggle("has-thread", isThreadOpen());
  for (const name of ["sidebar", "world"]) {
    find(name).classList.toggle("drawer", drawer === name);
    document.querySelector(`[data-open=${name}]`).setAttribute("aria-expanded",
      String(drawer === name || (name === "world" && isWorldColumn)));
  }
  find("backdrop").hidden = !drawer;
  find("main").inert = drawer !== "" || (covering.matches && isThreadOpen());
  find("thread").inert = drawer !== "";
  find("sidebar").inert = drawer === "world";
}

export function bindPanes({ closeThread }) {
  for (const query of [narrow, covering, wide, roomy]) query.addEventListener("change", arrange);
  document.addEventListener("click", ({ target }) => {
    const opens = target.closest("[data-open]");
    const closes = target.closest("[data-close]");
    if (opens) toggle(opens.dataset.open, opens);
    else if (closes?.dataset.close === "thread") closeThread();
    else if (closes) shut(closes.dataset.close);
    else if (target === find("backdrop")) closeDrawer();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog:modal")) return;
    if (drawer) closeDrawer();
    else if (isThreadOpen()) closeThread();
  });
}

/** There is a world to show. */
export function giveWorld() {
  hasWorld = true;
  find("world-button").hidden = false;
  arrange();
}

function toggle(name, button) {
  if (name === "world" && isColumn("world")) {
    setSetting("world", setting("world") === "closed" ? "open" : "closed");
    arrange();
    return;
  }
  drawer = name;
  opener = button;
  arrange();
  find(name).querySelector("button, select, a").focus();
}

function shut(name) {
  if (drawer === name) closeDrawer();
  else if (name === "world") {
    setSetting("world", "closed");
    arrange();
    find("world-button").focus();
  }
}

export function closeDrawer() {
  if (!drawer) return;
  drawer = "";
  arrange();
  opener?.focus();
}
