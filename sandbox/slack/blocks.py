"""Block Kit as Slack checks it: unknown types, shapes, counts, lengths and duplicate ids.

Complaints are worded as the real validator words them, with a JSON pointer, as far as its answers are public.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from sandbox.slack.elements import CONTEXT_ACTIONS, INPUTS, INTERACTIVE, kind_of
from sandbox.slack.errors import SlackError
from sandbox.slack.limits import Limits
from sandbox.slack.new_blocks import NewBlockChecks
from sandbox.slack.texts import text_size

Surface = Literal["message", "modal", "home"]

MESSAGE_ONLY = {
    "context_actions", "markdown", "table", "data_table", "data_visualization", "task_card", "plan", "card",
    "carousel", "container", "file",
}  # fmt: skip
RICH_PARTS = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
RICH_LEAVES = {
    "text": "text", "user": "user_id", "usergroup": "usergroup_id", "broadcast": "range", "channel": "channel_id",
    "link": "url", "emoji": "name", "date": "timestamp", "color": "value", "team": "team_id",
}  # fmt: skip
NOT_IN_SDK = {"data_table", "data_visualization"}


def check_message_blocks(
    blocks: object, limits: Limits, refused: Iterable[str] = (), *, count_text: bool = True
) -> list[dict[str, Any]]:
    """The blocks if Slack would store them in a message; raises SlackError as chat.postMessage would.

    `refused` names block types this workspace does not know yet (new blocks are rolled out in phases).
    `count_text` is off for response_url posts, which seem exempt from the sum over all blocks.
    """
    checked = _check(blocks, "message", limits, refused, "/blocks")
    if checked.problems:
        raise _invalid("invalid_blocks", checked.problems)
    if len([b for b in checked.blocks if b["type"] in ("table", "data_table")]) > 1:
        raise SlackError("invalid_attachments", errors=["only_one_table_allowed"])
    if count_text and text_size(checked.blocks) > limits.message_block_text:
        raise SlackError("msg_blocks_too_long")
    return checked.blocks


def check_view_blocks(blocks: object, surface: Surface, limits: Limits, refused: Iterable[str] = ()) -> list[str]:
    """The complaints about a view's blocks, none if Slack would show it."""
    return _check(blocks, surface, limits, refused, "/view/blocks").problems


def _invalid(code: str, problems: list[str]) -> SlackError:
    return SlackError(code, errors=problems, response_metadata={"messages": [f"[ERROR] {said}" for said in problems]})


def _check(blocks: object, surface: Surface, limits: Limits, refused: Iterable[str], at: str) -> _Checks:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        if surface == "message":
            raise SlackError("invalid_blocks_format")
        checks = _Checks(surface, limits, refused, [])
        checks.say("must provide an array of blocks", at)
        return checks
    checks = _Checks(surface, limits, refused, blocks)
    checks.run(at)
    return checks


