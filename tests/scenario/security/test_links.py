"""Attacks on who somebody is, through Slack's wire protocol and a browser: each refused, and written down.

Held elsewhere, and not repeated here: replayed, expired, made-up and swapped states, nonces, codes, browsers and
issuers in `tests/unit/handlers/test_link.py`; tokens of another client, realm or key, and `alg: none`, in
`tests/unit/integrations/test_keycloak_login.py`; a role taken away between click and execution, and a disabled person,
on the real Keycloak in `tests/scenario/test_who_may.py`; group paths there in `tests/contract/keycloak/test_roles.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sandbox.cast import ROLLOUTS
from tests.keycloak.browser import Browser
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import until

pytestmark = ONE_LOOP
ALARMS_A = "C0ALARMSA"
OUTSIDE: dict[str, dict[str, Any]] = {
    "slack_guest": {"is_restricted": True},
    "slack_guest of one channel": {"is_restricted": True, "is_ultra_restricted": True},
    "foreign_team": {"team": "T0OTHER"},
    "slack_bot": {"is_bot": True},
    "slack_deactivated": {"deleted": True},
}
"""By reason: what Slack says of somebody who is no full member."""
INSIDE = {"is_restricted": False, "is_ultra_restricted": False, "team": "", "is_bot": False, "deleted": False}


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    realm: StandInRealm
    bob: Person
    carol: Person
    mallory: Person

    async def refusals(self, action: str) -> list[tuple[str, str]]:
        """Who was refused that, and why, oldest first."""
        return [(e.actor, e.data["reason"]) for e in await self.office.audit() if e.action == f"refused:{action}"]

    async def is_linked(self, person: Person) -> bool:
        return "not linked" not in (await person.types("whoami")).shown


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office() as here:
        people = {name: here.person(name) for name in ("bob", "carol", "mallory")}
        here.world.slack.workspace.channels[ALARMS_A].members.add(people["mallory"].id)
        await here.links({people["bob"]: "bob", people["carol"]: "carol"})
        yield Cast(here, StandInRealm(here.world.servers["keycloak"].url), **people)


async def test_a_victim_lured_into_the_attackers_link_links_nothing_even_with_the_victims_address_in_slack(
    cast: Cast,
) -> None:
    """Mallory's profile shows bob's address, and bob logs in at the link that mallory asked for."""
    await cast.office.slack.change_user(cast.mallory.id, email="bob@customer-a.example")
    page = await cast.office.world.login(cast.mallory.id, "bob")
    assert "linked with another Slack user" in page
    assert "tell an administrator" in page
    assert not await cast.is_linked(cast.mallory)
    assert await cast.is_linked(cast.bob)
    assert (await cast.refusals("link"))[-1] == (await cast.realm.user_id("bob"), "account_taken")
    await cast.office.slack.change_user(cast.mallory.id, email="mallory@elsewhere.example")


async def test_an_address_changed_in_slack_to_somebody_elses_gives_a_linked_person_nothing(cast: Cast) -> None:
    await cast.office.slack.change_user(cast.carol.id, email="alice@cdm.example")
    assert "carol@customer-a.example" in (await cast.carol.types("whoami")).shown.replace("\u200b", "")
    assert "linked with another Keycloak account" in await cast.office.world.login(cast.carol.id, "alice")
    assert (await cast.refusals("link"))[-1] == (await cast.realm.user_id("alice"), "linked_already")
    await cast.office.slack.change_user(cast.carol.id, email="carol@customer-a.example")


@pytest.mark.parametrize("why", OUTSIDE)
async def test_who_is_no_full_member_any_more_may_nothing_whatever_keycloak_says(cast: Cast, why: str) -> None:
    alarm = await cast.office.alarm("a-gw-001")
    await cast.office.slack.change_user(cast.bob.id, **OUTSIDE[why])
    before = len(await cast.refusals("request"))
    try:
        for command in ("device a-gw-001", "rollout list", "run journal a-gw-001", "link", "unlink", "help"):
            told = (await cast.bob.types(command)).shown
            assert "Only full members of the workspace" in told
            assert "http" not in told
        pressed = await cast.bob.presses(alarm, "acknowledge", ALARMS_A)
        assert "Nothing was done" in pressed.shown
    finally:
        await cast.office.slack.change_user(cast.bob.id, **INSIDE)
    assert await cast.office.alarm_state("a-gw-001") == "ACTIVE_UNACK"
    assert cast.office.ran("a-gw-001") == []
    team = "T0OTHER" if why == "foreign_team" else "T0CDM"
    reasons = (await cast.refusals("request"))[before:]
    assert len(reasons) == 7
    assert {reason for _, reason in reasons} == {why.partition(" ")[0]}
    assert (f"slack:{team}/{cast.bob.id}", why.partition(" ")[0]) in reasons
    assert "online" in (await cast.bob.types("device a-gw-001")).shown, "a member again"


@pytest.mark.parametrize("why", OUTSIDE)
async def test_who_is_no_full_member_is_not_linked_also_with_a_link_asked_for_before(cast: Cast, why: str) -> None:
    await cast.realm.create_user("guest", email="guest@cdm.example", roles=["cdm-admin"], groups=["/customer-a"])
    person = await cast.office.newcomer("guest", "guest@cdm.example")
    url = await _link_url(person)
    await cast.office.slack.change_user(person.id, **OUTSIDE[why])
    try:
        async with Browser() as browser:
            await browser.open(url)
            await browser.log_in("guest")
            assert browser.page.status_code == 403
            assert browser.sees("not a full member of the Slack workspace")
    finally:
        await cast.office.slack.change_user(person.id, **INSIDE)
    assert (await cast.refusals("link"))[-1] == (await cast.realm.user_id("guest"), "no_member")
    assert not await cast.is_linked(person)


async def test_a_code_the_victim_was_shown_is_of_no_use_to_the_phisher_nor_to_the_victim(cast: Cast) -> None:
    """Mallory lures dora, who logs in and goes on. Mallory guesses; dora, puzzled, types the code herself."""
    dora = await cast.office.newcomer("dora", "dora@cdm.example")
    await cast.realm.create_user("dora", email="dora@cdm.example", roles=["cdm-admin"], groups=["/customer-a"])
    page = await cast.office.world.login(cast.mallory.id, "dora")
    assert f"{cast.mallory.id} (mallory@elsewhere.example)" in page
    code = page[page.index("/cdm link ") + 10 :].split()[0]
    assert "No linking waits" in (await cast.mallory.types("link ABCD-EFGH")).shown
    assert "another Slack user began" in (await dora.types(f"link {code}")).shown
    assert "No linking waits" in (await cast.mallory.types(f"link {code}")).shown
    for _ in range(3):
        await cast.mallory.types("link ABCD-EFGH")
    assert "Too many wrong codes" in (await cast.mallory.types("link ABCD-EFGH")).shown
    assert not await cast.is_linked(cast.mallory)
    assert not await cast.is_linked(dora)
    unknown = (f"slack:T0CDM/{cast.mallory.id}", "code_unknown")
    reasons = (await cast.refusals("link"))[-7:]
    assert reasons[:3] == [unknown, (await cast.realm.user_id("dora"), "code_foreign"), unknown]
    assert reasons[3:] == [unknown, unknown, unknown, (unknown[0], "tries_over")]


async def test_a_link_opened_twice_leads_nowhere_the_second_time(cast: Cast) -> None:
    url = await _link_url(cast.mallory)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert [(await http.get(url)).status_code for _ in range(2)] == [303, 410]


async def test_slack_not_saying_who_is_a_member_stops_no_linked_person_but_every_new_link(cast: Cast) -> None:
    alarm = await cast.office.alarm("a-gw-002")
    person = await cast.office.newcomer("erin2", "erin2@cdm.example")
    await cast.realm.create_user("erin2", email="erin2@cdm.example")
    silent = cast.office.world.servers["slack"].faults
    silent.add("lost_request", "users.info")
    try:
        assert "acknowledged" in (await cast.bob.presses(alarm, "acknowledge", ALARMS_A)).shown
        assert "Nothing was linked" in await cast.office.world.login(person.id, "erin2")
    finally:
        silent.clear()
    await until(lambda: _acknowledged(cast, "a-gw-002"), "ThingsBoard has it")
    assert not await cast.is_linked(person)


async def test_a_group_only_named_like_a_tenant_opens_nothing_of_it(cast: Cast) -> None:
    await cast.realm.create_group("/evil/customer-a")
    await cast.realm.create_user("impostor", email="i@cdm.example", roles=["cdm-admin"], groups=["/evil/customer-a"])
    person = await cast.office.newcomer("impostor", "i@cdm.example", ALARMS_A)
    await cast.office.links({person: "impostor"})
    alarm = await cast.office.alarm("a-gw-003")
    assert "needs the role" in (await person.presses(alarm, "acknowledge", ALARMS_A)).shown
    for command in ("alarms", "device a-gw-003", "links", f"links revoke {cast.bob.id}"):
        told = (await person.types(command)).shown
        assert "needs the role" in told
        assert "bob" not in told
    assert await cast.office.alarm_state("a-gw-003") == "ACTIVE_UNACK"
    assert await cast.is_linked(cast.bob)


async def _link_url(person: Person) -> str:
    shown = (await person.types("link", ROLLOUTS)).text
    return shown[shown.index("<http") + 1 : shown.index("|Log in")]


async def _acknowledged(cast: Cast, device: str) -> bool:
    return await cast.office.alarm_state(device) == "ACTIVE_ACK"
