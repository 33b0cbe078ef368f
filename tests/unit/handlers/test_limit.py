"""Too many requests of one person, at the door: what is kept, what the person is told, and what is written down."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from core.budgets import Budget
from core.ids import SlackUser
from handlers.slack.limit import RequestLimit
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from tests.conftest import ManualClock
from tests.unit.handlers.test_form_door import Stand, brought, kept, stand

__all__ = ["stand"]
USER = SlackUser("T0CDM", "U0ANNA")


async def typed(stand: Stand, number: int, text: str = "help") -> str:
    body = {"command": "/cdm", "text": text, "team_id": "T0CDM", "user_id": "U0ANNA", "channel_id": "C0OPS"}
    form = urlencode({**body, "trigger_id": f"t{number}", "api_app_id": "A0"}).encode()
    answer = await brought(stand, form, "application/x-www-form-urlencoded")
    assert answer.status_code == 200
    return answer.text


async def interacted(stand: Stand, body: dict[str, Any]) -> str:
    whose = {"user": {"id": "U0ANNA", "team_id": "T0CDM"}, "team": {"id": "T0CDM"}, "api_app_id": "A0", **body}
    form = urlencode({"payload": json.dumps(whose)}).encode()
    answer = await brought(stand, form, "application/x-www-form-urlencoded")
    assert answer.status_code == 200
    return answer.text


async def test_what_is_too_much_is_not_kept_and_told_once_in_a_minute(stand: Stand, store: Store) -> None:
    answers = [await typed(stand, number) for number in range(45)]
    assert len(await kept(store)) == 30
    told = [answer for answer in answers if answer]
    assert len(told) == 1
    assert "You have asked" in told[0]
    assert "1 of that was not taken" in told[0]
    assert "6 requests a minute" in told[0]


async def test_no_form_is_opened_for_what_is_not_taken(stand: Stand, store: Store) -> None:
    for number in range(32):
        await typed(stand, number)
    before = len(await kept(store))
    assert await typed(stand, 99, "run") == ""
    assert await stand.people.modal("U0ANNA") is None
    assert len(await kept(store)) == before


async def test_a_form_that_is_not_taken_stays_with_its_inputs_and_says_why_each_time(stand: Stand) -> None:
    for number in range(32):
        await typed(stand, number)
    inputs = [{"type": "section", "block_id": "s"}, {"type": "input", "block_id": "device"}]
    view = {
        "id": "V1",
        "type": "modal",
        "callback_id": "c",
        "private_metadata": "{}",
        "blocks": inputs,
        "state": {"values": {}},
    }
    for _ in range(2):
        answer = json.loads(await interacted(stand, {"type": "view_submission", "view": view}))
        assert answer["response_action"] == "errors"
        assert "not taken" in answer["errors"]["device"]
    bare = json.loads(await interacted(stand, {"type": "view_submission", "view": {**view, "blocks": []}}))
    assert bare["response_action"] == "update"


async def test_clicks_and_openings_of_the_home_tab_count_too(stand: Stand, store: Store) -> None:
    for number in range(32):
        await typed(stand, number)
    before = len(await kept(store))
    pressed = {"type": "button", "action_id": "acknowledge", "value": "i1", "action_ts": "1.1"}
    await interacted(stand, {"type": "block_actions", "trigger_id": "t", "actions": [pressed]})
    event = {"type": "app_home_opened", "user": "U0ANNA", "tab": "home", "channel": "D1", "event_ts": "1.1"}
    body = {"type": "event_callback", "team_id": "T0CDM", "event_id": "Ev1", "event": event}
    assert (await brought(stand, json.dumps(body).encode(), "application/json")).status_code == 200
    assert len(await kept(store)) == before


async def test_who_was_refused_is_in_the_audit_with_the_numbers_once_a_minute(store: Store, clock: ManualClock) -> None:
    audit = AuditLog(store, clock)
    limit = RequestLimit(Budget(1, 30), audit, clock)
    for _ in range(100):
        limit.ask(USER, "command")
    await limit.tick()
    limit.ask(USER, "command")
    await limit.tick()
    (first,) = [entry async for entry in audit.entries()]
    assert (first.actor, first.action) == ("slack:T0CDM/U0ANNA", "refused:request")
    assert first.data == {"reason": "too_many", "asked": 100, "not_taken": 70}
    await clock.forward(60)
    await limit.tick()
    assert (await audit.latest(1))[0].data == {"reason": "too_many", "asked": 1, "not_taken": 1}


async def test_what_could_not_be_written_down_is_written_when_the_store_is_back(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = AuditLog(store, clock)
    limit = RequestLimit(Budget(1, 30), audit, clock)
    for _ in range(40):
        limit.ask(USER, "command")

    async def away(*_: object) -> str:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(audit, "note", away)
        with pytest.raises(ConnectionError):
            await limit.tick()
    await limit.tick()
    assert (await audit.latest(1))[0].data["not_taken"] == 10
