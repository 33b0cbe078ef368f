"""Where an element stands, and the attributes by which the page finds it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import TypeAlias

from sandbox.page.render.given import Names, Part, kind, part, words
from sandbox.page.render.html import Attribute, Html
from sandbox.page.render.textobjects import text_plain


@dataclass(frozen=True, slots=True)
class Field:
    """An input block around its control. `id` is the control's, `notes` the ids of its hint and error."""

    id: str
    required: bool
    dispatches: bool
    notes: str | None = None
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """`label` names a control to those who do not see what stands beside it; `field` is set inside an input block;
    `errors` are said beside the input block of that block_id."""

    names: Names
    errors: Mapping[str, str] = field(default_factory=dict)
    heading: str = "h4"
    depth: int = 0
    block: str = ""
    label: str = ""
    field: Field | None = None


Draw: TypeAlias = Callable[[Part, Place], Html]
"""How one kind of block or element is drawn."""


def element_id(block_id: str, action_id: str, role: str) -> str:
    """The same for the same input whenever a view is drawn again, so that the focus finds it."""
    name = blake2s(f"{block_id}\0{action_id}".encode("utf-8", "replace"), digest_size=5).hexdigest()
    return f"bk-{role}-{name}"


def address(element: Part, place: Place) -> dict[str, Attribute]:
    """Whom an act on the element goes to, and the question to ask before."""
    return {
        "data-action": words(element.get("action_id")),
        "data-block": place.block,
        "data-confirm": question(element.get("confirm"), place.names),
    }


def control(element: Part, place: Place) -> dict[str, Attribute]:
    """The attributes that every native control shares."""
    around = place.field
    attributes: dict[str, Attribute] = {
        "class": "bk-control",
        "name": words(element.get("action_id")),
        "data-type": kind(element),
        "data-act": "choose" if around is None or around.dispatches else None,
        **address(element, place),
    }
    if around is None:
        attributes["aria-label"] = text_plain(element.get("placeholder"), place.names) or place.label or "Choose"
    else:
        attributes |= {
            "id": around.id,
            "required": around.required,
            "aria-describedby": around.notes,
            "aria-invalid": "true" if around.wrong else None,
        }
    return attributes | {"autofocus": element.get("focus_on_load") is True}


def question(confirm: object, names: Names) -> str | None:
    """A confirm object as the JSON that the page asks with, all texts plain."""
    given = part(confirm)
    if not given:
        return None
    asked = {name: text_plain(given.get(name), names) for name in ("title", "text", "confirm", "deny")}
    return json.dumps({**asked, "style": words(given.get("style"))}, ensure_ascii=False)
