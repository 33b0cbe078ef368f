"""The filter language of `q=` as far as hawkBit answers it: `a==b;c!=d,(e=in=(f,g))`, `*` as wildcard, case ignored.

`;` or `and` binds stronger than `,` or `or`. A field a list does not know is one error, bad syntax another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.hawkbit import errors

Getter = Callable[[Any], Any]
Test = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>==|!=|=[a-z]+=|<=|>=|<|>)|(?P<sep>[;,()])|"(?P<dq>(?:[^"\\]|\\.)*)"|'(?P<sq>(?:[^'\\]|\\.)*)'"""
    r"""|(?P<word>[^\s;,()=!<>"']+))"""
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=lt=": lambda a, b: a < b,
    "<": lambda a, b: a < b,
    "=le=": lambda a, b: a <= b,
    "<=": lambda a, b: a <= b,
    "=gt=": lambda a, b: a > b,
    ">": lambda a, b: a > b,
    "=ge=": lambda a, b: a >= b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one list: name in lower case -> how to read it. `words` limits a field to an enum.

    `prefix` serves open families such as `attribute.X`: prefix -> reader of the rest of the name.
    """

    getters: Mapping[str, Getter]
    words: Mapping[str, frozenset[str]]
    prefix: Mapping[str, Callable[[str], Getter]]

    def getter(self, name: str) -> Getter:
        lowered = name.lower()
        if lowered in self.getters:
            return self.getters[lowered]
        for start, family in self.prefix.items():
            if lowered.startswith(start):
                return family(name[len(start) :])
        raise errors.rsql_field()


@dataclass(frozen=True, slots=True)
class Query:
    """`test` decides a row; `equals` are the plain `field==value` terms that every match must meet (for narrowing)."""

    test: Test
    equals: Mapping[str, str]


def parse(text: str, fields: Fields) -> Query:
    """Raises ApiError 400 as hawkBit does."""
    parser = _Parser(list(_tokens(text)), fields)
    test, equals = parser.disjunction()
    if parser.peek() is not None:
        raise errors.rsql_syntax()
    return Query(test, equals)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise errors.rsql_syntax()
        position = match.end()
        kind = str(match.lastgroup)
        value = match.group(kind)
        if kind in ("dq", "sq"):
            yield _Token("value", re.sub(r"\\(.)", r"\1", value))
        elif kind == "word" and value.lower() in ("and", "or"):
            yield _Token("sep", ";" if value.lower() == "and" else ",")
        else:
            yield _Token(kind, value)


class _Parser:
    def __init__(self, tokens: list[_Token], fields: Fields) -> None:
        self.tokens = tokens
        self.fields = fields
        self.at = 0

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, *kinds: str, text: str | None = None) -> _Token:
        token = self.peek()
        if token is None or token.kind not in kinds or (text is not None and token.text != text):
            raise errors.rsql_syntax()
        self.at += 1
        return token

    def follows(self, text: str) -> bool:
        token = self.peek()
        if token is None or token != _Token("sep", text):
            return False
        self.at += 1
        return True

    def disjunction(self) -> tuple[Test, Mapping[str, str]]:
        test, equals = self.conjunction()
        while self.follows(","):
            right, _ = self.conjunction()
            test, equals = _either(test, right), {}
        return test, equals

    def conjunction(self) -> tuple[Test, Mapping[str, str]]:
        test, equals = self.term()
        while self.follows(";"):
            right, more = self.term()
            test, equals = _both(test, right), {**equals, **more}
        return test, equals

    def term(self) -> tuple[Test, Mapping[str, str]]:
        if self.follows("("):
            inside = self.disjunction()
            self.take("sep", text=")")
            return inside
        name = self.take("word").text
        operator = self.take("op").text
        values = self.values() if operator in ("=in=", "=out=") else [self.take("word", "value").text]
        test = _comparison(name.lower(), self.fields, operator, values, self.fields.getter(name))
        plain = operator == "==" and "*" not in values[0]
        return test, ({name.lower(): values[0]} if plain else {})

    def values(self) -> list[str]:
        self.take("sep", text="(")
        found = [self.take("word", "value").text]
        while self.follows(","):
            found.append(self.take("word", "value").text)
        self.take("sep", text=")")
        return found


def _either(left: Test, right: Test) -> Test:
    return lambda row: left(row) or right(row)


def _both(left: Test, right: Test) -> Test:
    return lambda row: left(row) and right(row)


def _comparison(name: str, fields: Fields, operator: str, values: list[str], get: Getter) -> Test:
    allowed = fields.words.get(name)
    if allowed is not None and any(value.lower() not in allowed for value in values):
        raise errors.rsql_field()
    if operator in _ORDER:
        compare, bound = _ORDER[operator], values[0]
        return lambda row: _ordered(compare, get(row), bound)
    if operator in ("==", "=in="):
        matchers = [_matcher(value) for value in values]
        return lambda row: any(match(get(row)) for match in matchers)
    if operator in ("!=", "=out="):
        # Also true where there is no value at all: `installedds.version!=2` matches devices without a set (measured).
        matchers = [_matcher(value) for value in values]
        return lambda row: not any(match(get(row)) for match in matchers)
    raise errors.rsql_syntax()


def _ordered(compare: Callable[[Any, Any], bool], value: Any, bound: str) -> bool:
    if value is None:
        return False
    if isinstance(value, int):
        try:
            return compare(value, int(bound))
        except ValueError:
            raise errors.rsql_field() from None
    return compare(str(value).lower(), bound.lower())


def _matcher(value: str) -> Callable[[Any], bool]:
    lowered = value.lower()
    if lowered.endswith("*") and "*" not in lowered[:-1]:
        return lambda found: found is not None and _text(found).startswith(lowered[:-1])
    if "*" in lowered:
        pattern = re.compile(".*".join(re.escape(part) for part in lowered.split("*")), re.DOTALL)
        return lambda found: found is not None and pattern.fullmatch(_text(found)) is not None
    return lambda found: found is not None and _text(found) == lowered


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value).lower()
