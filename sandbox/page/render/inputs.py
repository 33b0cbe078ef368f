"""Inputs as native controls: menus, choices, pickers of dates and times, and what is typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sandbox.page.render.given import Part, kind, part, parts, texts, whole, words
from sandbox.page.render.html import EMPTY, Attribute, Html, plain, tag
from sandbox.page.render.place import Draw, Place, control
from sandbox.page.render.richtext import rich_text_html
from sandbox.page.render.textobjects import text_html, text_plain

_DATE, _TIME = r"\d{4}-\d{2}-\d{2}", r"\d{2}:\d{2}"


def _static(element: Part, place: Place) -> Html:
    chosen = _chosen(element)

    def options(given: object) -> list[Html]:
        return [
            _option(words(one.get("value")), text_plain(one.get("text"), place.names), chosen) for one in parts(given)
        ]

    groups = [
        tag("optgroup", {"label": text_plain(one.get("label"), place.names)}, *options(one.get("options")))
        for one in parts(element.get("option_groups"))
    ]
    return _select(element, place, groups or options(element.get("options")))


def _listed(element: Part, place: Place) -> Html:
    """People, channels or conversations: those the page knows the names of, and those preset."""
    people = "users" in kind(element)
    known = place.names.users if people else place.names.channels
    chosen = _preset(element)
    names = {**{id: id for id in chosen}, **known}
    sign = "@" if people else "#"
    ordered = sorted(names.items(), key=lambda item: (item[1].casefold(), item[0]))
    return _select(element, place, [_option(id, f"{sign}{name}", chosen) for id, name in ordered])


def _select(element: Part, place: Place, options: Iterable[Html]) -> Html:
    attributes = control(element, place)
    if kind(element).startswith("multi_"):
        shown = list(options)
        return tag("select", {**attributes, "multiple": True, "size": min(max(len(shown), 2), 6)}, *shown)
    empty = tag("option", {"value": ""}, text_plain(element.get("placeholder"), place.names) or "Choose…")
    return tag("select", attributes, empty, *options)


def _option(value: str, shown: str, chosen: set[str]) -> Html:
    return tag("option", {"value": value, "selected": value in chosen}, shown)


def _external(element: Part, place: Place) -> Html:
    """Any value can be typed: the app, which knows the options, is not asked for them."""
    chosen = ", ".join(sorted(_chosen(element)))
    attributes = {**control(element, place), "type": "text", "value": chosen or None, "autocomplete": "off"}
    return tag("input", attributes | {"placeholder": _placeholder(element, place)})


def _chosen(element: Part) -> set[str]:
    initial = [part(element.get("initial_option")), *parts(element.get("initial_options"))]
    return {words(option.get("value")) for option in initial if option}


def _preset(element: Part) -> set[str]:
    of = kind(element).removeprefix("multi_").removesuffix("s_select")
    one = words(element.get(f"initial_{of}"))
    return {*([one] if one else []), *texts(element.get(f"initial_{of}s"))}


def _choices(element: Part, place: Place) -> Html:
    """Checkboxes or radio buttons; each is a control of its own, all under one name."""
    single = kind(element) == "radio_buttons"
    chosen = _chosen(element)
    shared = control(element, place)
    outer: dict[str, Attribute] = {"class": "bk-choices", "role": "radiogroup" if single else None}
    for name in ("id", "aria-describedby", "aria-label", "aria-invalid"):
        outer[name] = shared.pop(name, None)
    shared |= {
        "class": None,
        "type": "radio" if single else "checkbox",
        "required": single and shared.get("required"),
        "autofocus": None,
    }
    rows = [_choice(option, {**shared, "checked": words(option.get("value")) in chosen}, place)
            for option in parts(element.get("options"))]  # fmt: skip
    legend = tag("legend", {"class": "bk-label"}, place.label) if place.field else EMPTY
    return tag("fieldset", outer, legend, *rows)


def _choice(option: Part, attributes: Mapping[str, Attribute], place: Place) -> Html:
    box = tag("input", {**attributes, "value": words(option.get("value"))})
    shown = [tag("span", None, text_html(option.get("text"), place.names))]
    if option.get("description"):
        shown.append(tag("span", {"class": "bk-desc"}, text_html(option["description"], place.names)))
    return tag("label", {"class": "bk-choice"}, box, tag("span", {"class": "bk-choice-text"}, *shown))


def _date(element: Part, place: Place) -> Html:
    given = words(element.get("initial_date"))
    value = given if re.fullmatch(_DATE, given) else None
    return tag("input", {**control(element, place), "type": "date", "value": value})


def _time(element: Part, place: Place) -> Html:
    given = words(element.get("initial_time"))
    value = given if re.fullmatch(_TIME, given) else None
    return tag("input", {**control(element, place), "type": "time", "value": value})


def _date_time(element: Part, place: Place) -> Html:
    """The preset instant is in `data-unix`: only the page knows the reader's zone."""
    unix = whole(element.get("initial_date_time"), 0, 10**11)
    return tag("input", {**control(element, place), "type": "datetime-local", "data-unix": unix})


