"""The form for a run as data: what it must remember, how it is shown, and what was filled in. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.messages.views import (
    DEVICE,
    OPTIONS_LIMIT,
    RUNBOOK,
    SURE,
    BookView,
    Field,
    Option,
    RunFormView,
    View,
    parameter_block,
    run_form,
    runbook_block,
    sure_block,
)
from runbooks import Catalog, Runbook
from runbooks.parameters import EnumParameter, IntParameter, Parameter, SpanParameter, UnitParameter

_DEVICE_NAME = re.compile(r"\S{1,64}")
"""A certificate's common name holds at most 64 characters (X.520, ub-common-name)."""

Values = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""`view.state.values`: block_id -> action_id -> what stands in it."""


class FormState(BaseModel):
    """What stands in the form's private_metadata. `channel`: where answers go, "" for a form opened in the Home tab.

    `device` is the only one there is to choose; `devices` how many the incident is about. `runbook` is the one whose
    inputs are shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: str
    incident: str = ""
    device: str = ""
    devices: int = 0
    reads: bool
    changes: bool
    runbook: str = ""

    def books(self, catalog: Catalog) -> list[Runbook]:
        """The runbooks the person may choose from."""
        found = [book for name in catalog.names() if (book := catalog.get(name)) is not None]
        return [book for book in found if (self.changes if book.risk == "change" else self.reads)]


@dataclass(frozen=True, slots=True)
class Filled:
    """What a person sent. `errors` by block_id, in words to stand beside the input."""

    device: str
    params: Mapping[str, str]
    errors: Mapping[str, str]


def form_view(state: FormState, catalog: Catalog, *, typed: str = "", note: str = "") -> View:
    """The form as it is to be shown. `typed` is what the device's input starts with."""
    books = state.books(catalog)
    chosen = next((book for book in books if book.name == state.runbook), None)
    hint = f"One of the {state.devices} devices of this incident." if state.devices > 1 else ""
    return run_form(
        RunFormView(
            metadata=state.model_dump(),
            books=[_option(book) for book in books[:OPTIONS_LIMIT]],
            more=max(len(books) - OPTIONS_LIMIT, 0),
            book=_book(chosen) if chosen else None,
            device=state.device or typed,
            device_fixed=bool(state.device),
            device_hint=hint,
            note=note,
        )
    )


def is_device_name(text: str) -> bool:
    return bool(_DEVICE_NAME.fullmatch(text)) and text.isprintable()


def chosen_in(state: FormState, values: Values) -> str:
    """The runbook that stands in the menu; "" where there is none."""
    return _value(values, runbook_block(state.runbook), RUNBOOK)


def device_in(values: Values) -> str:
    return _value(values, DEVICE, DEVICE)


def filled(state: FormState, book: Runbook, values: Values) -> Filled:
    """Read and check each input by itself. Nothing is asked of any system: whether there is such a device, and who may
    run what on it, is found out by the run."""
    params: dict[str, str] = {}
    errors: dict[str, str] = {}
    device = state.device or device_in(values)
    if not is_device_name(device):
        errors[DEVICE] = "A device's exact name: no spaces, at most 64 characters."
    for name, parameter in book.parameters.items():
        block = parameter_block(book.name, name)
        given = _value(values, block, name)
        if not given and parameter.default is not None:
            continue
        try:
            params[name] = parameter.check(given)
        except ValueError as error:
            errors[block] = f"{parameter.title or name} {error}."
    if book.risk == "change" and not _ticked(values, sure_block(book.name)):
        errors[sure_block(book.name)] = "Tick this, or nothing is done."
    return Filled(device, params, errors)


def _option(book: Runbook) -> Option:
    does = "changes the device" if book.risk == "change" else "reads only"
    return Option(book.name, book.title, f"{book.name}: {does}")


def _book(book: Runbook) -> BookView:
    return BookView(
        name=book.name,
        title=book.title,
        does=book.description,
        changes=book.risk == "change",
        fields=[_field(book.name, name, parameter) for name, parameter in book.parameters.items()],
    )


def _field(runbook: str, name: str, parameter: Parameter) -> Field:
    default = parameter.default or ""
    given: dict[str, Any] = {
        "block_id": parameter_block(runbook, name),
        "action_id": name,
        "label": parameter.title or name,
        "initial": default,
        "optional": parameter.default is not None,
    }
    usual = f" Left empty: {default}." if default else ""
    match parameter:
        case EnumParameter(values=values) if len(values) <= OPTIONS_LIMIT:
            return Field(**given, kind="choice", options=[Option(value, value) for value in values])
        case EnumParameter():
            return Field(**given, kind="text", hint=f"One of {len(parameter.values)} values.{usual}")
        case IntParameter(min=low, max=high):
            return Field(**given, kind="number", low=low, high=high, hint=f"From {low} to {high}.{usual}")
        case UnitParameter():
            return Field(**given, kind="text", hint=f"A systemd unit, such as rauc-hawkbit-updater.{usual}")
        case SpanParameter(max=most):
            return Field(**given, kind="text", hint=f"Such as 90s, 15min, 2h or 3d, at most {most}.{usual}")


def _value(values: Values, block: str, action: str) -> str:
    entry = values.get(block, {}).get(action, {})
    option = entry.get("selected_option") or {}
    return str(option.get("value") or entry.get("value") or "").strip()


def _ticked(values: Values, block: str) -> bool:
    return bool(values.get(block, {}).get(SURE, {}).get("selected_options"))
