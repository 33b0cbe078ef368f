"""Promise P4 on a real Keycloak: nobody acts without a live yes, and a refusal is private and says what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from sandbox.cast import ROLLOUTS
from sandbox.slack.seen import SeenMessage
from tests.keycloak.realm import Realm
from tests.keycloak.server import RealKeycloak
from tests.scenario.people import ONE_LOOP, Office, Person, has, office
from tests.scenario.program import until

pytestmark = ONE_LOOP
ALARMS_A = "C0ALARMSA"
TWO = {
    "for-bob": ("a-gw-001", "a-gw-002"),
    "to-stop": ("a-gw-003", "a-gw-004"),
    "in-the-dark": ("a-gw-005", "a-gw-006"),
}
"""Rollouts made by hand over two devices each: the first is installed and verified, the second waits for a person."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The office, with people whose accounts stand in a real realm. `subjects` are their ids there, by name."""

    office: Office
    keycloak: RealKeycloak
    bob: Person
    carol: Person
    frank: Person
    anna: Person
    rita: Person
    dora: Person
    mallory: Person
    subjects: dict[str, str]
    rollouts: dict[str, int]

    @property
    def realm(self) -> Realm:
        return self.keycloak.realm

    async def waits(self, rollout: str, button: str = "promote") -> SeenMessage:
        """The rollout's message, once it offers that button."""
        return await self.office.shows(ROLLOUTS, f"*{rollout}*", button=button, within_s=30)

    async def refusals(self, person: Person) -> list[tuple[str, str, str]]:
        """What the audit log holds of refusals to this person: action, object, reason."""
        known = {self.subjects.get(person.id, ""), f"slack:T0CDM/{person.id}"}
        return [
            (e.action, e.object, e.data["reason"])
            for e in await self.office.audit()
            if e.action.startswith("refused:") and e.actor in known
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(real_keycloak: RealKeycloak) -> AsyncIterator[Cast]:
    async with office(devices=20, keycloak_url=real_keycloak.url) as here:
        realm = real_keycloak.realm
        await realm.allow_redirect(f"{here.world.bot_url}/oidc/callback")
        accounts = {here.person(name): name for name in ("bob", "carol", "frank")}
        made = []
        for name, role in (("anna", "cdm-admin"), ("rita", "cdm-operator"), ("dora", "cdm-operator")):
            account = f"{name}-{here.world.bot_port}"
            made.append(await realm.create_user(account, roles=[role], groups=["/customer-a"]))
            accounts[await here.newcomer(name, f"{account}@cdm.example", ALARMS_A)] = account
        begun = [here.starts_rollout(name, "1.1.0", devices) for name, devices in TWO.items()]
        rollouts, _ = await asyncio.gather(asyncio.gather(*begun), here.links(accounts))
        people = {account.partition("-")[0]: person for person, account in accounts.items()}
        subjects = {person.id: await realm.user_id(account) for person, account in accounts.items()}
        people["mallory"] = here.person("mallory")
        numbers = dict(zip(TWO, rollouts, strict=True))
        yield Cast(here, real_keycloak, subjects=subjects, rollouts=numbers, **people)
        for user_id in made:
            await realm.delete_user(user_id)


async def test_nobody_is_linked_with_an_account_of_another_address_without_the_code(cast: Cast) -> None:
    assert "Not linked yet" in await cast.office.world.login(cast.mallory.id, "erin")
    assert "No linking waits" in (await cast.mallory.types("link 0000-0000")).shown
    assert "not linked" in (await cast.mallory.types("whoami")).shown


async def test_a_viewer_is_refused_privately_and_told_the_role_and_who_has_it(cast: Cast) -> None:
    message = await cast.waits("for-bob")
    told = await cast.carol.presses(message, "promote")
    assert "needs the role `cdm-operator` in customer-a" in told.shown
    assert f"anna-{cast.office.world.bot_port}" in told.shown
    assert await cast.office.started(cast.rollouts["for-bob"]) == 1
    thing = f"rollout:eu1/{cast.rollouts['for-bob']}"
    assert ("refused:promote", thing, "role_missing") in await cast.refusals(cast.carol)


async def test_an_operator_of_another_tenant_is_refused_and_not_told_who_works_there(cast: Cast) -> None:
    message = await cast.waits("for-bob")
    for action in ("promote", "hold", "stop"):
        told = await cast.frank.presses(message, action)
        assert "in customer-a" in told.shown
        assert "anna" not in told.shown
        assert "bob" not in told.shown
    assert await cast.office.started(cast.rollouts["for-bob"]) == 1
    assert has(await cast.waits("for-bob"), "hold"), "it must not be on hold"


async def test_somebody_not_linked_is_told_how_to_link(cast: Cast) -> None:
    told = await cast.mallory.presses(await cast.waits("for-bob"), "promote")
    assert "not linked" in told.shown
    assert "/cdm link" in told.shown
    for command in ("alarms", "device a-gw-001", "rollout list", "run journal a-gw-001", "whoami"):
        assert "not linked" in (await cast.mallory.types(command)).shown
    assert cast.office.ran("a-gw-001") == []
    assert {r for a, _, r in await cast.refusals(cast.mallory) if a != "refused:link"} == {"not_linked"}


async def test_a_disabled_person_may_nothing_from_that_moment_on(cast: Cast) -> None:
    assert "online" in (await cast.dora.types("device a-gw-001")).shown
    await cast.realm.set_enabled(cast.subjects[cast.dora.id], False)
    for command in ("device a-gw-001", "alarms", "rollout hold for-bob", "run journal a-gw-001"):
        assert "account is disabled" in (await cast.dora.types(command)).shown
    told = await cast.dora.presses(await cast.waits("for-bob"), "promote")
    assert "account is disabled" in told.shown
    assert cast.office.ran("a-gw-001") == []
    assert await cast.office.started(cast.rollouts["for-bob"]) == 1


async def test_a_role_taken_away_between_two_clicks_is_missing_at_the_second(cast: Cast) -> None:
    message = await cast.waits("for-bob", "hold")
    assert "On hold" in (await cast.rita.presses(message, "hold")).shown
    await cast.realm.set_roles(cast.subjects[cast.rita.id], ["cdm-viewer"])
    held = await cast.waits("for-bob", "unhold")
    told = await cast.rita.presses(held, "unhold")
    assert "needs the role `cdm-operator` in customer-a" in told.shown
    assert has(await cast.waits("for-bob", "unhold"), "unhold"), "the hold must stand"
    assert "lifted" in (await cast.bob.presses(held, "unhold")).shown


async def test_a_role_taken_away_while_the_order_waits_is_missing_when_it_is_carried_out(cast: Cast) -> None:
    """hawkBit is slow to say what the rollout is: the right is asked for after that, not before."""
    await cast.realm.set_roles(cast.subjects[cast.rita.id], ["cdm-operator"])
    message = await cast.waits("for-bob")
    rollout = cast.rollouts["for-bob"]
    slow = cast.office.world.servers["hawkbit"].faults
    slow.add("late_answer", f"GET /rest/v1/rollouts/{rollout}$", delay_s=1.5)
    try:
        before = {said.ts for said in await cast.rita.private()}
        await cast.rita.clicks(message, "promote")
        await cast.realm.set_roles(cast.subjects[cast.rita.id], ["cdm-viewer"])
        told = await cast.office.slack.wait_for_ephemeral(cast.rita.id, lambda said: said.ts not in before)
    finally:
        slow.clear()
    assert "needs the role `cdm-operator`" in told.shown
    assert await cast.office.started(rollout) == 1


async def test_an_operator_of_the_tenant_may_promote_and_both_intent_and_outcome_are_written_down(cast: Cast) -> None:
    message = await cast.waits("for-bob")
    assert "started" in (await cast.bob.presses(message, "promote")).shown
    rollout = cast.rollouts["for-bob"]
    await until(lambda: _is(cast.office.started(rollout), 2), "group 2 starts")
    thing = f"rollout:eu1/{rollout}/group:2"
    mine = [e for e in await cast.office.audit() if e.object == thing and e.action == "promote"]
    assert [e.kind for e in mine] == ["intent", "outcome"]
    assert {e.actor for e in mine} == {cast.subjects[cast.bob.id]}
    assert mine[1].ref == str(mine[0].seq)
    assert [s.user for s in cast.office.world.hawkbit.starts if (s.rollout, s.index) == (rollout, 1)] == ["cdm-bot"]


async def test_an_operator_can_only_ask_for_a_stop_and_is_told_who_can_do_it(cast: Cast) -> None:
    told = await cast.bob.presses(await cast.waits("to-stop", "stop"), "stop")
    assert "second person" in told.shown
    assert "With the role `cdm-admin` it can be done alone" in told.shown
    assert f"anna-{cast.office.world.bot_port}" in told.shown
    assert await cast.office.status(cast.rollouts["to-stop"]) == "paused"


async def test_an_admin_may_stop(cast: Cast) -> None:
    told = await cast.anna.presses(await cast.waits("to-stop", "stop"), "stop")
    assert "Stopped for good" in told.shown
    assert await cast.office.status(cast.rollouts["to-stop"]) == "stopped"
    stops = [e for e in await cast.office.audit() if e.action == "stop"]
    assert [(e.kind, e.actor) for e in stops] == [
        ("intent", cast.subjects[cast.anna.id]),
        ("outcome", cast.subjects[cast.anna.id]),
    ]


async def test_alarms_are_acknowledged_by_operators_only(cast: Cast) -> None:
    message = await cast.office.alarm("a-gw-007")
    for action in ("acknowledge", "clear", "run:journal", "redeploy"):
        told = await cast.carol.presses(message, action, ALARMS_A)
        assert "needs the role `cdm-operator` in customer-a" in told.shown
    assert await cast.office.alarm_state("a-gw-007") == "ACTIVE_UNACK"
    assert cast.office.ran("a-gw-007") == []
    assert "acknowledged" in (await cast.bob.presses(message, "acknowledge", ALARMS_A)).shown
    assert await cast.office.alarm_state("a-gw-007") == "ACTIVE_ACK"


async def test_whoami_says_what_keycloak_says(cast: Cast) -> None:
    told = await cast.bob.types("whoami")
    assert "bob" in told.shown
    assert "customer-a" in told.shown
    assert "customer-b" not in told.shown
    assert "promote" in told.shown
    assert "promote" not in (await cast.carol.types("whoami")).shown


async def test_keycloak_killed_people_can_only_look_and_hold_the_brakes_work_and_it_comes_back(cast: Cast) -> None:
    here = cast.office
    waiting = await cast.waits("in-the-dark")
    alarm = await here.alarm("a-gw-008")
    assert "in-the-dark" in (await cast.bob.types("rollout status in-the-dark")).shown
    await cast.keycloak.kill()
    try:
        await _refused_without_keycloak(cast, waiting, alarm)
        await _looking_works_without_keycloak(cast)
        for person in (cast.carol, cast.dora):  # the last answer about neither let them hold anything
            assert "yours were not" in (await person.presses(waiting, "hold")).shown
        told = await cast.bob.presses(waiting, "hold")
        assert "On hold" in told.shown
        assert "Keycloak does not answer" in told.shown
        await here.shows(ROLLOUTS, "*in-the-dark*", "on hold by bob", "Keycloak")
        await _brakes_work_without_keycloak(cast)
    finally:
        await cast.keycloak.start()
    await until(lambda: _sees(cast.bob, "whoami", "promote"), "Keycloak answers in time again", within_s=30)
    held = await cast.waits("in-the-dark", "unhold")
    assert "lifted" in (await cast.bob.presses(held, "unhold")).shown
    ready = await cast.waits("in-the-dark")
    assert "started" in (await cast.bob.presses(ready, "promote")).shown
    assert "acknowledged" in (await cast.bob.presses(alarm, "acknowledge", ALARMS_A)).shown


async def _refused_without_keycloak(cast: Cast, waiting: SeenMessage, alarm: SeenMessage) -> None:
    for message, action, channel in ((waiting, "promote", ROLLOUTS), (alarm, "acknowledge", ALARMS_A)):
        told = await cast.bob.presses(message, action, channel)
        assert "Nothing was done" in told.shown
        assert "Keycloak" in told.shown
        assert "Hold" in told.shown
    assert await cast.office.started(cast.rollouts["in-the-dark"]) == 1
    assert await cast.office.alarm_state("a-gw-008") == "ACTIVE_UNACK"
    assert ("refused:acknowledge", "keycloak_away") in {(a, r) for a, _, r in await cast.refusals(cast.bob)}


async def _looking_works_without_keycloak(cast: Cast) -> None:
    """On the last live yes: what bob saw then he sees still, and no more."""
    assert "in-the-dark" in (await cast.bob.types("rollout status in-the-dark")).shown
    assert "a-gw-008" in (await cast.bob.types("alarms")).shown
    assert "There is no device" in (await cast.bob.types("device b-gw-001")).shown
    assert "disabled" not in (told := (await cast.dora.types("alarms")).shown)
    assert "cannot be checked" in told, "the last answer about dora was no"


async def _brakes_work_without_keycloak(cast: Cast) -> None:
    """The scheduler needs no person. One canary fails, the other is not done; hawkBit itself would let 90 % fail."""
    here = cast.office
    canary = await here.starts_rollout(
        "canary",
        "1.2.0",
        [f"c-gw-00{n}" for n in (1, 2, 3, 4)],
        by=here.world.pipeline,
        fates=("fails", "silent"),
        error_pct=90,
    )
    await until(lambda: _is(here.status(canary), "paused"), "the bot pauses the canary")
    await here.shows(ROLLOUTS, "*canary*", "FAILED", "1 errors, 0 allowed")

    async def written() -> list[tuple[str, str]]:
        thing = f"rollout:eu1/{canary}"
        return [(e.kind, e.actor) for e in await here.audit() if (e.action, e.object) == ("pause", thing)]

    await until(lambda: _is(written(), [("intent", "scheduler"), ("outcome", "scheduler")]), "the pause is audited")
    assert await here.started(canary) == 1


async def _sees(person: Person, command: str, word: str) -> bool:
    return word in (await person.types(command)).shown


async def _is(question: Any, wanted: Any) -> bool:
    return bool(await question == wanted)
