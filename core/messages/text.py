"""Foreign text made harmless for Slack, and the few live things the bot writes itself (times, mentions, links).

In mrkdwn `<...>` is live (mentions, links, broadcasts), `* _ ~` and backticks format, `:name:` becomes an emoji, and a
line that starts with `>` is a quote even when it is escaped. Slack also links bare addresses in the top-level text.
Lengths are UTF-16 units of what is sent: the strictest way Slack may count.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

ELLIPSIS = "…"
_BREAK = "\u200b"  # zero-width space: what stands around it is no longer one word to Slack
# Lookalikes, since a zero-width space counts as a word boundary and so may even help a formatting character.
_ALIKE = {"*": "\u2217", "~": "\u223c", "`": "\u02cb", "_": "\u02cd"}

_ANSI = re.compile(r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~])")
_LINE_END = re.compile("\r\n?|[\u0085\u2028\u2029]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_FORMAT = re.compile(
    r"[*~`]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # inside a word an underscore formats nothing: names stay copyable
    r"|:(?=[\w+'-]*[^\W\d][\w+'-]*:)"  # :emoji:
    r"|(?<=:)(?=//)|(?<=\w)\.(?=[^\W\d]{2})"  # addresses Slack would turn into links
)
_TOKEN = re.compile(r"&(?:amp|lt|gt);|<[^<>]*>|```|.", re.DOTALL)
_USER = re.compile(r"[UW][A-Z0-9]{2,}")


def escape(text: str) -> str:
    """The three characters that are live in mrkdwn, escaped once. Formatting still works: for foreign text see
    `literal` and `mono`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """What a person typed: Slack sends slash-command text with the three characters escaped."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def clean(text: str) -> str:
    """Without ANSI sequences, control characters, text-direction marks and lone surrogates; line ends are \\n."""
    text = _LINE_END.sub("\n", _ANSI.sub("", text)).replace("\t", "    ")
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub("", text))


def plain(text: str, limit: int) -> str:
    """Foreign text for a plain_text object: one line, cleaned, at most `limit` long. Nothing is live there."""
    return shorten(_one_line(text), limit, whole=False)


def literal(text: str, limit: int) -> str:
    """Foreign text for mrkdwn, shown as it is: one line, escaped, formats nothing, links nothing, pings nobody.

    At most `limit` long after escaping. Copied out of Slack it may hold lookalikes: identifiers go in `mono`.
    """
    marked = escape(_FORMAT.sub(lambda found: _ALIKE.get(found[0], found[0] + _BREAK), _one_line(text)))
    if marked.startswith("&gt;"):
        marked = _BREAK + marked
    return shorten(marked, limit)


def mono(text: str, limit: int) -> str:
    """Foreign text as a code span: one line, escaped, copyable. At most `limit` long; "-" where nothing is left."""
    line = _one_line(text).replace("`", "'")
    return "`" + (shorten(escape(line), limit - 2) or "-") + "`"


def preformatted(text: str, limit: int) -> str:
    """Foreign text as a code block of several lines, at most `limit` long. "" where nothing is left."""
    body = clean(text).strip("\n").replace("`", "'")
    return f"```\n{shorten(escape(body), limit - 8)}\n```" if body.strip() else ""


def at(instant: datetime) -> str:
    """An absolute time in the reader's own zone; UTC where Slack cannot render it."""
    return _date(instant, "{date_short_pretty} {time}")


def ago(instant: datetime) -> str:
    """How long ago, counted by the reader's client, so that a message left alone stays right."""
    return _date(instant, "{ago}")


def utc(instant: datetime) -> str:
    """The same instant as plain text, for places where nothing is live."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, word: str) -> str:
    """ "1 device", "2 devices"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def mention(user: str) -> str:
    """A live mention of one person, for the few who must be called. Anything that is no user id stays text."""
    return f"<@{user}>" if _USER.fullmatch(user) else literal(user, 80)


def link(url: str, label: str) -> str:
    """A live link to an address from the settings. Anything that is no http(s) address is shown as its label."""
    name = literal(label, 150).replace("|", "¦")
    if not re.fullmatch(r"https?://[^\s<>|]{1,2000}", url) or not name:
        return name
    return f"<{escape(url)}|{name}>"


def links(templates: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    """Live links from the settings' templates (label -> URL with {name}), values quoted. A template that names a value
    we do not have is left out."""
    quoted = {name: quote(value, safe="") for name, value in values.items()}
    return [
        link(template.format_map(quoted), label)
        for label, template in templates.items()
        if {name for _, name, _, _ in string.Formatter().parse(template) if name is not None} <= quoted.keys()
    ]


def size(text: str) -> int:
    """Length as Slack may count it, in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def shorten(text: str, limit: int, *, whole: bool = True) -> str:
    """At most `limit` long, ending in an ellipsis where something was cut.

    `whole` (mrkdwn): never cut inside an entity or `<...>`, and close a code span or block that the cut left open.
    """
    if size(text) <= limit:
        return text
    room = limit - size(ELLIPSIS) - (4 if whole else 0)
    if room <= 0:
        return ELLIPSIS[: max(limit, 0)]
    kept: list[str] = []
    for token in (found[0] for found in _TOKEN.finditer(text)) if whole else text:
        room -= size(token)
        if room < 0:
            break
        kept.append(token)
    cut = "".join(kept).rstrip() + ELLIPSIS
    if not whole:
        return cut
    if cut.count("```") % 2:
        return cut + "\n```"
    return cut + "`" if cut.replace("```", "").count("`") % 2 else cut


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", clean(text)).strip()


def _date(instant: datetime, tokens: str) -> str:
    return f"<!date^{int(instant.timestamp())}^{tokens}|{utc(instant)}>"
