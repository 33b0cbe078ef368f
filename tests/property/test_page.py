"""Whatever text stands in whatever place, the page shows it as text: no element, attribute or address that the renderer
did not mean."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandbox.page.render import Names, home_html, message_html, modal_html, mrkdwn_html
from sandbox.slack.blocks import check_message_blocks
from sandbox.slack.errors import SlackError
from sandbox.slack.limits import Limits
from tests.unit.sandbox.page.reading import Reading, read

GOLDEN = Path(__file__).parents[1] / "unit" / "sandbox" / "page" / "golden"
CASES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text("utf-8")) for path in GOLDEN.glob("*.json")}
SHOWN = sorted(name for name, case in CASES.items() if "mrkdwn" not in case and name != "message-text-only")
MESSAGES = [name for name in SHOWN if "message" in CASES[name]]

ACTS = {"data-act", "data-action", "data-block", "data-confirm", "data-value", "aria-label"}
CONTROL = {
    "name", "data-type", "data-act", "data-action", "data-block", "data-confirm", "aria-label", "id", "required",
    "aria-describedby", "aria-invalid", "autofocus",
}  # fmt: skip
MEANT: dict[str, set[str]] = {
    **{name: set() for name in ("br", "strong", "em", "del", "u", "tr", "thead", "tbody", "caption", "p_")},
    **{name: set() for name in ("code", "blockquote", "li", "header", "footer", "h2", "h3", "h4", "figure", "hr")},
    **{name: set() for name in ("figcaption", "legend", "form", "td", "table")},
    "span": {"role", "aria-label"},
    "div": {"tabindex"},
    "pre": {"tabindex"},
    "p": {"id", "role"},
    "ul": set(),
    "ol": {"start"},
    "th": {"scope"},
    "meter": {"min", "max", "value", "aria-hidden"},
    "time": {"data-unix", "data-format", "datetime"},
    "a": {"href", "rel", "target"} | ACTS,
    "button": {"type", "data-channel", "data-close-view", "disabled"} | ACTS,
    "details": {"open"},
    "summary": {"aria-label"},
    "label": {"for"},
    "fieldset": {"id", "role", "aria-label", "aria-describedby", "aria-invalid"},
    "select": {"multiple", "size"} | CONTROL,
    "option": {"value", "selected"},
    "optgroup": {"label"},
    "textarea": {"rows", "minlength", "maxlength", "placeholder"} | CONTROL,
    "input": {
        "type", "value", "checked", "placeholder", "autocomplete", "min", "max", "step", "minlength", "maxlength",
        "data-unix", "accept", "multiple",
    } | CONTROL,
}  # fmt: skip
VALUES = {
    "class": r"bk-[a-z0-9_-]+( bk-[a-z0-9_-]+)*",
    "href": r"(?i)(https?://|mailto:)[^\s\x00-\x1f\x7f]+",
    "rel": "noopener noreferrer",
    "target": "_blank",
    "type": "button|submit|text|number|email|url|date|time|datetime-local|checkbox|radio|file",
    "data-act": "press|choose|goto",
    "id": r"bk-[a-z]+-[0-9a-f]{10}",
    "for": r"bk-input-[0-9a-f]{10}",
    "role": "img|group|radiogroup|alert",
    "tabindex": "0",
    "data-unix": r"-?\d+",
    "start": r"\d+",
}

pieces = st.sampled_from(
    [
        "<", ">", '"', "'", "&", "&lt;", "&#60;", "&quot;", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
        '"><b>', "' onclick='x", "</pre>", "</textarea>", "<!--", "]]>", "javascript:alert(1)", "<javascript:x|y>",
        "[a](javascript:x)", "![a](data:x)", "<https://a.b|c>", 'https://a.b/"onclick=x', "<@U1|<b>>", '<#C1|">',
        "<!date^1^{time}^https://a.b|x>", '<!date^9^"><b>|<i>>', '<@U0"x>', '<!subteam^S|">', "*", "**", "_", "~~", "`",
        "```", ":x:", ':"<b>:', "> ", ">>> ", "&gt; ", "\n", "\r\n", "\r", "\t", "# ", "- ", "1. ", "\x00", "\ud800",
        "| a | b |\n|--|--|\n", "\u202e", "\x1b[31m", "\u2028", "█▒░", "🔥", "https://", "mailto:a@b\tc",
        "https://a.b/\x7f",
    ]
)  # fmt: skip
foreign = st.lists(st.one_of(pieces, st.text(st.characters(), max_size=12)), min_size=1, max_size=12).map("".join)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), foreign),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(foreign, inner, max_size=3)),
    max_leaves=6,
)
names = st.builds(
    Names,
    st.dictionaries(st.sampled_from(["U1", "U0ALICE1", "U0BOB"]), foreign, max_size=3),
    st.dictionaries(st.sampled_from(["C1", "C0ALARMS"]), foreign, max_size=2),
)


def check(html: str) -> Reading:
    """Only what the renderer means, nested as a browser would keep it."""
    html.encode()
    reading = read(html)
    for element in reading.elements:
        assert element.name in MEANT, element
        assert element.attributes.keys() <= MEANT[element.name] | {"class"}, element
        for name, value in element.attributes.items():
            if name in VALUES:
                assert re.fullmatch(VALUES[name], value or ""), element
    assert not re.search(r"<(a|button)\b[^>]*>(?:(?!</\1>).)*<(a|button)\b", html, re.DOTALL), "one control in another"
    assert not re.search(r"<p\b[^>]*>(?:(?!</p>).)*<(p|div|pre|ul|ol|blockquote)\b", html, re.DOTALL), (
        "a block in a <p>"
    )
    return reading


def render(case: dict[str, Any], named: Names) -> str:
    if "message" in case:
        return message_html(case["message"]["text"], case["message"]["blocks"], named)
    if "modal" in case:
        return modal_html(case["modal"]["view"], case["modal"]["errors"], named)
    return home_html(case["home"], named)


def places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Every object or list in a case below its outermost ones, with each key or index in it."""
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if depth > 1:
                yield value, key
            yield from places(inner, depth + 1)


