"""One tenant's things, asked for by people of another: by every command, button and view, nothing of them is told.

The strongest of the other tenant ask: an admin. What they typed themselves may come back to them, nothing else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from core.commands import FORMS
from flows.rollouts.acts import Verb
from handlers.slack.approvals import DECISIONS
from handlers.slack.reasons import WITH_REASON
from sandbox.cast import ROLLOUTS
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import CHANNEL, STILL, WEBHOOK, Raised, bearer, incident_of, raised, until
from tests.scenario.security.crowd import posted, read

pytestmark = ONE_LOOP
OURS, THEIRS = "customer-b", "customer-a"
SECRET_ROLLOUT = "winter secret"
REASON = "the factory of theirs stands still"
MANY = [f"a-gw-00{n}" for n in range(1, 7)]
"""So many alarms of one type make a group, and each one's own incident a part of it."""

ON_DEVICES = ("exclude", "cancel", "quit", "catch-up", "reboot")
FORMS_OPENED = {"run": "Device", "run journal": "Device", "rollout create": "Distribution set"}
"""Commands that open a form, and what stands in it."""
TYPED: dict[str, tuple[str, ...]] = {
    "help": ("help",),
    "alarms": ("alarms", f"alarms {THEIRS}"),
    "device": ("device a-gw-007",),
    "rollout list": ("rollout list",),
    "rollout status": ("rollout status", f"rollout status {SECRET_ROLLOUT}"),
    **{f"rollout {verb.value}": (f"rollout {verb.value} {SECRET_ROLLOUT}",) for verb in Verb},
    **{f"rollout {verb}": (f"rollout {verb} {SECRET_ROLLOUT}",) for verb in ON_DEVICES},
    "rollout stuck": (f"rollout stuck {SECRET_ROLLOUT}",),
    "rollout create": ("rollout create",),
    "policy": (f"policy {SECRET_ROLLOUT}",),
    "why": (f"why {SECRET_ROLLOUT}", f"why {SECRET_ROLLOUT} 2"),
    "ask": (f"ask stop {SECRET_ROLLOUT} it is ours", f"ask continue {SECRET_ROLLOUT} it is ours"),
    "approvals": ("approvals",),
    "approve": ("approve {request}",),
    "deny": ("deny {request} we do not like it",),
    "withdraw": ("withdraw {request}",),
    "run": ("run", "run journal", "run journal a-gw-007", "run redeploy a-gw-007"),
    "runbooks": ("runbooks",),
    "whoami": ("whoami",),
    "link": ("link", "link 12345678"),
    "links": ("links",),
    "links revoke": ("links revoke bob", "links revoke U0BOB", "links revoke <@U0BOB|bob>"),
    "audit": (
        *("audit", "audit 30", "audit person bob", f"audit tenant {THEIRS}", "audit device a-gw-007"),
        "audit rollout eu1/{rollout}",
    ),
    "unlink": ("unlink",),
}
INCIDENT_BUTTONS = ("acknowledge", "clear", "run:journal", "run:rauc-status", "redeploy")
PRESSED: tuple[tuple[str, str], ...] = (
    *((action, "{incident}") for action in INCIDENT_BUTTONS),
    *((action, "{part}") for action in INCIDENT_BUTTONS),
    *((verb.value, "eu1/{rollout}/2") for verb in Verb),
    *((verb.value, "eu1/{rollout}") for verb in Verb),
    *((verb, "eu1/{rollout}") for verb in ON_DEVICES),
    *((action, "{request}/{digest}") for action in sorted(DECISIONS)),
)
"""What a button of another tenant's message says, or a request that nobody but Slack could have signed."""
LOOKS: tuple[tuple[str, str], ...] = (("why", "eu1/{rollout}"), ("why-newest", "eu1/{rollout}"))
"""Buttons that only show something: of what may not be seen there is nothing."""
WHY: dict[str, str] = {"ask": "stop:eu1/{rollout}", "break-glass": "stop:eu1/{rollout}", "deny": "{request}"}
"""Buttons that open a form for a reason."""


