"""The form for a release: filled with what this person may release, read when it is sent, answered by a preview."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import OutsideError, Refused
from core.messages.blocks import Message, compose, section
from core.messages.release import preview_message
from core.messages.release_form import (
    FILTER,
    GROUPS,
    KIND,
    LABEL,
    POLICY,
    SET,
    START,
    TITLE,
    WHERE,
    ReleaseFormView,
    release_form,
)
from core.messages.text import literal
from core.messages.views import Option, notice_form
from core.ports import Clock, Views
from core.rollouts.wish import SHARES, parse_label, parse_shares, wish_of
from flows.release.desk import Offer, ReleaseDesk
from handlers.slack.answers import Answers
from handlers.slack.filling import filled
from handlers.slack.keep import Keeper
from handlers.slack.requests import Typed, Wished

ANSWER_S = 2.6
EVERY_DEVICE = "name==*"
_TYPED = "`cdm rollout create` does the same on the command line"
_OLD = "This form is from an older version of the bot. Nothing was done; open it anew with `/cdm rollout create`."


class _About(BaseModel):
    """What stands in the form's private_metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: str


class ReleaseForms:
    """What the worker does with the form."""

    def __init__(self, *, desk: ReleaseDesk, views: Views, answers: Answers, clock: Clock) -> None:
        self._desk = desk
        self._views = views
        self._answers = answers
        self._clock = clock

    async def fill(self, request: Typed) -> None:
        """Fill the form opened for this command. Where Slack did not open it in time, the person is told. Raises
        Denied or OutsideError."""
        if request.trouble or request.form is None:
            await self._instead(request, request.trouble)
        if request.form is None:
            return
        offers = await self._desk.offers(request.user)
        several = len(offers) > 1
        view = ReleaseFormView(
            metadata=_About(channel=request.channel).model_dump(),
            sets=[Option(f"{one.stack}/{set}", _on(set, one, several)) for one in offers for set in one.sets],
            wheres=[option for one in offers for option in _wheres(one, several)],
            groups="/".join(f"{share:g}" for share in SHARES),
            policies=tuple(dict.fromkeys(name for one in offers for name in one.policies)),
        )
        if not view.sets:
            raise Refused("hawkBit has no valid set that could be released. cdm bundle upload makes one of a bundle.")
        if not await filled(self._views, self._clock, request, release_form(view)) and not request.trouble:
            await self._instead(request, "")

    async def preview(self, request: Wished) -> Message:
        """Private, and nothing is made by it. Raises Denied or OutsideError."""
        return preview_message(*await self._desk.preview(request.user, wish_of(request.params)))

    async def _instead(self, request: Typed, trouble: str) -> None:
        why = f"{literal(trouble, 300)} " if trouble else ""
        text = f"⚠️ {why}If you see no form, type `/cdm rollout create` again; {_TYPED}."
        await self._answers.beside(request, compose(text, section(text)))


class ReleaseDoor:
    """What the listener does with the form when it is sent: read it within Slack's three seconds, and keep it."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The acknowledgement: errors beside the inputs, or nothing once it is kept, and then the form closes."""
        view = body["view"]
        try:
            about = _About.model_validate_json(view.get("private_metadata", ""))
        except ValidationError:
            return {"response_action": "update", "view": notice_form(compose(_OLD), TITLE)}
        params, errors = read_form((view.get("state") or {}).get("values") or {})
        if errors:
            return {"response_action": "errors", "errors": errors}
        item = {
            "kind": "release",
            "team": body["user"].get("team_id") or body.get("team", {}).get("id", ""),
            "user": body["user"]["id"],
            "channel": about.channel,
            "params": params,
        }
        problem = await self._keeper.keep(item, once=f"view/{view['id']}", within_s=ANSWER_S)
        return {"response_action": "errors", "errors": {SET: problem}} if problem else {}


def read_form(values: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[dict[str, str], dict[str, str]]:
    """What was filled in, and by block_id what is wrong with it. Only what can be told from the form alone."""

    def of(block: str) -> str:
        entry = values.get(block, {}).get(block, {})
        return str((entry.get("selected_option") or {}).get("value") or entry.get("value") or "").strip()

    stack, _, tenant = of(WHERE).partition("/")
    set_stack, _, set = of(SET).partition("/")
    instant = values.get(START, {}).get(START, {}).get("selected_date_time")
    params = {
        "stack": stack,
        "set": set,
        "where": of(FILTER) or ("" if tenant else EVERY_DEVICE),
        "tenant": tenant,
        "groups": of(GROUPS),
        "kind": of(KIND),
        "start": datetime.fromtimestamp(instant, UTC).isoformat() if instant else "",
        "policy": of(POLICY),
        "label": of(LABEL),
    }
    errors = {SET: f"That set is on {set_stack}, the devices are on {stack}."} if set_stack != stack else {}
    checks: Mapping[str, tuple[Callable[[str], object], str]] = {
        GROUPS: (parse_shares, params["groups"]),
        LABEL: (parse_label, params["label"]),
    }
    for block, (check, text) in checks.items():
        try:
            check(text)
        except OutsideError as error:
            errors[block] = error.user_text
    return params, errors


def _wheres(offer: Offer, several: bool) -> list[Option]:
    found = [Option(f"{offer.stack}/{tenant}", _on(f"devices of {tenant}", offer, several)) for tenant in offer.tenants]
    return [*found, Option(f"{offer.stack}/", _on("every device", offer, several))] if offer.everywhere else found


def _on(what: str, offer: Offer, several: bool) -> str:
    return f"{what} on {offer.stack}" if several else what