def _typed(element: Part, place: Place) -> Html:
    attributes = control(element, place) | {
        "minlength": whole(element.get("min_length"), 0, 3_000),
        "maxlength": whole(element.get("max_length"), 1, 3_000),
        "placeholder": _placeholder(element, place),
    }
    value = words(element.get("initial_value"))
    if element.get("multiline") is True:
        return _area(attributes, value)
    types = {"email_text_input": "email", "url_text_input": "url"}
    kept = {"type": types.get(kind(element), "text"), "value": value or None, "autocomplete": "off"}
    return tag("input", attributes | kept)


def _number(element: Part, place: Place) -> Html:
    bounds = {name: words(element.get(f"{name}_value")) or None for name in ("min", "max")}
    attributes: dict[str, Attribute] = {
        **control(element, place),
        "type": "number",
        "step": "any" if element.get("is_decimal_allowed") is True else "1",
        **bounds,
        "value": words(element.get("initial_value")) or None,
        "placeholder": _placeholder(element, place),
    }
    return tag("input", attributes)


def _rich(element: Part, place: Place) -> Html:
    """Rich text is typed as plain lines."""
    attributes = control(element, place) | {"placeholder": _placeholder(element, place)}
    return _area(attributes, plain(rich_text_html(part(element.get("initial_value")), place.names)))


def _area(attributes: Mapping[str, Attribute], value: str) -> Html:
    # The browser drops a line feed right after <textarea>, so one is put there for it to drop.
    return tag("textarea", {**attributes, "rows": 4}, "\n" + value)


def _files(element: Part, place: Place) -> Html:
    accepted = ",".join(f".{one}" for one in texts(element.get("filetypes")))
    several = element.get("max_files", 10) != 1
    return tag("input", {**control(element, place), "type": "file", "accept": accepted or None, "multiple": several})


def _placeholder(element: Part, place: Place) -> str | None:
    return text_plain(element.get("placeholder"), place.names) or None


TITLED = {"checkboxes", "radio_buttons"}
"""Those that bring their label along."""

INPUTS: Mapping[str, Draw] = {
    **{f"{multi}static_select": _static for multi in ("", "multi_")},
    **{f"{multi}external_select": _external for multi in ("", "multi_")},
    **{f"{multi}{of}_select": _listed for multi in ("", "multi_") for of in ("users", "channels", "conversations")},
    "checkboxes": _choices,
    "radio_buttons": _choices,
    "datepicker": _date,
    "timepicker": _time,
    "datetimepicker": _date_time,
    "plain_text_input": _typed,
    "email_text_input": _typed,
    "url_text_input": _typed,
    "number_input": _number,
    "rich_text_input": _rich,
    "file_input": _files,
}
