"""Forms (modals) and what stands in them, within Slack's limits by construction: shortened, never refused.

Labels, hints and options are plain text, where nothing is live. A view's input blocks keep what was typed into them
over an update only while their block_id and action_id stay the same (Slack's views.update); so what must be fresh gets
a new block_id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from core.messages.blocks import Block, Message, compose, context, section
from core.messages.text import literal, mono, plain, size

View: TypeAlias = dict[str, Any]

RUN_TITLE = "Run a runbook"
RUN_FORM = "run-form"
"""The callback_id of the form, and the action_id of every button that opens it."""
BLOCKS_LIMIT = 100
OPTIONS_LIMIT = 100
METADATA_LIMIT = 3_000
_TITLE, _LABEL, _OPTION, _VALUE, _PLACEHOLDER, _INPUT = 24, 2_000, 75, 150, 150, 3_000
_HINT = 300  # Slack takes 2,000, which nobody reads beside an input


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a menu. One whose value exceeds 150 characters is left out, never cut."""

    value: str
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input. `low` and `high` bound a number; `options` are those of a choice, at most 100."""

    block_id: str
    action_id: str
    label: str
    kind: Literal["text", "number", "choice", "instant"]
    hint: str = ""
    initial: str = ""
    optional: bool = False
    low: int | None = None
    high: int | None = None
    options: Sequence[Option] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """The chosen runbook: what it does, and its inputs."""

    name: str
    title: str
    does: str
    changes: bool
    fields: Sequence[Field]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFormView:
    """The form for a run. `device` is fixed where `device_fixed`, else what the input starts with. `more` runbooks did
    not fit into the menu; `note` is said on top."""

    metadata: Mapping[str, Any]
    books: Sequence[Option]
    book: BookView | None
    device: str = ""
    device_fixed: bool = False
    device_hint: str = ""
    more: int = 0
    note: str = ""


RUNBOOK, DEVICE, SURE = "runbook", "device", "sure"
"""The action_ids of the form's own inputs."""


def runbook_block(chosen: str) -> str:
    """The menu's block_id: fresh for each choice, so that the menu always shows the runbook whose inputs are below."""
    return f"{RUNBOOK}:{chosen}"


def parameter_block(runbook: str, name: str) -> str:
    return f"param:{runbook}:{name}"


def sure_block(runbook: str) -> str:
    return f"{SURE}:{runbook}"


def run_form(view: RunFormView) -> View:
    """The form as filled. Slack sends it only once a runbook is chosen."""
    book = view.book
    chosen = book.name if book else ""
    blocks: list[Block] = [section(f"⚠️ {literal(view.note, 600)}")] if view.note else []
    if view.device_fixed:
        blocks.append(section(f"Device: *{literal(view.device, 120)}*"))
    else:
        blocks.append(input_block(_device(view)))
    blocks.append(input_block(_runbook(view, chosen), dispatch=True))
    if view.more:
        blocks.append(context(f"{view.more} more runbooks do not fit here; `/cdm runbooks` lists all."))
    if book is not None:
        blocks += _about(book, view.device if view.device_fixed else "")
    return modal(
        RUN_TITLE,
        blocks,
        submit="Run",
        callback_id=RUN_FORM,
        metadata=view.metadata,
    )


def loading_form(external_id: str) -> View:
    """Opened at once, since a trigger lives three seconds; filled when Keycloak has answered. `external_id` names it
    where Slack's answer is lost."""
    wait = section("⏳ Asking Keycloak what you may run …")
    return modal(RUN_TITLE, [wait], callback_id=RUN_FORM, external_id=external_id)


def notice_form(message: Message, title: str = RUN_TITLE) -> View:
    """The form's place taken by words: a refusal, a failure, an outcome. Nothing can be sent from it."""
    return modal(title, message.blocks or (section(message.text),), callback_id=RUN_FORM)


REASON_FORM = "reason-form"
REASON = "reason"
"""The block_id and action_id of its one input."""


def reason_form(title: str, what: str, *, least: int, metadata: Mapping[str, Any]) -> View:
    """Asks why. `what` (plain text with foreign names in it) says what the reason is for."""
    blocks = [
        section(f"*{literal(what, 300)}*"),
        {
            "type": "input",
            "block_id": REASON,
            "label": _plain("Why?", _LABEL),
            "hint": _plain("Shown to whoever decides, in the channel, and kept in the audit log.", _HINT),
            "element": {
                "type": "plain_text_input",
                "action_id": REASON,
                "multiline": True,
                "min_length": least,
                "max_length": 300,
            },
        },
    ]
    return modal(title, blocks, submit="Send", callback_id=REASON_FORM, metadata=metadata)