class _Checks(NewBlockChecks):
    def __init__(self, surface: Surface, limits: Limits, refused: Iterable[str], blocks: list[dict[str, Any]]) -> None:
        super().__init__(limits)
        self.surface = surface
        self.refused = frozenset(refused)
        self.blocks = blocks
        self.block_ids: set[str] = set()
        self.markdown_size = 0
        self.known: Mapping[str, Callable[[dict[str, Any], str], None]] = {
            "section": self.section,
            "header": self.header,
            "divider": lambda block, at: None,
            "context": self.context,
            "actions": self.actions,
            "context_actions": self.context_actions,
            "image": self.image,
            "input": self.input,
            "rich_text": self.rich_text,
            "markdown": self.markdown,
            "table": self.table,
            "data_table": self.data_table,
            "data_visualization": self.chart,
            "card": self.card,
            "carousel": self.carousel,
            "container": self.container,
            "plan": self.plan,
            "task_card": self.task_card,
            "alert": self.alert,
            "video": self.video,
            "file": self.file,
        }

    def run(self, at: str) -> None:
        allowed = self.limits.blocks_per_message if self.surface == "message" else self.limits.blocks_per_view
        self.count(self.blocks, at, allowed)
        for index, block in enumerate(self.blocks):
            self.block(block, f"{at}/{index}")
        if self.markdown_size > self.limits.markdown:
            self.say(f"markdown text must be less than {self.limits.markdown + 1} characters", at)
        charts = [b for b in self.blocks if b.get("type") == "data_visualization"]
        if len(charts) > self.limits.charts:
            self.say("too many data_visualization blocks", at)

    def block(self, block: object, at: str) -> None:
        if not isinstance(block, dict):
            self.say("must provide an object", at)
            return
        kind = kind_of(block)
        if "type" not in block:
            self.say("missing required field: type", at)
            return
        misplaced = (self.surface != "message" and kind in MESSAGE_ONLY) or (
            self.surface != "modal" and kind == "alert"
        )
        if kind not in self.known or kind in self.refused or misplaced:
            self.say(f"unsupported type: {kind}", f"{at}/type")
            return
        self.block_id(block, at)
        before = len(self.problems)
        self.known[kind](block, at)
        if len(self.problems) == before and kind not in NOT_IN_SDK:
            self._vendor(block, at)

    def _vendor(self, block: dict[str, Any], at: str) -> None:
        try:
            parsed = Block.parse(block)
            if parsed is not None:
                parsed.validate_json()
        except SlackObjectFormationError as complaint:
            self.say(str(complaint), at)
        except (TypeError, KeyError, ValueError, AttributeError):  # it could not even be read
            self.say("failed to match all allowed schemas", at)

    def block_id(self, block: dict[str, Any], at: str) -> None:
        name = block.get("block_id")
        if name is None:
            return
        self.string(name, f"{at}/block_id", self.limits.identifier)
        if str(name) in self.block_ids:
            self.say(f'`block_id` "{name}" already exists', f"{at}/block_id")
        self.block_ids.add(str(name))

    def section(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "text", "fields", "accessory", "expand")
        if "text" not in block and "fields" not in block:
            self.say("must define either `text` or `fields`", at)
        if "text" in block:
            self.text(block["text"], f"{at}/text", self.limits.text)
        if "fields" in block:
            self.each(
                block["fields"], f"{at}/fields", self.limits.fields,
                lambda item, where: self.text(item, where, self.limits.field_text),
            )  # fmt: skip
        if "accessory" in block:
            self.element(block["accessory"], f"{at}/accessory", {*INTERACTIVE, "image"}, set())

    def header(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "text", "level")
        self.text(block.get("text"), f"{at}/text", self.limits.header, ("plain_text",))

    def context(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "elements")

        def item(part: object, where: str) -> None:
            if kind_of(part) == "image":
                self.element(part, where, {"image"}, set())
            else:
                self.text(part, where, self.limits.text)

        self.each(block.get("elements"), f"{at}/elements", self.limits.context_elements, item)

    def actions(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "elements")
        ids: set[str] = set()
        self.each(
            block.get("elements"), f"{at}/elements", self.limits.action_elements,
            lambda part, where: self.element(part, where, INTERACTIVE, ids),
        )  # fmt: skip

    def context_actions(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "elements")
        ids: set[str] = set()
        self.each(
            block.get("elements"), f"{at}/elements", self.limits.context_action_elements,
            lambda part, where: self.element(part, where, CONTEXT_ACTIONS, ids),
        )  # fmt: skip

    def image(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "image_url", "slack_file", "alt_text", "title")
        self.picture(block, at)
        if "title" in block:
            self.text(block["title"], f"{at}/title", self.limits.alt_text, ("plain_text",))

    def input(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "label", "element", "hint", "optional", "dispatch_action")
        self.text(block.get("label"), f"{at}/label", self.limits.input_label, ("plain_text",))
        if "hint" in block:
            self.text(block["hint"], f"{at}/hint", self.limits.input_label, ("plain_text",))
        if self.required(block, at, "element"):
            self.element(block["element"], f"{at}/element", INPUTS, set())

    def rich_text(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "elements")
        self.each(block.get("elements"), f"{at}/elements", None, self._rich_part)

    def _rich_part(self, part: object, at: str) -> None:
        if kind_of(part) not in RICH_PARTS:
            self.say("unsupported rich text element", at)
        elif isinstance(part, dict):
            inner = self._rich_part if part["type"] == "rich_text_list" else self._rich_leaf
            self.each(part.get("elements"), f"{at}/elements", None, inner, empty=True)

    def _rich_leaf(self, part: object, at: str) -> None:
        needed = RICH_LEAVES.get(kind_of(part))
        if needed is None:
            self.say("unsupported rich text element", at)
        elif self.required(part, at, needed) and isinstance(part, dict) and needed != "timestamp":
            self.string(part[needed], f"{at}/{needed}", self.limits.markdown)

    def markdown(self, block: dict[str, Any], at: str) -> None:
        self.only(block, at, "text")
        self.string(block.get("text"), f"{at}/text", self.limits.markdown)
        self.markdown_size += len(str(block.get("text", "")))

    def file(self, block: dict[str, Any], at: str) -> None:
        self.required(block, at, "external_id", "source")
