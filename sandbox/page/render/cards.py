"""Cards, carousels, containers, plans and their tasks. `nest` draws the blocks that stand in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from sandbox.page.render.elements import element_html, picture
from sandbox.page.render.given import Part, part, parts, words
from sandbox.page.render.html import EMPTY, Attributes, Html, join, tag
from sandbox.page.render.live import link
from sandbox.page.render.place import Place
from sandbox.page.render.richtext import rich_text_html
from sandbox.page.render.textobjects import text_html

Nest: TypeAlias = Callable[[Iterable[Any], Place], Html]

STATUS = {"pending": "○ Pending", "in_progress": "◐ In progress", "complete": "● Complete", "error": "✕ Error"}


def card(block: Part, place: Place) -> Html:
    actions = [element_html(one, place) for one in parts(block.get("actions"))]
    return tag(
        "div",
        {"class": "bk-block bk-card"},
        _picture(block, "hero_image", place),
        _head(block, place),
        _line("bk-text", block.get("body"), place),
        tag("div", {"class": "bk-actions"}, *actions) if actions else None,
    )


def carousel(block: Part, place: Place, nest: Nest) -> Html:
    """Cards side by side, in a box of their own that scrolls."""
    return tag("div", {"class": "bk-block bk-carousel", "tabindex": "0"}, nest(parts(block.get("elements")), place))


def container(block: Part, place: Place, nest: Nest) -> Html:
    head = _head(block, place)
    inside = nest(parts(block.get("child_blocks")), place)
    if block.get("is_collapsible") is True:
        attributes: Attributes = {"class": "bk-block bk-container", "open": block.get("default_collapsed") is not True}
        return tag("details", attributes, tag("summary", None, head), inside)
    return tag("div", {"class": "bk-block bk-container"}, head, inside)


def plan(block: Part, place: Place, nest: Nest) -> Html:
    title = tag("div", {"class": "bk-card-title"}, words(block.get("title")))
    tasks = [tag("li", None, nest([task], place)) for task in parts(block.get("tasks"))]
    return tag("div", {"class": "bk-block bk-plan"}, title, tag("ol", {"class": "bk-tasks"}, *tasks) if tasks else None)


def task_card(block: Part, place: Place, nest: Nest) -> Html:
    status = words(block.get("status"))
    shown = STATUS.get(status, status)
    sources = [
        tag("li", None, link(words(one.get("url")), words(one.get("text")) or words(one.get("url"))))
        for one in parts(block.get("sources"))
    ]
    return tag(
        "div",
        {"class": "bk-block bk-task"},
        tag("span", {"class": f"bk-status bk-status-{status}" if status in STATUS else "bk-status"}, shown),
        tag("span", {"class": "bk-card-title"}, words(block.get("title"))),
        nest([part(block.get(name)) for name in ("details", "output") if block.get(name)], place),
        tag("ul", {"class": "bk-list"}, *sources) if sources else None,
    )


def _head(block: Part, place: Place) -> Html:
    rich = part(block.get("rich_text_title"))
    title = rich_text_html(rich, place.names) if rich else text_html(block.get("title"), place.names)
    named = join([_picture(block, "icon", place) or EMPTY, title])
    return join([tag("div", {"class": "bk-card-title"}, named) if named else EMPTY,
                 _line("bk-card-subtitle", block.get("subtitle"), place) or EMPTY])  # fmt: skip


def _line(name: str, value: object, place: Place) -> Html | None:
    return tag("div", {"class": name}, text_html(value, place.names)) if value else None


def _picture(block: Part, name: str, place: Place) -> Html | None:
    given = part(block.get(name))
    return picture(given, place) if given else None