@dataclass(frozen=True, slots=True)
class Cast:
    """`admin` is one of the other tenant alone. `names` of things are those that texts above hold; `secrets` is what
    none of them may be told."""

    office: Office
    realm: StandInRealm
    admin: Person
    bob: Person
    rollout: int
    names: dict[str, str]
    secrets: frozenset[str]

    async def told(self, person: Person, since: set[str]) -> str:
        """All that this person alone was shown since then."""
        said = [json.dumps(e.blocks) + e.text + e.shown for e in await person.private() if e.ts not in since]
        modal = await self.office.slack.modal(person.id)
        if modal is not None:
            said.append(json.dumps(modal.blocks) + modal.private_metadata)
        return "\n".join(said).replace("\\u200b", "")

    def leaked(self, told: str, *typed: str) -> set[str]:
        own = " ".join(typed)
        return {s for s in self.secrets if s not in own and re.search(rf"\b{re.escape(s)}\b", told, re.IGNORECASE)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(start=False, devices=20, pace=STILL) as here:
        here.world.write_config(slack={"requests_per_minute": 10_000})
        await here.bot.start()
        realm = StandInRealm(here.world.servers["keycloak"].url)
        await realm.create_user("walter", roles=["cdm-admin"], groups=[f"/{OURS}"])
        admin = await here.newcomer("walter", "walter@cdm.example")
        bob = here.person("bob")
        rollout, _ = await asyncio.gather(
            here.starts_rollout(SECRET_ROLLOUT, "1.1.0", ["a-gw-005", "a-gw-006"], fates=("silent",)),
            here.links({admin: "walter", bob: "bob"}),
        )
        await here.shows(ROLLOUTS, f"*{SECRET_ROLLOUT}*", button="stop")
        assert "waits for approval" in (await bob.types(f"ask stop {SECRET_ROLLOUT} {REASON}")).shown
        wanted = await here.shows(ROLLOUTS, "APPROVAL WANTED", button="approve")
        request, _, digest = str(wanted.button("approve").value).partition("/")
        names = {"rollout": f"{rollout}", "request": request, "digest": digest}
        incidents, alarms = await _alarms(here)
        subject = await realm.user_id("bob")
        devices = [name for name in here.world.fleet.devices if name.startswith("a-")]
        secrets = {*devices, *alarms, *incidents.values(), SECRET_ROLLOUT, REASON, "bob", "U0BOB", subject}
        secrets |= {"bob@customer-a.example", CHANNEL[THEIRS], "alarms-a", request}
        yield Cast(here, realm, admin, bob, rollout, names | incidents, frozenset(secrets))


async def test_no_command_and_no_button_is_left_out() -> None:
    assert set(TYPED) == {form.name for form in FORMS}
    assert set(WHY) == WITH_REASON
    assert {action for action, _ in PRESSED} >= {verb.value for verb in Verb} | DECISIONS


@pytest.mark.parametrize("command", TYPED)
async def test_no_command_tells_anything_of_another_tenant(cast: Cast, command: str) -> None:
    for text in TYPED[command]:
        typed = text.format(**cast.names)
        before = {said.ts for said in await cast.admin.private()}
        if text in FORMS_OPENED:
            assert (await cast.office.slack.slash(cast.admin.id, ROLLOUTS, "/cdm", typed)).acked
            label = FORMS_OPENED[text]
            await cast.office.slack.wait_for_modal(cast.admin.id, lambda view, label=label: label in view.shown)
        else:
            await cast.admin.types(typed)
        told = await cast.told(cast.admin, before)
        assert told
        assert not cast.leaked(told, typed), told
    if command == "unlink":
        await cast.office.links({cast.admin: "walter"})


@pytest.mark.parametrize(("action", "value"), PRESSED)
async def test_no_button_with_a_value_of_another_tenant_does_or_tells_anything(
    cast: Cast, action: str, value: str
) -> None:
    named = value.format(**cast.names)
    message = await posted(cast.office, ROLLOUTS, [(action, named)])
    before = {said.ts for said in await cast.admin.private()}
    refused = await cast.admin.presses(message, action)
    assert f"in {THEIRS}; you do not have it there" in read(refused.shown)
    assert "Who can help" not in refused.shown
    assert not cast.leaked(await cast.told(cast.admin, before))


@pytest.mark.parametrize(("action", "value"), [*LOOKS, ("why", "eu1/999"), ("why", "eu1/{rollout}/1-1")])
async def test_no_button_that_shows_something_tells_anything_of_another_tenant(
    cast: Cast, action: str, value: str
) -> None:
    message = await posted(cast.office, ROLLOUTS, [(action, value.format(**cast.names))])
    before = {said.ts for said in await cast.admin.private()}
    refused = await cast.admin.presses(message, action)
    assert (
        read(refused.shown)
        == "⚠️ There is no rollout of that number in your tenants. /cdm rollout list shows those under way."
    )
    assert not cast.leaked(await cast.told(cast.admin, before))


@pytest.mark.parametrize("action", WHY)
async def test_no_reason_given_for_a_thing_of_another_tenant_does_or_tells_anything(cast: Cast, action: str) -> None:
    named, slack = WHY[action].format(**cast.names), cast.office.slack
    message = await posted(cast.office, ROLLOUTS, [(action, named)])
    before = {said.ts for said in await cast.admin.private()}
    assert (await slack.click(cast.admin.id, ROLLOUTS, message.ts, action)).acked
    await slack.wait_for_modal(cast.admin.id, lambda view: "Why?" in view.shown)
    assert not cast.leaked(await cast.told(cast.admin, before), named)
    assert (await slack.submit_view(cast.admin.id, {"reason": "because we want to know"})).acked
    refused = await slack.wait_for_ephemeral(cast.admin.id, lambda said: said.ts not in before)
    assert f"in {THEIRS}; you do not have it there" in read(refused.shown) or "allows nobody" in refused.shown
    assert not cast.leaked(await cast.told(cast.admin, before), named)


@pytest.mark.parametrize("incident", ["incident", "part"])
async def test_the_form_for_a_run_does_not_open_for_an_incident_of_another_tenant(cast: Cast, incident: str) -> None:
    slack = cast.office.slack
    message = await posted(cast.office, ROLLOUTS, [("run-form", cast.names[incident])])
    assert (await slack.click(cast.admin.id, ROLLOUTS, message.ts, "run-form")).acked
    shown = await slack.wait_for_modal(cast.admin.id, lambda view: "you do not have it there" in view.shown)
    assert not cast.leaked(json.dumps(shown.blocks) + shown.private_metadata, cast.names[incident])


@pytest.mark.parametrize("incident", ["", "incident", "part"])
async def test_a_form_whose_memory_was_bent_runs_nothing_and_tells_nothing(cast: Cast, incident: str) -> None:
    slack, device = cast.office.slack, "a-gw-007"
    before = {said.ts for said in await cast.admin.private()}
    assert (await slack.slash(cast.admin.id, ROLLOUTS, "/cdm", "run rauc-status")).acked
    await slack.wait_for_modal(cast.admin.id, lambda view: "Device" in view.shown)
    view = cast.office.world.slack.workspace.modals[cast.admin.id][-1]
    bent = json.loads(view.body["private_metadata"]) | {"incident": cast.names.get(incident, ""), "device": device}
    view.body["private_metadata"] = json.dumps(bent)
    assert (await slack.submit_view(cast.admin.id, {"device": device})).acked
    await slack.wait_for_ephemeral(cast.admin.id, lambda said: said.ts not in before)
    assert not cast.leaked(await cast.told(cast.admin, before), device)


async def test_the_home_tab_shows_nothing_of_another_tenant(cast: Cast) -> None:
    async def shown() -> str:
        await cast.office.slack.open_home(cast.admin.id)
        view = await cast.office.slack.home(cast.admin.id)
        said = json.dumps(view.blocks) + view.shown if view else ""
        return said if "cdm-admin" in said else ""

    said = await until(shown, "the Home tab is there", look_s=0.3)
    assert "No open incidents" in said
    assert not cast.leaked(said)


async def test_after_all_that_nothing_was_done_and_who_tried_is_written_down(cast: Cast) -> None:
    here = cast.office
    assert {await here.alarm_state(device) for device in (*MANY, "a-gw-007")} == {"ACTIVE_UNACK"}
    assert [device for device in here.world.fleet.devices if device.startswith("a-") and here.ran(device)] == []
    assert await here.status(cast.rollout) == "running"
    assert "bob@customer-a.example" in read((await cast.bob.types("whoami")).shown)
    assert cast.names["request"] in (await cast.bob.types("approvals")).shown
    walter = await cast.realm.user_id("walter")
    audit = await here.audit()
    refused = {(e.action, e.object, e.data["reason"]) for e in audit if e.actor == walter and "reason" in e.data}
    rollout = f"rollout:eu1/{cast.rollout}"
    for action in ("promote", "resume", "pause", "hold", "stop", "continue_failed"):
        assert (f"refused:{action}", rollout, "not_a_member") in refused
    for action in ("acknowledge", "clear", "view"):
        for incident in ("incident", "part"):
            assert (f"refused:{action}", f"incident:{cast.names[incident]}", "not_a_member") in refused
    assert {e.action for e in audit if e.actor == walter and e.kind == "intent"} <= {"link", "unlink"}


async def _alarms(here: Office) -> tuple[dict[str, str], list[str]]:
    """An incident of one device; one that became part of a group, and the group. And the ids of all their alarms."""
    single = raised(here.world, THEIRS, "a-gw-007", "High Temperature")
    first, *more = several = [raised(here.world, THEIRS, device, "Low Disk") for device in MANY]
    async with httpx.AsyncClient(base_url=here.world.bot_url, trust_env=False) as http:

        async def heard(*alarms: Raised) -> None:
            for one in alarms:
                answer = await http.post(WEBHOOK, content=one.body, headers=bearer(here.world, THEIRS))
                assert answer.status_code == 202

        await heard(single, first)
        alone = await here.shows(CHANNEL[THEIRS], "High Temperature", button="acknowledge")
        part = await here.shows(CHANNEL[THEIRS], first.device, button="acknowledge")
        await heard(*more)
    group = await here.shows(CHANNEL[THEIRS], "6 devices", button="acknowledge")
    found = {"incident": incident_of(alone), "part": incident_of(part), "group": incident_of(group)}
    assert len(set(found.values())) == 3, found
    return {name: f"{id}" for name, id in found.items()}, [one.id for one in (single, *several)]
