"""Tables, and charts as tables of their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sandbox.page.render.given import Names, Part, kind, part, parts, texts, words
from sandbox.page.render.html import EMPTY, Html, join, tag
from sandbox.page.render.richtext import rich_text_html

ALIGN = {"center": "bk-center", "right": "bk-right"}


def grid(
    rows: Sequence[Sequence[Html]],
    aligns: Sequence[str] = (),
    *,
    caption: str = "",
    unwrapped: Sequence[bool] = (),
    row_header: int | None = None,
) -> Html:
    """A table whose first row is its head, in a box of its own that scrolls. `aligns` is by column."""

    def cell(column: int, shown: Html, scope: str | None) -> Html:
        names = [ALIGN[aligns[column]]] if column < len(aligns) and aligns[column] in ALIGN else []
        if column < len(unwrapped) and unwrapped[column]:
            names.append("bk-nowrap")
        attributes = {"class": " ".join(names) or None, "scope": scope}
        return tag("th" if scope else "td", attributes, shown)

    def row(cells: Sequence[Html], *, head: bool) -> Html:
        scopes = ["col" if head else "row" if column == row_header else None for column in range(len(cells))]
        return tag("tr", None, *(cell(column, one, scopes[column]) for column, one in enumerate(cells)))

    title = tag("caption", None, caption) if caption else EMPTY
    head = tag("thead", None, *(row(cells, head=True) for cells in rows[:1]))
    body = tag("tbody", None, *(row(cells, head=False) for cells in rows[1:]))
    table = tag("table", {"class": "bk-table"}, title, head, body)
    return tag("div", {"class": "bk-table-box", "tabindex": "0"}, table)


def table_html(block: Part, names: Names) -> Html:
    columns = block.get("column_settings")
    settings = [part(one) for one in columns] if isinstance(columns, list | tuple) else []
    return grid(
        _rows(block, names),
        [words(one.get("align")) for one in settings],
        unwrapped=[one.get("is_wrapped") is False for one in settings],
    )


def data_table_html(block: Part, names: Names) -> Html:
    header = block.get("row_header_column_index")
    return grid(
        _rows(block, names), caption=words(block.get("caption")), row_header=header if isinstance(header, int) else None
    )


def _rows(block: Part, names: Names) -> list[list[Html]]:
    rows = block.get("rows")
    return [[_cell(cell, names) for cell in parts(row)] for row in rows] if isinstance(rows, list | tuple) else []


def _cell(cell: Part, names: Names) -> Html:
    match kind(cell):
        case "rich_text":
            return rich_text_html(cell, names)
        case "raw_number":
            return join([words(cell.get("text")) or words(cell.get("value"))])
    return join([words(cell.get("text"))])


def chart_html(block: Part) -> Html:
    """The chart's numbers, each with a bar of its share of the largest."""
    chart = part(block.get("chart"))
    if kind(chart) == "pie":
        series = [("Value", {words(one.get("label")): one.get("value") for one in parts(chart.get("segments"))})]
        categories = list(series[0][1])
    else:
        series = [
            (
                words(one.get("name")),
                {words(point.get("label")): point.get("value") for point in parts(one.get("data"))},
            )
            for one in parts(chart.get("series"))
        ]
        categories = texts(part(chart.get("axis_config")).get("categories"))
    largest = max([_size(value) for _, points in series for value in points.values()], default=0.0)
    rows = [[join([name]), *(_number(points.get(name), largest) for _, points in series)] for name in categories]
    head = [EMPTY, *(join([name]) for name, _ in series)]
    title = words(block.get("title"))
    return grid(
        [head, *rows], ["left", *("right" for _ in series)], caption=f"{title} ({kind(chart)} chart)", row_header=0
    )


def _size(value: object) -> float:
    """A number that a bar can show; 0 for any other."""
    try:
        size = float(value) if isinstance(value, int | float) else 0.0
    except OverflowError:
        return 0.0
    return size if math.isfinite(size) and size > 0 else 0.0


def _number(value: object, largest: float) -> Html:
    share = round(_size(value) / largest * 100) if largest else 0
    return join([words(value) or "–", " ", tag("meter", {"min": 0, "max": 100, "value": share, "aria-hidden": "true"})])