def typed_instead(runbook: str = "", device: str = "") -> str:
    """The command that does what the form would have done (mrkdwn)."""
    wanted = f"/cdm run {runbook or '<runbook>'} {device or '<device>'} [name=value…]"
    return f"{mono(wanted, 200)}; `/cdm runbooks` lists what there is"


def modal(
    title: str,
    blocks: Iterable[Block],
    *,
    submit: str | None = None,
    callback_id: str,
    external_id: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> View:
    """A modal within all limits. ValueError where the metadata does not fit: what it must say cannot be shortened."""
    view: View = {
        "type": "modal",
        "callback_id": callback_id,
        "title": _plain(title, _TITLE),
        "close": _plain("Cancel" if submit else "Close", _TITLE),
        "blocks": fitted(blocks),
    }
    if submit:
        view["submit"] = _plain(submit, _TITLE)
    if external_id:
        view["external_id"] = external_id
    if metadata is not None:
        packed = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)
        if size(packed) > METADATA_LIMIT:
            raise ValueError(f"{size(packed)} characters of private_metadata; Slack takes {METADATA_LIMIT}")
        view["private_metadata"] = packed
    return view


def fitted(blocks: Iterable[Block]) -> list[Block]:
    """Blocks for a view: each within its own limits, and at most 100 of them."""
    found: list[Block] = []
    for block in blocks:
        found += [block] if block["type"] == "input" else compose("", block).blocks
    if len(found) <= BLOCKS_LIMIT:
        return found
    return [*found[: BLOCKS_LIMIT - 1], context(f"{len(found) - BLOCKS_LIMIT + 1} more parts do not fit.")]


def _device(view: RunFormView) -> Field:
    return Field(
        block_id=DEVICE,
        action_id=DEVICE,
        label="Device",
        kind="text",
        hint=view.device_hint or "Its exact name, as in ThingsBoard and hawkBit.",
        initial=view.device,
    )


def _runbook(view: RunFormView, chosen: str) -> Field:
    return Field(
        block_id=runbook_block(chosen),
        action_id=RUNBOOK,
        label="Runbook",
        kind="choice",
        options=view.books,
        initial=chosen,
    )


def _about(book: BookView, device: str) -> list[Block]:
    """What it does; its inputs; and for a change, what will happen and the tick without which nothing does."""
    does = literal(book.does, 500)
    if not book.changes:
        return [context(f"Reads only. {does}"), *(input_block(field) for field in book.fields)]
    where = literal(device, 120) if device else "the device named above"
    risk = section(f"⚠️ *This changes {where}.* {does}")
    return [risk, *(input_block(field) for field in book.fields), _sure(book, device)]


def _sure(book: BookView, device: str) -> Block:
    yes = f"Yes, {book.title[:1].lower()}{book.title[1:]}" + (f" on {device}" if device else "")
    option = {"text": _plain(yes, _OPTION), "value": "yes"}
    return {
        "type": "input",
        "block_id": sure_block(book.name),
        "label": _plain("Are you sure?", _LABEL),
        "element": {"type": "checkboxes", "action_id": SURE, "options": [option]},
    }


def input_block(field: Field, *, dispatch: bool = False) -> Block:
    """One input with its label and hint, each within its limit."""
    block: Block = {
        "type": "input",
        "block_id": field.block_id,
        "label": _plain(field.label or field.action_id, _LABEL),
        "element": _element(field),
        "optional": field.optional,
    }
    if dispatch:
        block["dispatch_action"] = True
    if hint := plain(field.hint, _HINT):
        block["hint"] = _plain(hint, _HINT)
    return block


def _element(field: Field) -> Block:
    if field.kind == "choice":
        return _menu(field)
    if field.kind == "instant":
        return {"type": "datetimepicker", "action_id": field.action_id}
    element: Block = {"type": "plain_text_input", "action_id": field.action_id}
    if field.kind == "number":
        bounds = {"min_value": field.low, "max_value": field.high}
        given = {name: str(value) for name, value in bounds.items() if value is not None}
        element = {"type": "number_input", "action_id": field.action_id, "is_decimal_allowed": False, **given}
    if initial := plain(field.initial, _INPUT):
        element["initial_value"] = initial
    return element


def _menu(field: Field) -> Block:
    options = [_option(one) for one in field.options if size(one.value) <= _VALUE][:OPTIONS_LIMIT]
    menu: Block = {
        "type": "static_select",
        "action_id": field.action_id,
        "placeholder": _plain("Choose …", _PLACEHOLDER),
        "options": options,
    }
    for option in options:
        if option["value"] == field.initial:
            menu["initial_option"] = option
    return menu


def _option(option: Option) -> Block:
    shown: Block = {"text": _plain(option.text or option.value, _OPTION), "value": option.value}
    if about := plain(option.about, _OPTION):
        shown["description"] = _plain(about, _OPTION)
    return shown


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(text, limit) or "-", "emoji": False}
