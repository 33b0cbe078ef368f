"""rich_text blocks: sections, lists, quotes and code, whose leaves are literal text and what is live beside it."""

from __future__ import annotations

from sandbox.page.render import live
from sandbox.page.render.emoji import emoji
from sandbox.page.render.given import DEEPEST, Names, Part, kind, part, parts, whole, words
from sandbox.page.render.html import BREAK, Html, join, tag, text
from sandbox.page.render.mrkdwn import code_block

STYLES = (("code", "code"), ("strike", "del"), ("italic", "em"), ("bold", "strong"), ("underline", "u"))
"""Style and element, innermost first."""


def rich_text_html(block: Part, names: Names) -> Html:
    return join(_part(one, names, 0) for one in parts(block.get("elements")))


def _part(one: Part, names: Names, depth: int) -> Html:
    leaves = parts(one.get("elements"))
    match kind(one):
        case "rich_text_section":
            return tag("div", {"class": "bk-text"}, _leaves(leaves, names))
        case "rich_text_quote":
            return tag("blockquote", {"class": "bk-quote"}, _leaves(leaves, names))
        case "rich_text_preformatted":
            return code_block(_raw(leaves))
        case "rich_text_list":
            return _list(one, names, depth) if depth < DEEPEST else tag("p", {"class": "bk-unknown"}, "…")
    return tag("p", {"class": "bk-unknown"}, f"[rich text of type {kind(one)}]")


def _list(one: Part, names: Names, depth: int) -> Html:
    """Slack's lists are flat: how deep one stands is its `indent`, and `offset` what was counted before."""
    indent = whole(one.get("indent"), 0, 8) or 0
    items = [tag("li", None, _part(item, names, depth + 1)) for item in parts(one.get("elements"))]
    if one.get("style") == "ordered":
        offset = whole(one.get("offset"), 0, 10_000) or 0
        start = offset + 1 if offset else None
        return tag("ol", {"class": f"bk-list bk-indent-{indent} bk-count-{indent % 3}", "start": start}, *items)
    return tag("ul", {"class": f"bk-list bk-indent-{indent}"}, *items)


def _raw(leaves: list[Part]) -> str:
    return "".join(words(leaf.get("text")) or words(leaf.get("url")) for leaf in leaves)


def _leaves(leaves: list[Part], names: Names) -> Html:
    return join(_styled(leaf, _leaf(leaf, names)) for leaf in leaves)


def _styled(leaf: Part, shown: Html) -> Html:
    style = part(leaf.get("style"))
    for name, element in STYLES:
        if style.get(name) is True:
            shown = tag(element, {"class": "bk-code"} if element == "code" else None, shown)
    return shown


def _leaf(leaf: Part, names: Names) -> Html:
    match kind(leaf):
        case "text":
            return _lines(words(leaf.get("text")))
        case "link":
            url = words(leaf.get("url"))
            return live.link(url, _lines(words(leaf.get("text")) or url))
        case "emoji":
            return emoji(words(leaf.get("name")), _character(words(leaf.get("unicode"))))
        case "user":
            return live.user(words(leaf.get("user_id")), names)
        case "channel":
            return live.channel(words(leaf.get("channel_id")), names)
        case "usergroup":
            return live.mention(f"@{words(leaf.get('usergroup_id'))}")
        case "team":
            return live.mention(words(leaf.get("team_id")))
        case "broadcast":
            return live.broadcast(words(leaf.get("range")))
        case "color":
            return tag("code", {"class": "bk-code"}, words(leaf.get("value")))
        case "date":
            given = {name: words(leaf.get(name)) for name in ("format", "fallback", "url")}
            return live.date(leaf.get("timestamp"), given["format"], given["fallback"], given["url"])
    return tag("span", {"class": "bk-unknown"}, f"[{kind(leaf)}]")


def _lines(value: str) -> Html:
    return join((text(line) for line in value.split("\n")), BREAK)


def _character(points: str) -> str | None:
    """The emoji of code points such as "1f6a8" or "2620-fe0f", None where they are none."""
    try:
        return "".join(chr(int(point, 16)) for point in points.split("-")) if points else None
    except (ValueError, OverflowError):
        return None