@st.composite
def changed(draw: st.DrawFn, values: st.SearchStrategy[Any], names: list[str]) -> dict[str, Any]:
    """A case of the golden files in which some places hold something else."""
    case: dict[str, Any] = copy.deepcopy(CASES[draw(st.sampled_from(names))])
    found = list(places(case))
    for at in draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=8)):
        place, key = found[at]
        place[key] = draw(values)
    return case


@settings(max_examples=200, deadline=None)
@given(foreign, st.booleans(), names)
def test_no_text_becomes_markup_in_mrkdwn_or_markdown(text: str, verbatim: bool, named: Names) -> None:
    check(mrkdwn_html(text, named, verbatim=verbatim))
    check(message_html(text, [], named))
    check(message_html("", [{"type": "markdown", "text": text}], named))


@settings(max_examples=200, deadline=None)
@given(changed(foreign, SHOWN), names)
def test_no_text_becomes_markup_wherever_it_stands_in_blocks(case: dict[str, Any], named: Names) -> None:
    check(render(case, named))


def is_stored(block: Any) -> bool:
    """Whether Slack would take a message of this block."""
    try:
        return bool(check_message_blocks([block], Limits()))
    except SlackError:
        return False


@settings(max_examples=150, deadline=None)
@given(changed(anything, MESSAGES), names)
def test_all_that_slack_would_store_is_rendered(case: dict[str, Any], named: Names) -> None:
    stored = [block for block in case["message"]["blocks"] if is_stored(block)]
    shown = check(message_html("", stored, named)).shown
    assert "[block of type" not in shown


@settings(max_examples=200, deadline=None)
@given(changed(anything, SHOWN), names)
def test_no_shape_of_blocks_stops_the_page(case: dict[str, Any], named: Names) -> None:
    """Not even those that Slack would refuse."""
    check(render(case, named))


def literal_places(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Blocks and a modal in which the text stands in every kind of place where nothing is live."""
    plain = {"type": "plain_text", "text": text, "emoji": False}
    option = {"text": plain, "value": text}
    leaf = {"type": "text", "text": text}
    button = {"type": "button", "action_id": text, "text": plain, "value": text, "confirm": {"title": plain}}
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": plain},
        {"type": "section", "text": plain, "fields": [plain], "accessory": button},
        {"type": "context", "elements": [plain, {"type": "image", "alt_text": plain}]},
        {"type": "actions", "elements": [button, {"type": "overflow", "options": [option]}]},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [leaf]}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": text}]]},
        {"type": text, "block_id": text},
    ]
    element = {"type": "static_select", "placeholder": plain, "options": [option]}
    typed = {"type": "plain_text_input", "initial_value": text, "placeholder": plain}
    inputs = [
        {"type": "input", "block_id": "b", "label": plain, "hint": plain, "element": one} for one in (element, typed)
    ]
    return blocks, {"title": plain, "submit": plain, "close": plain, "blocks": inputs}


@settings(max_examples=200, deadline=None)
@given(foreign)
def test_text_in_a_literal_place_changes_no_element_and_is_read_as_it_came(text: str) -> None:
    assume(text.strip("\n"))
    one_line = re.sub("[\n\r]", " ", text)
    blocks, view = literal_places(one_line)
    quiet_blocks, quiet_view = literal_places("x")
    named = Names({}, {})
    for html, quiet in (
        (message_html("", blocks, named), message_html("", quiet_blocks, named)),
        (modal_html(view, {"b": one_line}, named), modal_html(quiet_view, {"b": "x"}, named)),
    ):
        reading, expected = check(html), read(quiet)
        assert [element.name for element in reading.elements] == [element.name for element in expected.elements]
        shown = re.sub("[\x00\ud800-\udfff]", "\ufffd", one_line)
        for element, quiet_element in zip(reading.elements, expected.elements, strict=True):
            assert element.attributes.keys() == quiet_element.attributes.keys()
            if quiet_element.shown == "x":
                assert element.shown == shown
            for name, value in quiet_element.attributes.items():
                if value == "x":
                    assert element.attributes[name] == shown
