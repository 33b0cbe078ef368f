"""Pairing of the signs that format text, in one pass and without backtracking, whatever the text is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.page.render.html import Html, join, tag, text

MOST_OPEN = 16
"""Signs that may wait for their partner at a time; text full of them stays quick to read."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign in the text, or several of the same, that may begin or end formatting there."""

    sign: str
    opens: bool
    closes: bool


@dataclass(slots=True)
class _Open:
    sign: str
    inside: list[Html] = field(default_factory=list)


def formatted(
    pieces: Iterable[Html | Mark | None], tags: Mapping[str, tuple[str, ...]], *, nests: bool = False
) -> Html:
    """The pieces, with what stands between two equal signs in the `tags` of that sign (outermost first).

    None is a place that no formatting reaches over. A sign without a partner stays text. `nests`: a sign that is open
    may open once more, so that the last one before an end is its partner, and not the first one.
    """
    stack = [_Open("")]
    for piece in pieces:
        if piece is None:
            _close(stack, 1)
        elif isinstance(piece, Mark):
            _mark(stack, piece, tags, nests)
        else:
            stack[-1].inside.append(piece)
    _close(stack, 1)
    return join(stack[0].inside)


def _mark(stack: list[_Open], mark: Mark, tags: Mapping[str, tuple[str, ...]], nests: bool) -> None:
    left = mark.sign
    while mark.closes and (at := _partner(stack, left)) is not None:
        _close(stack, at + 1)
        one = stack.pop()
        shown = join(one.inside)
        for name in reversed(tags[one.sign]):
            shown = tag(name, None, shown)
        stack[-1].inside.append(shown)
        left = left[len(one.sign) :]
    is_new = len(stack) < MOST_OPEN if nests else all(one.sign != left for one in stack)
    if left and mark.opens and left in tags and is_new:
        stack.append(_Open(left))
    elif left:
        stack[-1].inside.append(text(left))


def _partner(stack: list[_Open], signs: str) -> int | None:
    """The innermost open sign that the first of `signs` end, unless there is nothing in between."""
    for at in range(len(stack) - 1, 0, -1):
        if signs.startswith(stack[at].sign):
            return at if stack[at].inside or at + 1 < len(stack) else None
    return None


def _close(stack: list[_Open], depth: int) -> None:
    """Signs above `depth` found no partner: they are text."""
    while len(stack) > depth:
        one = stack.pop()
        stack[-1].inside += [text(one.sign), *one.inside]
