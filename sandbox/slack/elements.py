"""The parts blocks are made of, as Slack checks them: text objects, buttons, options, selects, inputs, pictures."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sandbox.slack.limits import Limits

BUTTONS = {"button", "workflow_button"}
SELECTS = {f"{multi}{of}_select" for multi in ("", "multi_") for of in (
    "static", "external", "users", "conversations", "channels")}  # fmt: skip
CHOICES = {"checkboxes", "radio_buttons"}
PICKERS = {"datepicker", "timepicker", "datetimepicker"}
TYPED = {"plain_text_input", "rich_text_input", "email_text_input", "url_text_input", "number_input", "file_input"}
INTERACTIVE = {"button", "workflow_button", "overflow"} | SELECTS | CHOICES | PICKERS
INPUTS = TYPED | SELECTS | CHOICES | PICKERS
CONTEXT_ACTIONS = {"feedback_buttons", "icon_button"}
OPTION_LIMIT = {"overflow": "overflow_options", "checkboxes": "choice_options", "radio_buttons": "choice_options"}


def kind_of(part: object) -> str:
    """The `type` of a block or element, "None" where there is none fit to be one."""
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else str(kind)


class ElementChecks:
    """Collects complaints; a subclass walks the blocks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.problems: list[str] = []

    def say(self, what: str, at: str) -> None:
        self.problems.append(f"{what} [json-pointer:{at}]")

    def only(self, part: dict[str, Any], at: str, *names: str) -> None:
        """Complain about properties other than `names`: Slack refuses the whole message for one of them."""
        for name in part:
            if name not in {"type", "block_id", "action_id", *names}:
                self.say(f"invalid additional property: {name}", at)

    def required(self, part: object, at: str, *names: str) -> bool:
        if not isinstance(part, dict):
            self.say("must provide an object", at)
            return False
        missing = [name for name in names if part.get(name) in (None, "")]
        for name in missing:
            self.say(f"missing required field: {name}", at)
        return not missing

    def count(self, items: Collection[object], at: str, allowed: int) -> None:
        if len(items) > allowed:
            self.say(f"no more than {allowed} items allowed", at)

    def each(
        self,
        items: object,
        at: str,
        allowed: int | None,
        check: Callable[[object, str], None],
        *,
        empty: bool = False,
    ) -> None:
        if not isinstance(items, list):
            self.say("must provide an array", at)
            return
        if not items and not empty:
            self.say("no fewer than 1 items allowed", at)
        if allowed is not None:
            self.count(items, at, allowed)
        for index, item in enumerate(items):
            check(item, f"{at}/{index}")

    def string(self, value: object, at: str, allowed: int) -> None:
        if not isinstance(value, str):
            self.say("must provide a string", at)
        elif not value:
            self.say("must be more than 0 characters", at)
        elif len(value) > allowed:
            self.say(f"must be less than {allowed + 1} characters", at)

    def number(self, part: dict[str, Any], name: str, at: str, low: int, high: int, default: int) -> int:
        """The number called `name`, or `default` where it is absent or out of bounds."""
        value = part.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.say(f"must be between {low} and {high}", f"{at}/{name}")
        return default

    def text(self, part: object, at: str, allowed: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
        """A text object; a bare string is refused."""
        if part is None:
            self.say(f"missing required field: {at.rsplit('/', 1)[-1]}", at.rsplit("/", 1)[0])
        elif not isinstance(part, dict):
            self.say("must provide an object", at)
        elif kind_of(part) not in kinds:
            self.say(f"unsupported type: {kind_of(part)}", f"{at}/type")
        else:
            self.only(part, at, "text", "emoji", "verbatim")
            self.string(part.get("text"), f"{at}/text", allowed)

    def picture(self, part: dict[str, Any], at: str) -> None:
        if ("image_url" in part) == ("slack_file" in part):
            self.say("must define either `image_url` or `slack_file`", at)
        if "image_url" in part:
            self.string(part["image_url"], f"{at}/image_url", self.limits.url)
        self.string(part.get("alt_text"), f"{at}/alt_text", self.limits.alt_text)

    def confirm(self, part: object, at: str) -> None:
        if not isinstance(part, dict):
            self.say("must provide an object", at)
            return
        limits = self.limits
        self.text(part.get("title"), f"{at}/title", limits.confirm_title, ("plain_text",))
        self.text(part.get("text"), f"{at}/text", limits.confirm_text)
        for name in ("confirm", "deny"):
            self.text(part.get(name), f"{at}/{name}", limits.confirm_button, ("plain_text",))

    def option(self, part: object, at: str) -> None:
        if not isinstance(part, dict):
            self.say("must provide an object", at)
            return
        self.only(part, at, "text", "value", "description", "url")
        self.text(part.get("text"), f"{at}/text", self.limits.option_text)
        self.string(part.get("value"), f"{at}/value", self.limits.option_value)
        if "description" in part:
            self.text(part["description"], f"{at}/description", self.limits.option_text)

    def element(self, part: object, at: str, allowed: Collection[str], ids: set[str]) -> None:
        """An element of one of the types `allowed`; `ids` holds the action_ids its block has seen."""
        if not isinstance(part, dict):
            self.say("must provide an object", at)
            return
        kind = kind_of(part)
        if kind not in allowed:
            self.say(f"unsupported type: {kind}", f"{at}/type")
            return
        self._action_id(part, at, ids)
        if kind == "image":
            self.only(part, at, "image_url", "slack_file", "alt_text")
            self.picture(part, at)
        elif kind == "button":
            self._button(part, at)
        elif kind == "icon_button":
            self.text(part.get("text"), f"{at}/text", self.limits.button_text, ("plain_text",))
            self.required(part, at, "icon")
        elif kind == "feedback_buttons":
            self.required(part, at, "positive_button", "negative_button")
        elif kind == "plain_text_input":
            self._text_input(part, at)
        elif "static_select" in kind or kind in OPTION_LIMIT:
            self._choice(kind, part, at)
        if "placeholder" in part:
            self.text(part["placeholder"], f"{at}/placeholder", self.limits.placeholder, ("plain_text",))
        if "confirm" in part:
            self.confirm(part["confirm"], f"{at}/confirm")

    def _action_id(self, part: dict[str, Any], at: str, ids: set[str]) -> None:
        name = part.get("action_id")
        if name is None:
            return
        self.string(name, f"{at}/action_id", self.limits.identifier)
        if str(name) in ids:
            self.say(f'`action_id` "{name}" already exists', f"{at}/action_id")
        ids.add(str(name))

    def _button(self, part: dict[str, Any], at: str) -> None:
        self.only(part, at, "text", "value", "url", "style", "confirm", "accessibility_label")
        self.text(part.get("text"), f"{at}/text", self.limits.button_text, ("plain_text",))
        if "value" in part:
            self.string(part["value"], f"{at}/value", self.limits.button_value)
        if "url" in part:
            self.string(part["url"], f"{at}/url", self.limits.url)
        if str(part.get("style", "primary")) not in ("primary", "danger"):
            self.say("must be a valid enum value: primary, danger", f"{at}/style")
        if "accessibility_label" in part:
            self.string(part["accessibility_label"], f"{at}/accessibility_label", self.limits.button_text)

    def _text_input(self, part: dict[str, Any], at: str) -> None:
        allowed = self.number(part, "max_length", at, 1, self.limits.text, self.limits.text)
        if len(str(part.get("initial_value", ""))) > allowed:
            self.say("initial_value is longer than max_length", f"{at}/initial_value")

    def _choice(self, kind: str, part: dict[str, Any], at: str) -> None:
        allowed = getattr(self.limits, OPTION_LIMIT.get(kind, "options"))
        if "option_groups" in part and kind not in OPTION_LIMIT:

            def group(item: object, where: str) -> None:
                if self.required(item, where, "label", "options") and isinstance(item, dict):
                    self.text(item.get("label"), f"{where}/label", self.limits.option_text, ("plain_text",))
                    self.each(item.get("options"), f"{where}/options", allowed, self.option)

            self.each(part["option_groups"], f"{at}/option_groups", self.limits.options, group)
        else:
            self.each(part.get("options"), f"{at}/options", allowed, self.option)
