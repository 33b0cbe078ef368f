"""What needs a second person, from the button to the outcome; every way around it is refused and written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from core.audit import Entry
from sandbox.cast import ADMINS, ROLLOUTS
from sandbox.hawkbit.control import finish
from sandbox.slack.seen import SeenMessage
from tests.keycloak.standin import StandInRealm
from tests.scenario.approving import asks_for, gives_reason, logs_in_anew, set_policy
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import until

pytestmark = ONE_LOOP


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    realm: StandInRealm
    alice: Person
    bob: Person
    carol: Person
    heidi: Person
    mallory: Person

    async def rollout(self, name: str, number: int) -> tuple[int, SeenMessage]:
        """A running rollout over one device of customer-a, and its message with the button Stop."""
        rollout = await self.office.starts_rollout(name, "1.1.0", [f"a-gw-{number:03}"], (100,), fates=("silent",))
        return rollout, await self.office.shows(ROLLOUTS, f"*{name}*", button="stop")

    async def wanted(self, name: str, *words: str) -> SeenMessage:
        """The message of the request about that rollout."""
        return await self.office.shows(ROLLOUTS, "APPROVAL WANTED", name, *words, button="approve")

    async def failed(self, name: str, first: int) -> tuple[int, SeenMessage]:
        """A rollout of the pipeline over four devices that hawkBit stopped for errors before the bot could pause it:
        only such a one goes on to the next group when it is resumed. Its message with the button to go on."""
        devices = [f"a-gw-{first + n:03}" for n in range(4)]
        more = {"by": self.office.world.pipeline, "fates": ("fails", "silent")}
        rollout = await self.office.starts_rollout(name, "1.2.0", devices, **more)
        slow = self.office.world.servers["hawkbit"].faults
        slow.add("late_answer", f"GET /rest/v1/rollouts/{rollout}/deploygroups", delay_s=1.5)
        try:
            await until(lambda: _is(self.office.status(rollout), "paused"), "hawkBit stops it for errors")
        finally:
            slow.clear()
        return rollout, await self.office.shows(ROLLOUTS, f"*{name}*", "FAILED", button="continue", within_s=30)

    async def noted(self, action: str, about: int) -> list[Entry]:
        thing = f"rollout:eu1/{about}"
        return [e for e in await self.office.audit() if e.action == action and e.object.startswith(thing)]

    async def subject(self, name: str) -> str:
        return await self.realm.user_id(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(start=False, devices=60) as here:
        set_policy(
            here.world.config,
            stop={"remind_s": 1.0},
            continue_failed={"break_glass": True},
        )
        await here.bot.start()
        people = {name: here.person(name) for name in ("alice", "bob", "carol", "heidi", "mallory")}
        await here.links({people[name]: name for name in ("alice", "bob", "carol", "heidi")})
        yield Cast(here, StandInRealm(here.world.servers["keycloak"].url), **people)


async def test_an_operator_asks_an_admin_approves_and_it_is_done_once_and_told_to_both(cast: Cast) -> None:
    rollout, message = await cast.rollout("ends-well", 1)
    told = await asks_for(cast.bob, message, "stop", "the bundle bricks slot B")
    assert "waits for approval" in told.shown
    wanted = await cast.wanted("ends-well", "the bundle bricks slot B", "bob", "0 of 1 agreed")
    assert await cast.office.status(rollout) == "running"
    done = await cast.alice.presses(wanted, "approve", within_s=30)
    assert "DONE" in done.shown
    assert "Stopped for good" in done.shown
    assert await cast.office.status(rollout) == "stopped"
    await cast.office.shows(ROLLOUTS, "DONE", "ends-well", "alice", "1 of 1 agreed")
    assert "DONE" in (await cast.office.slack.wait_for_ephemeral(cast.bob.id, lambda e: "DONE" in e.shown)).shown
    entries = [e for e in await cast.office.audit() if e.object == f"rollout:eu1/{rollout}"]
    steps = [(e.kind, e.action) for e in entries if "approval" in e.action or e.action == "stop"]
    assert steps == [
        ("note", "approval:asked"),
        ("note", "approval:agreed"),
        ("intent", "approval:carry_out"),
        ("intent", "stop"),
        ("outcome", "stop"),
        ("outcome", "approval:carry_out"),
    ]
    stop = next(e for e in entries if (e.kind, e.action) == ("intent", "stop"))
    assert "rights_read_at" in stop.data
    assert "approved by alice" in stop.data["reason"]


async def test_nobody_approves_what_they_asked_for_nor_what_they_may_not(cast: Cast) -> None:
    """Frank is of another tenant, carol only looks, mallory is nobody; bob asked."""
    rollout, message = await cast.rollout("not-alone", 2)
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("not-alone")
    assert "somebody else must approve it" in (await cast.bob.presses(wanted, "approve")).shown
    assert "needs the role `cdm-admin`" in (await cast.carol.presses(wanted, "approve")).shown
    assert "not linked" in (await cast.mallory.presses(wanted, "approve")).shown
    bob = await cast.subject("bob")
    await cast.realm.set_roles(bob, ["cdm-admin"])
    try:
        told = await cast.bob.presses(wanted, "approve")
        assert "somebody else must approve it" in told.shown
        refused = await cast.noted("refused:stop", rollout)
        assert (bob, "same_person") in [(e.actor, e.data["reason"]) for e in refused]
    finally:
        await cast.realm.set_roles(bob, ["cdm-operator"])
    assert await cast.office.status(rollout) == "running"


async def test_a_second_slack_account_of_the_same_person_is_the_same_person(cast: Cast) -> None:
    """Alice asks; unlinks; links her second Slack user with the same account. And: the same Slack user with another
    account is the same person too."""
    bob = await cast.subject("bob")
    rollout, message = await cast.rollout("two-hats", 3)
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("two-hats")
    second = await cast.office.newcomer("bob-too", "bob@customer-a.example")
    await cast.realm.set_roles(bob, ["cdm-admin"])
    admin = await cast.realm.create_user("bob-admin", email="bob.admin@cdm.example", roles=["cdm-admin"])
    await cast.realm.set_groups(admin, ["/customer-a"])
    try:
        await cast.bob.types("unlink")
        await cast.office.links({second: "bob"})
        assert "somebody else must approve it" in (await second.presses(wanted, "approve")).shown
        await second.types("unlink")
        await cast.office.slack.change_user(cast.bob.id, email="bob.admin@cdm.example")
        await cast.office.links({cast.bob: "bob-admin"})
        assert "You asked for this yourself" in (await cast.bob.presses(wanted, "approve")).shown
    finally:
        await cast.bob.types("unlink")
        await cast.office.slack.change_user(cast.bob.id, email="bob@customer-a.example")
        await cast.realm.set_roles(bob, ["cdm-operator"])
        await cast.office.links({cast.bob: "bob"})
        await cast.realm.delete_user(admin)
    assert await cast.office.status(rollout) == "running"


async def test_what_was_shown_before_things_changed_is_not_agreed_to(cast: Cast) -> None:
    """A canary fails while the request waits: who approves is told, and the message says what is new."""
    here = cast.office
    rollout = await here.starts_rollout("moves-on", "1.1.0", ["a-gw-004", "a-gw-005"], fates=("silent",))
    message = await here.shows(ROLLOUTS, "*moves-on*", button="stop")
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("moves-on")
    (canary,) = await here.world.by_hand.members(rollout, 1)
    finish(here.world.hawkbit.tenant().repo, canary, "failure")
    await until(lambda: _is(here.status(rollout), "paused"), "hawkBit stops it for errors")
    told = await cast.alice.presses(wanted, "approve")
    assert "Things have changed" in told.shown
    assert await here.status(rollout) == "paused"
    again = await cast.wanted("moves-on", "Changed since it was asked", "failed devices", canary)
    assert (await cast.noted("approval:stale", rollout))[0].actor == await cast.subject("alice")
    assert "Stopped for good" in (await cast.alice.presses(again, "approve", within_s=30)).shown
    assert await here.status(rollout) == "stopped"


async def test_whoever_asked_is_disabled_while_it_waits_and_nothing_is_done(cast: Cast) -> None:
    rollout, message = await cast.rollout("gone-meanwhile", 6)
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("gone-meanwhile")
    bob = await cast.subject("bob")
    await cast.realm.set_enabled(bob, False)
    try:
        told = await cast.alice.presses(wanted, "approve", within_s=30)
    finally:
        await cast.realm.set_enabled(bob, True)
    assert "NOT CARRIED OUT" in told.shown
    assert "the rights of bob do not hold any more: the Keycloak account is disabled" in told.shown
    await cast.office.shows(ROLLOUTS, "NOT CARRIED OUT", "gone-meanwhile")
    assert await cast.office.status(rollout) == "running"
    assert await cast.noted("stop", rollout) == []


async def test_a_request_is_denied_with_a_reason_or_withdrawn_and_reminded_of_once(cast: Cast) -> None:
    _, message = await cast.rollout("says-no", 7)
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("says-no")
    await cast.office.shows(ROLLOUTS, "STILL WAITS", "says-no")
    assert "Only who asked can withdraw it" in (await cast.alice.presses(wanted, "withdraw")).shown
    told = await gives_reason(cast.alice, wanted, "deny", "slot B is fine")
    assert "DENIED" in told.shown
    await cast.office.shows(ROLLOUTS, "DENIED", "says-no", "slot B is fine", "alice denied it")
    assert "waits for approval" in (await asks_for(cast.bob, message, "stop", "really wrong bundle")).shown
    again = await cast.wanted("says-no", "really wrong bundle")
    assert "It was asked before, by bob" in (await cast.alice.types("ask stop says-no me too")).shown
    assert "WITHDRAWN" in (await cast.bob.presses(again, "withdraw")).shown
    assert "over already" in (await cast.alice.types(f"approve {id_of(again)}")).shown
    reminders = [m for m in await cast.office.slack.messages(ROLLOUTS) if "STILL WAITS" in m.shown]
    assert len([m for m in reminders if "says-no" in m.shown]) <= 2


async def test_going_on_past_a_failed_gate_takes_an_admin_who_logs_in_anew(cast: Cast) -> None:
    here = cast.office
    rollout, message = await cast.failed("goes-on", 8)
    told = await asks_for(cast.bob, message, "continue", "the failed one has a broken disk")
    assert "waits for approval" in told.shown
    wanted = await cast.wanted("goes-on", "errors_over_budget", "error_stop", "a-gw-0")
    link = await cast.alice.presses(wanted, "approve")
    assert "log in to Keycloak anew" in link.shown
    assert await here.started(rollout) == 1
    assert "another account" in await logs_in_anew(link, "heidi")
    link = await cast.alice.presses(wanted, "approve")
    page = await logs_in_anew(link, "alice")
    assert "Confirmed" in page
    assert "used before" in await logs_in_anew(link, "alice"), "a link works once"
    await here.shows(ROLLOUTS, "DONE", "goes-on", "alice", within_s=30)
    await until(lambda: _is(here.started(rollout), 2), "group 2 starts")
    agreed = (await cast.noted("approval:agreed", rollout))[-1]
    assert agreed.data["login_at"]
    assert [e.data["reason"] for e in await cast.office.audit() if e.action == "refused:fresh_login"] == [
        "other_account"
    ]
    promoted = next(e for e in await cast.noted("promote", rollout) if e.kind == "intent" and "past" in e.data)
    assert "approved by alice" in promoted.data["because"]


async def test_the_glass_is_broken_alone_with_a_reason_loudly_and_signed_by_another(cast: Cast) -> None:
    here = cast.office
    rollout, message = await cast.failed("breaks-glass", 12)
    refused = await cast.bob.presses(message, "continue")
    assert [button.action_id for button in refused.buttons] == ["ask"]
    refused = await cast.alice.presses(message, "continue")
    link = await gives_reason(cast.alice, refused, "break-glass", "plant 3 stands still without this release")
    assert await here.started(rollout) == 1
    assert "Confirmed" in await logs_in_anew(link, "alice")
    done = await here.shows(
        ROLLOUTS, "BREAK GLASS", "breaks-glass", "not reviewed yet", button="sign-review", within_s=30
    )
    await here.shows(ADMINS, "BREAK GLASS", "plant 3 stands still")
    await until(lambda: _is(here.started(rollout), 2), "group 2 starts")
    assert "somebody else must" in (await cast.alice.presses(done, "sign-review")).shown
    assert "To be reviewed" in (await cast.heidi.types("approvals")).shown
    await cast.heidi.presses(done, "sign-review")
    await here.shows(ROLLOUTS, "DONE", "breaks-glass", "past the second person", "signed by heidi")
    broken = (await cast.noted("break_glass", rollout))[0]
    assert (broken.actor, broken.data["break_glass"]) == (await cast.subject("alice"), True)
    assert (await cast.noted("break_glass:signed", rollout))[0].actor == await cast.subject("heidi")


async def test_killed_while_it_carries_out_what_was_agreed_the_bot_does_it_once_and_tells_the_end(cast: Cast) -> None:
    here = cast.office
    rollout, message = await cast.rollout("killed-half-way", 20)
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("killed-half-way")
    hawkbit = here.world.servers["hawkbit"].faults
    hawkbit.add("late_answer", f"POST /rest/v1/rollouts/{rollout}/stop", delay_s=5)
    try:
        await cast.alice.clicks(wanted, "approve")
        await until(lambda: _is(here.status(rollout), "stopped"), "hawkBit has the order, the bot no answer yet")
        await here.bot.kill()
        await here.bot.start()
    finally:
        hawkbit.clear()
    await here.shows(ROLLOUTS, "DONE", "killed-half-way", "Stopped for good", within_s=60)
    steps = await cast.noted("approval:carry_out", rollout)
    assert [e.kind for e in steps] == ["intent", "outcome"]
    assert await here.status(rollout) == "stopped"


async def test_by_policy_two_others_agree_each_after_a_login_and_who_may_alone_logs_in_too(cast: Cast) -> None:
    here = cast.office
    set_policy(here.world.config, stop={"quorum": 2, "fresh_login": True})
    await here.bot.restart()
    rollout, message = await cast.rollout("alone", 21)
    link = await cast.alice.presses(message, "stop")
    assert await here.status(rollout) == "running"
    assert "Confirmed" in await logs_in_anew(link, "alice")
    await here.shows(ROLLOUTS, "DONE", "*Stop alone", "alice alone", "after a fresh login", within_s=30)
    assert await here.status(rollout) == "stopped"

    rollout, message = await cast.rollout("by-two", 22)
    await asks_for(cast.bob, message, "stop", "wrong bundle")
    wanted = await cast.wanted("by-two", "0 of 2 agreed")
    assert "1 more must agree" in await logs_in_anew(await cast.alice.presses(wanted, "approve"), "alice")
    wanted = await cast.wanted("by-two", "1 of 2 agreed")
    assert "You have agreed to it already" in (await cast.alice.presses(wanted, "approve")).shown
    assert await here.status(rollout) == "running"
    assert "being carried out" in await logs_in_anew(await cast.heidi.presses(wanted, "approve"), "heidi")
    await here.shows(ROLLOUTS, "DONE", "by-two", "alice, heidi", within_s=30)
    assert await here.status(rollout) == "stopped"


async def test_a_request_nobody_decides_expires_and_what_comes_later_does_nothing(cast: Cast) -> None:
    """By a policy of its own, under which requests last eight seconds."""
    set_policy(cast.office.world.config, continue_failed={"lasts_s": 8.0})
    await cast.office.bot.restart()
    rollout, message = await cast.failed("runs-out", 16)
    await asks_for(cast.bob, message, "continue", "one broken disk")
    wanted = await cast.wanted("runs-out")
    await cast.office.shows(ROLLOUTS, "EXPIRED", "runs-out", "Ask again if it is still wanted", within_s=60)
    assert "over already" in (await cast.alice.types(f"approve {id_of(wanted)}")).shown
    assert await cast.office.started(rollout) == 1


async def _is(question: Any, wanted: Any) -> bool:
    return bool(await question == wanted)


def id_of(message: SeenMessage) -> str:
    return message.button("approve").value.partition("/")[0]
