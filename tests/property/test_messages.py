"""Whatever text arrives, it stays text and the message fits."""

from __future__ import annotations

import re
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from core.messages.blocks import (
    Block,
    Button,
    Confirm,
    actions,
    annotate,
    code,
    compose,
    context,
    fields,
    header,
    section,
)
from core.messages.fold import fold, folded, unfold
from core.messages.text import clean, literal, mono, plain, preformatted, size
from tests.unit.core.test_messages import assert_fits

pieces = st.sampled_from(
    [
        "<!channel>",
        "<@U0123>",
        "&amp;",
        "`",
        "```",
        "*",
        "_",
        "~",
        ":x:",
        "\x1b[31m",
        "\u202e",
        "${deviceName}",
        "\n",
        "🔥",
    ]
)
foreign = st.lists(st.one_of(pieces, st.text(st.characters(), max_size=20)), max_size=40).map("".join)
huge = st.builds(lambda text, times: text * times, foreign, st.integers(1, 400))


@given(foreign, st.integers(4, 300))
def test_foreign_text_is_bounded_and_has_nothing_live(text: str, limit: int) -> None:
    shown = literal(text, limit)
    assert size(shown) <= limit
    assert not re.search(r"[<>*~`\n]|&(?!amp;|lt;|gt;)", shown)
    assert not re.search(r":[a-z0-9_+'-]*[a-z][a-z0-9_+'-]*:|://", shown)
    shown.encode()


@given(foreign, st.integers(8, 300))
def test_code_is_closed_and_holds_no_backtick_of_its_own(text: str, limit: int) -> None:
    span, block = mono(text, limit), preformatted(text, limit + 10)
    assert size(span) <= limit
    assert re.fullmatch(r"`[^`<>\n]+`", span)
    assert size(block) <= limit + 10
    assert block == "" or re.fullmatch(r"```\n[^`<>]+\n```", block)


@given(foreign)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert "\n" not in plain(text, 100)


names = st.one_of(
    st.from_regex(r"(gw-|a-gw-|press_|)[0-9]{1,4}(-eth0|b|)", fullmatch=True),
    st.from_regex(r"[0-9]{8,25}", fullmatch=True),
    st.text(max_size=12),
    st.text('[]-,"\\ 0123', max_size=8),
)


@given(st.lists(names, max_size=60))
def test_folded_names_unfold_to_the_same_names(given_names: list[str]) -> None:
    found = fold(given_names)
    assert found.more == 0
    shown = unfold(found.text)
    assert len(shown) == len(set(shown))
    assert set(shown) == set(given_names)


@given(st.lists(names, max_size=60), st.randoms(use_true_random=False))
def test_the_same_names_fold_alike_in_any_order(given_names: list[str], random: Random) -> None:
    shuffled = [*given_names, *given_names[:5]]
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(given_names)


@given(st.lists(names, min_size=1, max_size=60), st.integers(1, 200))
def test_what_does_not_fit_is_counted(given_names: list[str], limit: int) -> None:
    found = fold(given_names, limit)
    shown = unfold(found.text)
    assert size(found.text) <= limit
    assert set(shown) <= set(given_names)
    assert len(shown) + found.more == len(set(given_names))


@given(st.lists(st.one_of(names, foreign), min_size=1, max_size=30), st.integers(1, 200))
def test_folded_names_are_only_text(given_names: list[str], limit: int) -> None:
    shown = folded(given_names, limit)
    assert re.fullmatch(r"`[^`<>\n]+`( and \d+ more)?|\d+ devices? with long names", shown)
    assert not re.search(r"&(?!amp;|lt;|gt;)", shown)


def blocks() -> st.SearchStrategy[Block]:
    safe = huge.map(lambda text: literal(text, 5_000))
    button = st.builds(
        Button,
        st.text("abc:", min_size=1, max_size=4),
        foreign,
        st.text(max_size=50),
        st.sampled_from([None, "primary", "danger"]),
        st.one_of(st.none(), st.builds(Confirm, foreign, huge)),
    )
    return st.one_of(
        st.builds(header, huge),
        st.builds(section, safe, st.one_of(st.none(), button)),
        st.lists(st.tuples(st.just("Label"), safe), max_size=25).map(lambda pairs: fields(*pairs)),
        st.lists(safe, max_size=15).map(lambda texts: context(*texts)),
        st.lists(button, max_size=40).map(lambda buttons: actions(*buttons)),
        st.builds(
            lambda row, more: actions(*row, more=more), st.lists(button, max_size=5), st.lists(button, max_size=8)
        ),
        st.builds(code, huge),
    )


@settings(max_examples=25, deadline=None)
@given(huge, st.lists(st.tuples(blocks(), st.integers(1, 9)), max_size=8))
def test_every_composed_message_fits_slack(text: str, parts: list[tuple[Block, int]]) -> None:
    message = compose(literal(text, 10_000), *[block for block, times in parts for _ in range(times)])
    assert_fits(message)
    assert_fits(annotate(message, "shown 75 s late"))
