/** The list of places, who one is, and the way to a place by its name. */

import { fill, find, make } from "./dom.js";

export const HOME = "home";

/** A place as it is called in the address. */
export const placeName = (channel) => (channel.im ? channel.id : channel.name);

/** `unread(channel)` counts; `address(place)` is the hash of a place. */
export function showPlaces({ channels, bot, place, unread, address }) {
  const link = (name, label, mark, count, more = "") => make("li", { "data-key": name },
    make("a", {
      href: address(name), "aria-current": name === place ? "page" : null, class: count ? "unread" : null,
    },
      make("span", { class: "mark", "aria-hidden": "true" }, mark), make("span", { class: "label" }, label),
      more ? make("span", { class: "note" }, more) : null,
      count ? make("span", { class: "badge" }, upTo99(count), make("span", { class: "unseen" }, " unread")) : null));
  const item = (channel) => link(placeName(channel), channel.name, channel.im ? "●" : channel.private ? "🔒" : "#",
    unread(channel), channel.archived ? "archived" : "");
  fill(find("apps"), link(HOME, `${bot.name}: Home`, "⌂", 0));
  fill(find("channels"), ...channels.filter((channel) => !channel.im).map(item));
  const directs = channels.filter((channel) => channel.im);
  fill(find("directs"), ...directs.map(item));
  find("directs-head").hidden = !directs.length;
  const total = channels.reduce((sum, channel) => sum + unread(channel), 0);
  fill(find("menu-unread"), ...(total ? [upTo99(total), make("span", { class: "unseen" }, " unread")] : []));
  return total;
}

const upTo99 = (count) => (count > 99 ? "99+" : String(count));

export function showPeople({ people, user }) {
  const option = ({ id, name }) => make("option", { value: id }, name);
  fill(find("person"), ...people.map((one) => (one.role ? make("optgroup", { label: one.role }, option(one)) : option(one))));
  find("person").value = user;
  find("person-role").textContent = people.find(({ id }) => id === user)?.role ?? "";
}

/** A dialog to go to a place by typing part of its name. */
export class Switcher {
  constructor({ places, goTo }) {
    this.places = places;
    this.goTo = goTo;
    this.at = 0;
    this.input = make("input", {
      type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "switcher-list",
      "aria-autocomplete": "list", "aria-label": "Go to", placeholder: "Go to a channel", autocomplete: "off",
    });
    this.list = make("ul", { id: "switcher-list", role: "listbox", "aria-label": "Places" });
    this.dialog = make("dialog", { class: "switcher", "aria-label": "Go to" }, this.input, this.list);
    document.body.append(this.dialog);
    this.input.addEventListener("input", () => this.show(0));
    this.dialog.addEventListener("keydown", (event) => this.pressed(event));
    this.dialog.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
      if (option) this.take(option.dataset.key);
      else if (target === this.dialog) this.dialog.close();
    });
  }

  open() {
    if (this.dialog.open) return;
    this.input.value = "";
    this.show(0);
    this.dialog.showModal();
  }

  show(at) {
    const wanted = this.input.value.trim().toLowerCase().replace(/^#/, "");
    const found = this.places().filter(({ label }) => label.toLowerCase().includes(wanted));
    this.at = found.length ? (at + found.length) % found.length : 0;
    fill(this.list, ...found.map(({ place, label, unread }, number) => make("li", {
      id: `switcher-${number}`, role: "option", "data-key": place, "aria-selected": String(number === this.at),
    }, label, unread ? make("span", { class: "badge" }, upTo99(unread), make("span", { class: "unseen" }, " unread")) : null)));
    this.input.setAttribute("aria-activedescendant", found.length ? `switcher-${this.at}` : "");
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
  }

  pressed(event) {
    if (event.key === "ArrowDown") this.show(this.at + 1);
    else if (event.key === "ArrowUp") this.show(this.at - 1);
    else if (event.key === "Enter") this.take(this.list.children[this.at]?.dataset.key);
    else return;
    event.preventDefault();
  }

  take(place) {
    this.dialog.close();
    if (place) this.goTo(place);
  }
}
