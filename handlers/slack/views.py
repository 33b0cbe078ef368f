"""Forms on the way in, within Slack's three seconds: opened as loading, redrawn at a choice, checked and kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import structlog
from pydantic import ValidationError

from core.commands import Command, parse
from core.errors import Conflict, OutsideError
from core.messages.blocks import compose
from core.messages.release_form import loading_release
from core.messages.text import literal, unescape
from core.messages.views import RUN_TITLE, RUNBOOK, View, loading_form, notice_form, runbook_block
from core.ports import ViewRef, Views
from handlers.slack.form import FormState, Values, chosen_in, device_in, filled, form_view
from handlers.slack.keep import Keeper
from runbooks import Catalog

log = structlog.get_logger(__name__)

OPEN_S = 1.5
ANSWER_S = 2.6
"""Opening a form and keeping what was asked for take so long at most: Slack waits 3 s."""
UPDATE_S = 2.0
_OLD = "This form is from an older version of the bot. Nothing was done; open it anew with `/cdm run`."
_GONE = "There is no such runbook any more. Choose another."


Loading = Callable[[str], View]
"""A form as it is opened, by its external_id."""


def wants_form(text: str) -> Loading | None:
    """The form that this command opens: `/cdm run` without runbook and device both, or `/cdm rollout create`."""
    command = parse(unescape(text))
    if not isinstance(command, Command):
        return None
    if command.name == "rollout create":
        return loading_release
    return loading_form if command.name == "run" and len(command.args) < 2 else None


class FormDoor:
    """What listeners do with forms. A trigger_id is used here, and kept nowhere."""

    def __init__(self, *, views: Views, keeper: Keeper, catalog: Catalog) -> None:
        self._views = views
        self._keeper = keeper
        self._catalog = catalog
        self._aside: set[asyncio.Task[None]] = set()

    async def open(
        self, trigger_id: str, item: Mapping[str, Any], *, once: str, loading: Loading = loading_form
    ) -> str | None:
        """Show the form as loading and keep the request with it; the worker fills it. What to tell the person where
        the request was not kept; the form says it too."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        ref, trouble = await self._opened(trigger_id, loading)
        kept = {**item, "form": asdict(ref) if ref else None, "trouble": trouble}
        problem = await self._keeper.keep(kept, once=once, within_s=ANSWER_S - (loop.time() - began))
        if problem and ref:
            self._say_aside(ref, problem)
        return problem

    async def choose(self, body: Mapping[str, Any]) -> None:
        """Another runbook was chosen: show its inputs. Of two choices in a hurry the later to arrive is shown, and the
        menu with it. Where Slack does not take it, sending the form shows them (`submit`)."""
        view = body["view"]
        state, values = _state(view), _values(view)
        if state is None:
            self._say_aside(ViewRef("", view["id"]), _OLD)
            return
        option = body["actions"][0].get("selected_option") or {}
        shown = form_view(
            state.model_copy(update={"runbook": str(option.get("value", ""))}), self._catalog, typed=device_in(values)
        )
        try:
            await self._views.update_view(ViewRef("", view["id"]), shown, timeout_s=UPDATE_S)
        except OutsideError as error:
            log.warning("form_not_redrawn", reason=error.reason)

    async def submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The acknowledgement of a form that was sent: errors beside the inputs, or nothing (the form closes), once the
        order is kept. One form starts one run, however often it is brought."""
        view = body["view"]
        state, values = _state(view), _values(view)
        if state is None:
            return _update(notice_form(compose(_OLD)))
        menu = runbook_block(state.runbook)
        chosen = chosen_in(state, values)
        book = self._catalog.get(chosen)
        if book is None:
            return _errors({menu: _GONE})
        found = filled(state, book, values)
        if chosen != state.runbook or not found.errors.keys() <= values.keys():
            now = state.model_copy(update={"runbook": chosen})
            note = f"These are the inputs of {book.title}: look at them, then send the form again."
            return _update(form_view(now, self._catalog, typed=device_in(values), note=note))
        if found.errors:
            return _errors(found.errors)
        item = {
            "kind": "form",
            "team": body["user"].get("team_id") or body.get("team", {}).get("id", ""),
            "user": body["user"]["id"],
            "channel": state.channel,
            "runbook": chosen,
            "device": found.device,
            "params": dict(found.params),
            "incident": state.incident,
            "form": None if state.channel else asdict(ViewRef("", view["id"])),
        }
        if problem := await self._keeper.keep(item, once=f"view/{view['id']}", within_s=ANSWER_S):
            return _errors({menu: problem})
        if state.channel:
            return {}
        sent = f"⏳ *{literal(book.title, 80)}* on *{literal(found.device, 80)}* is on its way …"
        return _update(notice_form(compose(sent)))

    async def _opened(self, trigger_id: str, loading: Loading) -> tuple[ViewRef | None, str]:
        """The form, where it is open or may be; and why it is not, or may not be."""
        # Made of the trigger, so that two deliveries of one click name the same form.
        view = loading(f"form-{hashlib.sha256(trigger_id.encode()).hexdigest()[:40]}")
        here = ViewRef(view["external_id"], title=view["title"]["text"])
        try:
            return replace(await self._views.open_view(trigger_id, view, timeout_s=OPEN_S), title=here.title), ""
        except Conflict:
            return here, ""
        except OutsideError as error:
            log.warning("form_not_opened", reason=error.reason)
            return (here if error.unknown_outcome else None), error.user_text

    def _say_aside(self, ref: ViewRef, text: str) -> None:
        """In the form's place, while Slack gets its answer."""

        async def say() -> None:
            try:
                await self._views.update_view(
                    ref, notice_form(compose(text), ref.title or RUN_TITLE), timeout_s=UPDATE_S
                )
            except OutsideError as error:
                log.warning("form_not_told", reason=error.reason)

        task = asyncio.create_task(say())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)


def is_menu(pressed: Mapping[str, Any]) -> bool:
    """Is this a choice in the form's menu of runbooks?"""
    return bool(pressed["action_id"] == RUNBOOK)


def turned_away(view: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The acknowledgement of a form that was not taken: it stands as it is, `text` beside its first input."""
    first = next((block["block_id"] for block in view.get("blocks", ()) if block.get("type") == "input"), None)
    return _errors({first: text}) if first else _update(notice_form(compose(text)))


def _state(view: Mapping[str, Any]) -> FormState | None:
    try:
        return FormState.model_validate_json(view.get("private_metadata", ""))
    except ValidationError:
        return None


def _values(view: Mapping[str, Any]) -> Values:
    values: Values = (view.get("state") or {}).get("values") or {}
    return values


def _errors(errors: Mapping[str, str]) -> dict[str, Any]:
    return {"response_action": "errors", "errors": dict(errors)}


def _update(view: View) -> dict[str, Any]:
    return {"response_action": "update", "view": view}
