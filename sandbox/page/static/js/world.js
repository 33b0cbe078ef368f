/** The world panel: the fleet, rollouts and systems as they are, and the buttons that break and mend them. */

import { counted, fill, find, make } from "./dom.js";
import { post } from "./net.js";
import { tellNews, tellTrouble } from "./notices.js";
import { dateOf, timeOfDay } from "./times.js";

const STATES = { up: "●", down: "■", slow: "◆" };
let speedWords = null;

/** Draw the panel from the world's view; what is folded open, focused or typed stays. */
export function showWorld(view) {
  const time = view.controls.find(({ asks }) => asks.some(({ name }) => name === "speed"));
  speedWords = time?.words ?? null;
  fill(find("world-view"),
    view.story ? story(view.story) : null,
    section("Fleet", counted(view.fleet.total, "device"), view.fleet.tenants.map(tenant)),
    section("Rollouts", "", view.rollouts.length ? view.rollouts.map(rollout) : [make("p", { class: "note" }, "None yet.")]),
    section("Systems", "", [make("ul", { class: "systems" }, ...view.systems.map(system))]),
    time ? speed(view, time) : null,
    section("Break and mend", "", groups(view.controls.filter((control) => control !== time))),
    section("Recent", "", [recent(view.recent)]),
  );
  for (const radio of find("world-view").querySelectorAll("[name=speed]")) radio.checked = Number(radio.value) === view.speed;
  for (const bar of find("world-view").querySelectorAll("[data-share]")) bar.style.width = `${bar.dataset.share}%`;
}

export function bindWorld() {
  find("world-view").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-words]");
    if (!button) return;
    const asked = button.closest("[data-asks]");
    const words = JSON.parse(button.dataset.words).map((word) => word.replace(/\{(\w+)\}/g, (whole, name) =>
      asked?.querySelector(`[data-ask="${CSS.escape(name)}"]`)?.value.trim() || whole));
    say(words, button);
  });
  find("world-view").addEventListener("change", ({ target }) => {
    if (target.name === "speed") say(speedWords.map((word) => word.replace("{speed}", target.value)), target);
  });
}

async function say(words, element) {
  if (element.getAttribute("aria-busy")) return;
  element.setAttribute("aria-busy", "true");
  try {
    tellNews((await post("world", { words })).said);
  } catch (trouble) {
    tellTrouble(trouble);
  } finally {
    element.removeAttribute("aria-busy");
  }
}

const section = (title, note, parts) => make("section", { "data-key": title },
  make("h3", {}, title, note ? make("span", { class: "note" }, ` ${note}`) : null), ...parts);

function story({ title, step, finished, failures }) {
  const state = failures.length ? "went wrong" : finished ? "has ended well" : "goes on";
  return make("section", { "data-key": "story", class: failures.length ? "story failed" : "story" },
    make("h3", {}, "Story ", make("span", { class: "note" }, state)),
    make("p", { class: "story-title" }, title),
    step ? make("p", {}, step) : null,
    failures.length ? make("ul", { class: "failures" }, ...failures.map((failure) => make("li", {}, failure))) : null);
}

/** One bar of several parts, [[share of the whole in %, class]]; the words beside it say the same. */
const bar = (parts) => make("div", { class: "bar", "aria-hidden": "true" },
  ...parts.map(([share, kind]) => make("span", { class: kind, "data-share": share.toFixed(2), "data-key": kind })));

const percent = (part, whole) => (whole ? (100 * part) / whole : 0);

function tenant({ id, online, offline, installing, rebooting, failed, versions }) {
  const all = online + offline + rebooting;
  const more = [[offline, "offline"], [installing, "installing"], [rebooting, "rebooting"], [failed, "failed"]]
    .filter(([count]) => count).map(([count, word]) => `${count} ${word}`);
  return make("div", { class: "tenant", "data-key": id },
    make("p", {}, make("strong", {}, id), ` ${online} of ${all} online`, more.length ? `, ${more.join(", ")}` : ""),
    bar([[percent(online, all), "is-good"], [percent(rebooting, all), "is-busy"], [percent(offline, all), "is-bad"]]),
    make("p", { class: "note" }, Object.entries(versions).map(([version, count]) => `${version}: ${count}`).join(" · ")));
}

