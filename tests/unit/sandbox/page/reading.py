"""Rendered HTML read as a browser reads it: elements, what is shown, and whether every tag is closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "hr", "input"}
APART = {"br", "div", "p", "pre", "blockquote", "li", "tr", "hr", "header", "h2", "h3", "h4", "option", "summary"}


@dataclass(slots=True)
class Element:
    name: str
    attributes: dict[str, str | None]
    shown: str = ""


@dataclass(slots=True)
class Reading:
    """`elements` in order, each with the text in it; `shown` is all text, lines apart."""

    elements: list[Element] = field(default_factory=list)
    shown: str = ""

    def all(self, name: str, **attributes: str) -> list[Element]:
        wanted = {key.replace("_", "-"): value for key, value in attributes.items()}
        return [e for e in self.elements if e.name == name and wanted.items() <= e.attributes.items()]

    def one(self, name: str, **attributes: str) -> Element:
        (found,) = self.all(name, **attributes)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.reading = Reading()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len({name for name, _ in attrs}), f"an attribute twice in <{tag}>"
        element = Element(tag, dict(attrs))
        self.reading.elements.append(element)
        if tag in APART:
            self.handle_data("\n")
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop().name == tag
        if tag in APART:
            self.handle_data("\n")

    def handle_data(self, data: str) -> None:
        self.reading.shown += data
        for element in self.open:
            element.shown += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl!r}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data!r}")


def read(html: str) -> Reading:
    """Raises AssertionError where a browser would have to repair something."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert not parser.open, f"not closed: {[one.name for one in parser.open]}"
    return parser.reading
