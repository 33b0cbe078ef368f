"""What stands in sections, contexts and rows of actions: buttons, menus, pictures. Inputs are in `inputs`."""

from __future__ import annotations

from sandbox.page.render import live
from sandbox.page.render.given import Part, kind, part, parts, words
from sandbox.page.render.html import Attributes, Html, tag
from sandbox.page.render.inputs import INPUTS
from sandbox.page.render.place import Place, address
from sandbox.page.render.textobjects import label_html, text_plain

STYLES = {"primary": "bk-button bk-primary", "danger": "bk-button bk-danger"}


def element_html(element: Part, place: Place) -> Html:
    """Any element of a block; one of an unknown type is named."""
    name = kind(element)
    if name in INPUTS:
        return INPUTS[name](element, place)
    match name:
        case "button" | "workflow_button" | "icon_button":
            return press(element, place, label_html(element.get("text")), element.get("value"))
        case "overflow":
            return _overflow(element, place)
        case "image":
            return picture(element, place)
        case "feedback_buttons":
            return _feedback(element, place)
    return tag("span", {"class": "bk-unknown"}, f"[element of type {name}]")


def press(element: Part, place: Place, shown: Html, value: object) -> Html:
    """A button. Its value is left out where it has none: an empty one would be another button."""
    attributes: Attributes = {
        "class": STYLES.get(words(element.get("style")), "bk-button"),
        "data-act": "press",
        **address(element, place),
        "data-value": value if isinstance(value, str) else None,
        "aria-label": words(element.get("accessibility_label")) or None,
    }
    return clickable(words(element.get("url")), attributes, shown)


def clickable(url: str, attributes: Attributes, *shown: Html) -> Html:
    """A button, or a link that looks like one where it has a web or mail address."""
    if live.is_safe(url):
        return tag("a", {**attributes, "href": url, "rel": "noopener noreferrer", "target": "_blank"}, *shown)
    return tag("button", {"type": "button", **attributes}, *shown)


def _feedback(element: Part, place: Place) -> Html:
    both = [part(element.get(which)) for which in ("positive_button", "negative_button")]
    shown = [press({**element, **one}, place, label_html(one.get("text")), one.get("value")) for one in both]
    return tag("span", {"class": "bk-feedback", "role": "group", "aria-label": "Feedback"}, *shown)


def _overflow(element: Part, place: Place) -> Html:
    """A folded menu. The question, if any, is asked for each of its choices."""
    items = [tag("li", None, _menu_item(option, element, place)) for option in parts(element.get("options"))]
    summary = tag("summary", {"class": "bk-button bk-more", "aria-label": "More actions"}, "⋯")
    return tag("details", {"class": "bk-overflow"}, summary, tag("ul", {"class": "bk-menu"}, *items))


def _menu_item(option: Part, element: Part, place: Place) -> Html:
    """An option with an address opens it as well as being chosen."""
    shown = [label_html(option.get("text"))]
    if option.get("description"):
        shown.append(tag("span", {"class": "bk-desc"}, label_html(option["description"])))
    attributes: Attributes = {
        "class": "bk-menu-item",
        "data-act": "choose",
        **address(element, place),
        "data-value": words(option.get("value")),
    }
    return clickable(words(option.get("url")), attributes, *shown)


def picture(element: Part, place: Place, *, large: bool = False) -> Html:
    """A frame for a picture: the page fetches nothing from outside, so its text stands for it, and its address."""
    file = part(element.get("slack_file"))
    url = words(element.get("image_url")) or words(file.get("url"))
    alt = text_plain(element.get("alt_text"), place.names)
    frame = tag("span", {"class": "bk-picture", "role": "img", "aria-label": alt or "Picture"}, alt or "Picture")
    where = live.link(url, url) if url else words(file.get("id"))
    return tag("span", {"class": "bk-image"}, frame, where) if large else frame