function rollout({ id, name, status, groups: listed }) {
  return make("div", { class: "rollout", "data-key": id },
    make("p", {}, make("strong", {}, name), ` ${status}`),
    make("ol", {}, ...listed.map((group) => make("li", { "data-key": group.number, value: group.number },
      make("p", {}, `${group.name}: ${group.status}, ${group.finished} of ${group.total} finished`, errors(group)),
      bar([[percent(group.finished, group.total), "is-good"], [percent(group.running, group.total), "is-busy"],
        [percent(group.error, group.total), "is-bad"]])))));
}

const errors = ({ error, running }) => [[running, "running"], [error, error === 1 ? "error" : "errors"]]
  .filter(([count]) => count).map(([count, word]) => `, ${count} ${word}`).join("");

const system = ({ name, state }) => make("li", { "data-key": name, class: `is-${state}` },
  make("span", { class: "system-mark", "aria-hidden": "true" }, STATES[state] ?? "?"), `${name}: `, make("strong", {}, state));

function speed(view, { hint }) {
  const name = (one) => (one === 0 ? "stands still" : `${one}×`);
  return make("section", { "data-key": "speed" },
    make("fieldset", { class: "speed", "aria-describedby": "speed-hint" },
      make("legend", {}, "Speed of time"),
      ...view.speeds.map((one) => make("label", {}, make("input", { type: "radio", name: "speed", value: one }), name(one)))),
    make("p", { class: "note", id: "speed-hint" }, hint));
}

function groups(controls) {
  const names = [...new Set(controls.map(({ group }) => group))];
  return names.map((name) => {
    const own = controls.filter(({ group }) => group === name);
    const active = own.filter((control) => control.active).length;
    return make("details", { "data-key": name, class: "controls" },
      make("summary", {}, name, active ? make("span", { class: "badge" }, `${active} active`) : null),
      ...sharing(own).map(controlsOf));
  });
}

/** Controls that ask for the same things stand under one set of inputs. */
function sharing(controls) {
  const together = new Map();
  for (const control of controls) {
    const key = control.asks.map(({ name, options }) => `${name}:${options ?? ""}`).join("|");
    together.set(key, [...(together.get(key) ?? []), control]);
  }
  return [...together.values()];
}

function controlsOf(controls) {
  const { asks } = controls[0];
  return make("div", { "data-asks": true, "data-key": asks.map(({ name }) => name).join() },
    ...asks.map((ask) => make("label", { class: "ask" }, ask.label, input(ask))),
    ...controls.map(button));
}

function input({ name, options, default: preset }) {
  if (!options) return make("input", { type: "text", "data-ask": name, value: preset, autocomplete: "off", spellcheck: "false" });
  return make("select", { "data-ask": name }, ...options.map((one) =>
    make("option", { value: one, selected: one === preset }, one)));
}

function button({ label, words, undo, active, hint }) {
  const undoes = active && undo;
  return make("div", { class: "control", "data-key": label },
    make("button", { type: "button", class: undoes ? "bk-button active" : "bk-button", "data-words": JSON.stringify(undoes ? undo : words) },
      undoes ? `Undo: ${label}` : label),
    active ? make("strong", { class: "is-active" }, "active") : null,
    make("p", { class: "note" }, hint));
}

function recent(listed) {
  if (!listed.length) return make("p", { class: "note" }, "Nothing yet.");
  return make("ol", { class: "recent" }, ...listed.map(({ at, text }) => make("li", { "data-key": `${at} ${text}` },
    make("time", { datetime: dateOf(at).toISOString() }, timeOfDay(dateOf(at))), ` ${text}`)));
}
