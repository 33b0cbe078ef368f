"""What is live in Slack's texts, `<...>`: mentions, links, dates. Everything else between the brackets stays text."""

from __future__ import annotations

import html as entities
import re
from datetime import UTC, datetime

from sandbox.page.render.emoji import with_emoji
from sandbox.page.render.given import Names
from sandbox.page.render.html import Attributes, Html, join, tag, text

CONTROL = r"<[^<>\n]+>"
ENTITY = r"&(?:amp|lt|gt);"
ADDRESS = r"https?://(?:(?!&[lg]t;)[^\s<>|`])*(?!&[lg]t;)[^\s<>|`.,;:!?'\")\]}*_~]"
"""A bare address, which Slack links unless the text is verbatim; punctuation after it does not belong to it."""

_SAFE = re.compile(r"(?:https?://|mailto:)[^\s\x00-\x1f\x7f]+", re.IGNORECASE)
_ENTITY = re.compile(ENTITY)
_DATE = re.compile(r"!date\^(-?\d{1,12})\^([^^|]*)(?:\^([^|]*))?")


def resolve(value: str) -> str:
    """The three entities of Slack's texts, resolved once."""
    return _ENTITY.sub(lambda found: entities.unescape(found[0]), value)


def is_safe(url: str) -> bool:
    """Whether it is a web or mail address, which alone are linked."""
    return _SAFE.fullmatch(url) is not None


def link(url: str, *shown: str) -> Html:
    """A link to a web or mail address; any other address stays what is shown for it."""
    if not is_safe(url):
        return join(shown)
    attributes = {"class": "bk-link", "href": url, "rel": "noopener noreferrer", "target": "_blank"}
    return tag("a", attributes, *shown)


def mention(shown: str) -> Html:
    return tag("span", {"class": "bk-mention"}, shown)


def user(id: str, names: Names, label: str = "") -> Html:
    return mention(f"@{names.users.get(id) or label or id}")


def channel(id: str, names: Names, label: str = "") -> Html:
    """A channel's name, which goes there."""
    attributes = {"type": "button", "class": "bk-mention bk-goto", "data-act": "goto", "data-channel": id}
    return tag("button", attributes, f"#{names.channels.get(id) or label or id}")


def broadcast(name: str) -> Html:
    return tag("span", {"class": "bk-mention bk-broadcast"}, f"@{name}")


def date(unix: object, pattern: str, fallback: str, url: str = "") -> Html:
    """An instant for the page to show in the reader's zone by `pattern` (Slack's tokens); `fallback` until then."""
    try:
        instant = datetime.fromtimestamp(int(str(unix)), UTC)
    except (ValueError, OverflowError, OSError):  # no instant that a calendar knows
        return text(fallback)
    iso = instant.isoformat().replace("+00:00", "Z")
    attributes: Attributes = {"class": "bk-time", "data-unix": int(instant.timestamp()), "data-format": pattern}
    shown = tag("time", {**attributes, "datetime": iso}, fallback or iso)
    return link(url, shown) if url else shown


def control(found: str, names: Names) -> Html:
    """`<...>` as Slack shows it."""
    inner, _, label = found[1:-1].partition("|")
    label = resolve(label)
    if inner.startswith("!date^") and (parts := _DATE.fullmatch(inner)):
        return date(parts[1], resolve(parts[2]), label, resolve(parts[3] or ""))
    if re.fullmatch(r"@[UW][A-Z0-9]+", inner):
        return user(inner[1:], names, label)
    if re.fullmatch(r"#[CGD][A-Z0-9]+", inner):
        return channel(inner[1:], names, label)
    if inner.startswith("!"):
        return _special(inner[1:], label) or text(resolve(found))
    url = resolve(inner)
    if is_safe(url):
        return link(url, *(with_emoji(label) if label else [url]))
    return text(label if label and ":" in inner else resolve(found))


def _special(name: str, label: str) -> Html | None:
    if name in ("here", "channel", "everyone"):
        return broadcast(name)
    if name.startswith("subteam^"):
        return mention(label if label.startswith("@") else f"@{label or name.removeprefix('subteam^')}")
    return text(label) if label else None
