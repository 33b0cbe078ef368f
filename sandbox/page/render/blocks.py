"""Blocks as HTML. One of an unknown type is named in a visible note."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.page.render import cards
from sandbox.page.render.elements import element_html, picture
from sandbox.page.render.given import DEEPEST, Part, kind, part, parts, whole, words
from sandbox.page.render.html import Html, join, tag
from sandbox.page.render.inputs import TITLED
from sandbox.page.render.live import link
from sandbox.page.render.markdown import markdown_html
from sandbox.page.render.place import Draw, Field, Place, element_id
from sandbox.page.render.richtext import rich_text_html
from sandbox.page.render.table import chart_html, data_table_html, table_html
from sandbox.page.render.textobjects import label_html, text_html, text_plain


def blocks_html(blocks: Iterable[Any], place: Place) -> Html:
    """The blocks one below the other."""
    return join(_block(block, place) for block in blocks if isinstance(block, Mapping))


def _block(block: Part, place: Place) -> Html:
    name = kind(block)
    if place.depth > DEEPEST or name not in BLOCKS:
        return tag("p", {"class": "bk-block bk-unknown"}, f"[block of type {name}]")
    return BLOCKS[name](block, replace(place, block=words(block.get("block_id")), depth=place.depth + 1))


def _boxed(name: str, *children: str | None) -> Html:
    return tag("div", {"class": f"bk-block bk-{name}"}, *children)


def _section(block: Part, place: Place) -> Html:
    main = []
    if block.get("text"):
        main.append(tag("div", {"class": "bk-text"}, text_html(block["text"], place.names)))
    if fields := parts(block.get("fields")):
        shown = [tag("div", {"class": "bk-field"}, text_html(one, place.names)) for one in fields]
        main.append(tag("div", {"class": "bk-fields"}, *shown))
    accessory = part(block.get("accessory"))
    if not accessory:
        return _boxed("section", *main)
    beside = replace(place, label=text_plain(block.get("text"), place.names)[:150])
    return _boxed(
        "section bk-has-accessory",
        tag("div", {"class": "bk-section-main"}, *main),
        tag("div", {"class": "bk-accessory"}, element_html(accessory, beside)),
    )


def _header(block: Part, place: Place) -> Html:
    level = whole(block.get("level"), 1, 4) or 1
    attributes = {"class": f"bk-block bk-header bk-level-{level}"}
    return tag(place.heading, attributes, label_html(block.get("text")))


def _divider(block: Part, place: Place) -> Html:
    return tag("hr", {"class": "bk-block bk-divider"})


def _context(block: Part, place: Place) -> Html:
    def item(one: Part) -> Html:
        shown = picture(one, place) if kind(one) == "image" else text_html(one, place.names)
        return tag("div", {"class": "bk-context-item"}, shown)

    return _boxed("context", *(item(one) for one in parts(block.get("elements"))))


def _actions(block: Part, place: Place) -> Html:
    return _boxed("actions", *(element_html(one, place) for one in parts(block.get("elements"))))


def _image(block: Part, place: Place) -> Html:
    title = block.get("title")
    caption = tag("figcaption", {"class": "bk-caption"}, label_html(title)) if title else None
    return tag("figure", {"class": "bk-block bk-figure"}, caption, picture(block, place, large=True))


def _input(block: Part, place: Place) -> Html:
    """Label, control, hint and error. Choices bring a legend of their own in place of the label."""
    element = part(block.get("element"))
    id, hint_id, error_id = (
        element_id(place.block, words(element.get("action_id")), role) for role in ("input", "hint", "error")
    )
    optional = block.get("optional") is True
    label = text_plain(block.get("label"), place.names) + (" (optional)" if optional else "")
    error, hint = words(place.errors.get(place.block)), block.get("hint")
    notes = [note for note, given in ((hint_id, hint), (error_id, error)) if given]
    field = Field(id, not optional, block.get("dispatch_action") is True, " ".join(notes) or None, bool(error))
    return _boxed(
        "input",
        None if kind(element) in TITLED else tag("label", {"class": "bk-label", "for": id}, label),
        element_html(element, replace(place, label=label, field=field)),
        tag("p", {"class": "bk-hint", "id": hint_id}, label_html(hint)) if hint else None,
        tag("p", {"class": "bk-error", "id": error_id, "role": "alert"}, error) if error else None,
    )


def _rich_text(block: Part, place: Place) -> Html:
    return _boxed("rich", rich_text_html(block, place.names))


def _markdown(block: Part, place: Place) -> Html:
    return _boxed("markdown", markdown_html(words(block.get("text")), place.names))


def _alert(block: Part, place: Place) -> Html:
    level = words(block.get("level"))
    word = {"info": "Note", "warning": "Warning", "error": "Error", "success": "Done"}.get(level)
    shown = text_html(block.get("text"), place.names)
    prefix = tag("strong", None, f"{word}: ") if word else None
    return _boxed(f"alert bk-alert-{level}" if word else "alert", prefix, shown)


def _video(block: Part, place: Place) -> Html:
    """A card that links to the video."""
    url = words(block.get("title_url")) or words(block.get("video_url"))
    source = [words(block.get("author_name")), words(block.get("provider_name"))]
    return _boxed(
        "card",
        tag("div", {"class": "bk-card-title"}, "▶ ", link(url, label_html(block.get("title")))),
        tag("div", {"class": "bk-card-subtitle"}, " · ".join(one for one in source if one) or "Video"),
        tag("div", {"class": "bk-text"}, text_html(block.get("description") or block.get("alt_text"), place.names)),
    )


def _remote_file(block: Part, place: Place) -> Html:
    id, source = words(block.get("external_id")), words(block.get("source"))
    return _boxed(
        "file",
        tag("div", {"class": "bk-file-name"}, f"📄 {id}"),
        tag("div", {"class": "bk-file-meta"}, f"{source} file"),
    )


BLOCKS: Mapping[str, Draw] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "context_actions": _actions,
    "image": _image,
    "input": _input,
    "rich_text": _rich_text,
    "markdown": _markdown,
    "table": lambda block, place: _boxed("tabular", table_html(block, place.names)),
    "data_table": lambda block, place: _boxed("tabular", data_table_html(block, place.names)),
    "data_visualization": lambda block, place: _boxed("tabular", chart_html(block)),
    "alert": _alert,
    "video": _video,
    "file": _remote_file,
    "card": cards.card,
    "carousel": lambda block, place: cards.carousel(block, place, blocks_html),
    "container": lambda block, place: cards.container(block, place, blocks_html),
    "plan": lambda block, place: cards.plan(block, place, blocks_html),
    "task_card": lambda block, place: cards.task_card(block, place, blocks_html),
}
