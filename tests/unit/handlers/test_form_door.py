"""What happens to a form within Slack's three seconds, and at the HTTP door."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from slack_sdk.web.async_client import AsyncWebClient

from core.budgets import Budget
from core.messages.release_form import loading_release
from core.messages.views import loading_form
from handlers.slack.answers import Answers
from handlers.slack.form import FormState
from handlers.slack.home import HomeDoor
from handlers.slack.inbound import build_app, build_router
from handlers.slack.keep import STORE_SILENT, Keeper
from handlers.slack.limit import RequestLimit
from handlers.slack.reasons import ReasonDoor
from handlers.slack.release_form import ReleaseDoor
from handlers.slack.views import FormDoor, wants_form
from integrations.clock import SystemClock
from integrations.slack.client import SlackPosts
from integrations.store.audit import AuditLog
from integrations.store.connection import Store
from integrations.store.embedded import EmbeddedStore
from integrations.store.outbox import Outbox
from integrations.store.work import STREAM, WorkQueue
from runbooks import Catalog
from sandbox.slack import SlackSandbox
from sandbox.slack.client import SlackPeople
from sandbox.slack.delivery import sign
from sandbox.wire import WireServer
from tests.scenario.program import until

SECRET = "the signing secret"
COMMAND = {"kind": "command", "team": "T0CDM", "user": "U0ANNA", "channel": "C0OPS", "text": "run", "response_url": ""}


@dataclass(frozen=True, slots=True)
class Stand:
    slack: SlackSandbox
    server: WireServer
    people: SlackPeople
    forms: FormDoor
    http: FastAPI

    async def trigger(self) -> str:
        """From a command that no app was there to take."""
        return str((await self.people.slash("U0ANNA", "C0OPS", "/cdm", "run")).payload["trigger_id"])


@pytest.fixture
async def stand(store: Store) -> AsyncIterator[Stand]:
    slack, clock = SlackSandbox(), SystemClock()
    slack.workspace.add_user("anna", id="U0ANNA")
    slack.workspace.add_channel("ops", id="C0OPS", members=("U0ANNA",))
    async with WireServer(slack.app) as server, SlackPeople(server.url) as people:
        posts = SlackPosts(lambda: slack.bot_token, base_url=f"{server.url}/api/")
        queue = WorkQueue(store, "here")
        await queue.prepare()
        keeper = Keeper(queue, clock)
        forms = FormDoor(views=posts, keeper=keeper, catalog=Catalog.load())
        homes = HomeDoor(
            keeper=keeper, answers=Answers(outbox=Outbox(store, clock), views=posts, clock=clock), clock=clock
        )
        client = AsyncWebClient(base_url=f"{server.url}/api/", retry_handlers=[])
        app = build_app(
            client=client,
            token=lambda: slack.bot_token,
            limit=RequestLimit(Budget(0.1, 30), AuditLog(store, clock), clock),
            keeper=keeper,
            forms=forms,
            reasons=ReasonDoor(views=posts, keeper=keeper),
            releases=ReleaseDoor(keeper),
            homes=homes,
        )
        http = FastAPI()
        http.include_router(build_router(app, lambda: SECRET))
        yield Stand(slack, server, people, forms, http)
        await posts.aclose()


async def brought(stand: Stand, body: bytes, content_type: str) -> httpx.Response:
    headers = sign(SECRET, int(time.time()), body) | {"content-type": content_type}
    transport = httpx.ASGITransport(stand.http)
    async with httpx.AsyncClient(transport=transport, base_url="http://bot") as http:
        return await http.post("/slack/events", content=body, headers=headers)


async def kept(store: Store) -> list[dict[str, Any]]:
    return [json.loads(fields[b"i"]) for _, fields in await store.xrange(STREAM)]


async def test_slack_s_question_whether_the_address_is_ours_is_answered(stand: Stand) -> None:
    answer = await brought(stand, b'{"type":"url_verification","challenge":"c-1","token":"x"}', "application/json")
    assert answer.status_code == 200
    assert "c-1" in answer.text


async def test_an_opening_of_the_home_tab_is_kept_once_in_a_moment_and_the_messages_tab_is_not(
    stand: Stand, store: Store
) -> None:
    for number, tab in enumerate(["home", "messages", "home", "home"]):
        event = {"type": "app_home_opened", "user": "U0ANNA", "tab": tab, "channel": "D1", "event_ts": "1.1"}
        body = {"type": "event_callback", "team_id": "T0CDM", "event_id": f"Ev{number}", "event": event}
        assert (await brought(stand, json.dumps(body).encode(), "application/json")).status_code == 200
    found = await kept(store)
    assert {(one["kind"], one["user"]) for one in found} == {("home", "U0ANNA")}
    assert len(found) <= 2, "they may lie on both sides of a moment's end"


async def test_the_form_is_open_before_the_request_is_kept_and_no_trigger_is_kept(stand: Stand, store: Store) -> None:
    trigger = await stand.trigger()
    assert await stand.forms.open(trigger, COMMAND, once=trigger) is None
    (found,) = await kept(store)
    view = await stand.people.modal("U0ANNA")
    assert view is not None
    assert found["form"]["id"] == view.id
    assert found["form"]["hash"]
    assert found["trouble"] == ""
    assert trigger not in json.dumps(found)


async def test_a_slow_slack_and_a_frozen_store_together_leave_slack_s_three_seconds(
    stand: Stand, embedded: EmbeddedStore
) -> None:
    trigger, pid = await stand.trigger(), embedded.pid
    assert pid is not None
    stand.server.faults.add("late_answer", "views.open", delay_s=5.0)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        problem = await stand.forms.open(trigger, COMMAND, once=trigger)
        took = time.monotonic() - began
    finally:
        os.kill(pid, signal.SIGCONT)
    assert problem == STORE_SILENT
    assert took < 2.9

    async def said() -> bool:
        view = await stand.people.modal("U0ANNA")
        return view is not None and "did not answer in time" in view.shown

    await until(said, "the form says it too")


async def test_what_was_typed_into_the_device_stays_when_another_runbook_is_chosen(stand: Stand) -> None:
    trigger = await stand.trigger()
    await stand.forms.open(trigger, COMMAND, once=trigger)
    view = await stand.people.modal("U0ANNA")
    assert view is not None
    state = FormState(channel="C0OPS", reads=True, changes=True, runbook="journal").model_dump_json()
    values = {"device": {"device": {"type": "plain_text_input", "value": "gw-7"}}}
    body = {
        "actions": [{"action_id": "runbook", "selected_option": {"value": "rauc-status"}}],
        "view": {"id": view.id, "private_metadata": state, "state": {"values": values}},
    }
    await stand.forms.choose(body)
    view = await stand.people.modal("U0ANNA")
    assert view is not None
    shown = {block["element"]["action_id"]: block["element"] for block in view.blocks if block["type"] == "input"}
    assert shown["device"]["initial_value"] == "gw-7"
    assert shown["runbook"]["initial_option"]["value"] == "rauc-status"


async def test_a_form_of_an_older_version_does_nothing_and_says_so(stand: Stand, store: Store) -> None:
    body = {"user": {"id": "U0ANNA"}, "view": {"id": "V1", "private_metadata": "{}", "state": {"values": {}}}}
    answer = await stand.forms.submit(body)
    assert answer["response_action"] == "update"
    assert "Nothing was done" in json.dumps(answer["view"])
    assert await kept(store) == []


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("run", loading_form),
        (" RUN  journal ", loading_form),
        ("run a-gw-001", loading_form),
        ("run journal a-gw-001", None),
        ("run journal a-gw-001 5", None),
        ("runbooks", None),
        ("", None),
        ("Rollout  create", loading_release),
        ("rollout start x", None),
    ],
)
def test_a_run_without_runbook_and_device_both_and_a_release_want_their_form(typed: str, wanted: object) -> None:
    assert wants_form(typed) is wanted
