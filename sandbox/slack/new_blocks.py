"""The blocks that came since 2025: tables, charts, cards, containers, plans, alerts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sandbox.slack.elements import BUTTONS, ElementChecks, kind_of
from sandbox.slack.texts import text_size

CELLS = {"raw_text", "raw_number", "rich_text"}
CONTAINER_CHILDREN = {
    "actions", "context", "divider", "file", "header", "image", "input", "rich_text", "section", "table", "video",
}  # fmt: skip


class NewBlockChecks(ElementChecks, ABC):
    """A check per block type."""

    @abstractmethod
    def block(self, block: object, at: str) -> None:
        """Check any block: some of these hold others."""

    def table(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "rows", "column_settings")
        self._rows(block.get("rows"), f"{at}/rows", self.limits.table_rows)

    def data_table(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "rows", "caption", "page_size", "row_header_column_index")
        self.required(block, at, "caption")
        rows = block.get("rows")
        self._rows(rows, f"{at}/rows", self.limits.table_rows + 1)
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            return
        if len(rows) < 2:
            self.say("must provide a header and at least one row", f"{at}/rows")
        if len({len(row) for row in rows}) > 1:
            self.say("all rows must have the same number of cells", f"{at}/rows")
        if rows and any(isinstance(cell, dict) and cell.get("type") == "rich_text" for cell in rows[0]):
            self.say("header cells cannot be rich_text", f"{at}/rows/0")
        if text_size(rows) > self.limits.data_table_text:
            self.say(f"must be less than {self.limits.data_table_text + 1} characters", f"{at}/rows")
        self.number(block, "page_size", at, 1, 100, 5)

    def _rows(self, rows: object, at: str, allowed: int) -> None:
        def cell(part: object, where: str) -> None:
            if not isinstance(part, dict) or kind_of(part) not in CELLS:
                self.say("unsupported cell type", where)
            elif part["type"] == "rich_text":
                self.block(part, where)
            elif part["type"] == "raw_text":
                self.string(part.get("text"), f"{where}/text", self.limits.text)
            elif part["type"] == "raw_number":
                self.required(part, where, "value")

        self.each(
            rows, at, allowed,
            lambda row, where: self.each(row, where, self.limits.table_columns, cell),
        )  # fmt: skip

    def chart(self, block: dict[str, Any], at: str) -> None:
        limits = self.limits
        self.only(block, at, "title", "chart")
        self.string(block.get("title"), f"{at}/title", limits.chart_title)
        chart = block.get("chart")
        if not isinstance(chart, dict) or kind_of(chart) not in {"bar", "line", "area", "pie"}:
            self.say("unsupported chart type", f"{at}/chart")
            return

        def point(part: object, where: str) -> None:
            if self.required(part, where, "label", "value") and isinstance(part, dict):
                self.string(part["label"], f"{where}/label", limits.chart_label)

        if chart["type"] == "pie":
            self.each(chart.get("segments"), f"{at}/chart/segments", limits.chart_series, point)
            return
        axis = chart.get("axis_config")
        categories = axis.get("categories") if isinstance(axis, dict) else None
        self.each(
            categories, f"{at}/chart/axis_config/categories", limits.chart_points,
            lambda part, where: self.string(part, where, limits.chart_label),
        )  # fmt: skip

        def series(part: object, where: str) -> None:
            if not self.required(part, where, "name", "data") or not isinstance(part, dict):
                return
            self.string(part["name"], f"{where}/name", limits.chart_label)
            self.each(part["data"], f"{where}/data", limits.chart_points, point)
            points = part["data"] if isinstance(part["data"], list) else []
            if [p.get("label") for p in points if isinstance(p, dict)] != categories:
                self.say("every series must cover every category", f"{where}/data")

        self.each(chart.get("series"), f"{at}/chart/series", limits.chart_series, series)

    def card(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "hero_image", "icon", "title", "subtitle", "body", "actions")
        sizes = {"title": self.limits.card_title, "subtitle": self.limits.card_title, "body": self.limits.card_body}
        for name, size in sizes.items():
            if name in block:
                self.text(block[name], f"{at}/{name}", size)
        if "actions" in block:
            ids: set[str] = set()
            self.each(
                block["actions"], f"{at}/actions", self.limits.card_buttons,
                lambda part, where: self.element(part, where, BUTTONS, ids),
            )  # fmt: skip

    def carousel(self, block: dict[str, Any], at: str) -> None:
        self.each(block.get("elements"), f"{at}/elements", self.limits.carousel_cards, self.block)

    def container(self, block: dict[str, Any], at: str) -> None:
        if "title" in block:
            self.text(block["title"], f"{at}/title", self.limits.card_title, ("plain_text",))

        def child(part: object, where: str) -> None:
            if kind_of(part) not in CONTAINER_CHILDREN:
                self.say(f"unsupported type: {kind_of(part)}", f"{where}/type")
            else:
                self.block(part, where)

        self.each(block.get("child_blocks"), f"{at}/child_blocks", self.limits.container_children, child)

    def plan(self, block: dict[str, Any], at: str) -> None:
        self.string(block.get("title"), f"{at}/title", self.limits.text)
        self.each(block.get("tasks", []), f"{at}/tasks", self.limits.plan_tasks, self.block, empty=True)

    def task_card(self, block: dict[str, Any], at: str) -> None:
        for name in ("task_id", "title", "status"):
            self.string(block.get(name), f"{at}/{name}", self.limits.text)
        for name in ("details", "output"):
            if name in block:
                self.block(block[name], f"{at}/{name}")

    def alert(self, block: dict[str, Any], at: str) -> None:
        self.text(block.get("text"), f"{at}/text", self.limits.alert_text)

    def video(self, block: dict[str, Any], at: str) -> None:
        for name in ("video_url", "thumbnail_url", "alt_text"):
            self.string(block.get(name), f"{at}/{name}", self.limits.url)
        self.text(block.get("title"), f"{at}/title", self.limits.video_title, ("plain_text",))
