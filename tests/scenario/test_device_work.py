"""Devices that do not get on, and what people do about them, against hawkBit at the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Any, cast

import pytest

from core.access import Action
from core.rollouts.work import WorkKind
from flows.gate import Denied
from flows.rollouts.device_acts import DeviceActs
from flows.rollouts.device_work import WorkOutcome, WorkResult
from flows.world import StackWorld, TenantWorld, World
from integrations.store.connection import Store
from sandbox.hawkbit.control import finish
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import CHANNEL, EU1, TENANT, Bot, Lab, lab
from tests.scenario.rollout_play import ANNA, POLICY, Play


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Lab]:
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        yield made


async def canaries(here: Lab, clock: ManualClock, silent: int, *sizes: int) -> Play:
    """A rollout under way whose last `silent` canaries were never heard of; the others are done and verified."""
    play = Play(here, clock, here.add_rollout("fw", sizes or (25, 25)))
    here.fleet.silent = set(_first_group(play)[-silent:]) if silent else set()
    await play.rounds(2)
    here.start(play.rollout)
    here.hawkbit.tick()
    for device in _first_group(play)[: len(_first_group(play)) - silent]:
        here.hawkbit.tenant().repo.target(device).polled_at = int(clock.now().timestamp() * 1000)
    await play.rounds(7)
    await swept(play)
    return play


async def swept(play: Play) -> None:
    """The bot looks over the devices once a minute."""
    await play.clock.forward(60.0)
    await play.rounds(1)


def _first_group(play: Play) -> list[str]:
    return sorted(target.controller_id for target in play.rollout.groups[0].members)


async def orders(play: Play, kind: WorkKind, *, bot: Bot | None = None, **more: Any) -> WorkResult:
    """Waits inside are over at once."""
    works = (bot or play.bot).works
    work: asyncio.Task[WorkResult] = asyncio.create_task(works.order(kind, EU1, play.id, ANNA, **more))
    while not work.done():
        await asyncio.sleep(0.005)
        play.lab.hawkbit.tick()
        await play.clock.forward(1.0)
    return await work


async def test_offline_canaries_excluded_by_name_let_the_group_complete_and_the_bot_goes_on(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 2)
    silent = sorted(here.fleet.silent)
    assert play.rollout.status == "running"
    assert "2 devices of group 1 cannot be reached" in await play.message()
    result = await orders(play, WorkKind.EXCLUDE, which="1")
    assert result.outcome is WorkOutcome.DONE
    assert "2 devices (" in result.text
    assert all(name.removeprefix("fw-") in result.text for name in silent)
    assert "Group 1 is complete, and the rollout is paused." in result.text
    assert _ended(play, silent) == ["canceled", "canceled"]
    assert "2 devices (" in await play.message()
    await play.rounds(3)
    assert play.started == [1, 2]
    bar = (await play.view()).bars[0]
    assert (bar.verified, bar.total, bar.excluded, sorted(bar.excluded_names)) == (23, 23, 2, silent)
    intent, outcome = await play.audited("exclude")
    assert (intent.actor, sorted(intent.data["devices"]), outcome.ref) == ("sub-anna", silent, str(intent.seq))


async def test_more_than_the_policy_allows_are_not_excluded_and_the_numbers_say_why(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 3)
    assert "cannot be reached" not in await play.message()
    result = await orders(play, WorkKind.EXCLUDE)
    assert result.outcome is WorkOutcome.REFUSED
    assert "that makes 3 of 25, and the policy allows 2 (10 %)" in result.text
    assert _ended(play, sorted(here.fleet.silent)) == ["running"] * 3
    assert (await here.record(play.rollout)).excluded == ()
    assert [e.action for e in await play.audited("refused:exclude")] == ["refused:exclude"]


async def test_a_device_that_was_heard_of_lately_is_nobody_to_exclude(here: Lab, clock: ManualClock) -> None:
    play = await canaries(here, clock, 2)
    for name in here.fleet.silent:
        here.hawkbit.tenant().repo.target(name).polled_at = int(clock.now().timestamp() * 1000)
    result = await orders(play, WorkKind.EXCLUDE)
    assert (result.outcome, "heard of lately" in result.text) == (WorkOutcome.REFUSED, True)
    assert _ended(play, sorted(here.fleet.silent)) == ["running"] * 2


async def test_a_click_for_a_group_that_is_not_the_last_started_any_more_excludes_nobody(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 2)
    result = await orders(play, WorkKind.EXCLUDE, which="2")
    assert (result.outcome, "The group under way is 1, not 2" in result.text) == (WorkOutcome.REFUSED, True)


@pytest.mark.parametrize("lost", ["DELETE .*/actions/[0-9]+$", "DELETE .*force=true"])
async def test_a_lost_answer_is_not_asked_for_again_blindly_and_the_next_tick_goes_on(
    here: Lab, clock: ManualClock, lost: str
) -> None:
    play = await canaries(here, clock, 2)
    here.server.faults.add("lost_answer", lost, times=1)
    result = await orders(play, WorkKind.EXCLUDE)
    await play.rounds(4)
    assert (await here.record(play.rollout)).work is None
    assert _ended(play, sorted(here.fleet.silent)) == ["canceled", "canceled"]
    assert play.started == [1, 2]
    assert result.outcome is (WorkOutcome.UNDER_WAY if "force" not in lost else WorkOutcome.DONE), result.text


@pytest.mark.parametrize("calls", range(9))
async def test_killed_after_any_call_another_process_goes_on_with_it(
    here: Lab, clock: ManualClock, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await canaries(here, clock, 2)
    _killed_after(play, monkeypatch, calls)
    with pytest.raises(_Killed):
        await orders(play, WorkKind.EXCLUDE, reason="they are in the cellar")
    heir = Play(here, clock, play.rollout, here.add_bot())
    await clock.forward(POLICY.lease_s + 1)
    await heir.rounds(6)
    record = await here.record(play.rollout)
    if not record.excluded:  # nothing was written down yet, so nothing was begun
        assert _ended(play, sorted(here.fleet.silent)) == ["running", "running"]
        return
    assert _ended(play, sorted(here.fleet.silent)) == ["canceled", "canceled"]
    assert (record.work, sorted(record.excluded)) == (None, sorted(here.fleet.silent))
    assert heir.started == [1, 2]
    assert len(await heir.audited("exclude")) == 2
    again = await orders(heir, WorkKind.EXCLUDE, reason="they are in the cellar")
    assert (again.outcome, "2 devices (" in again.text) == (WorkOutcome.DONE, True)
    assert len(record.excluded) == 2


class _Killed(BaseException):
    """The process is gone: it does nothing any more."""


def _killed_after(play: Play, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    site = play.bot.site
    left = [calls]

    def dying(inner: Any, *names: str) -> None:
        for name in names:
            monkeypatch.setattr(inner, name, _dying(getattr(inner, name), left))

    dying(site.actions.inner, "open", "pending", "cancel", "quit", "cancelled")


def _dying(call: Any, left: list[int]) -> Any:
    async def dies(*args: Any, **kwargs: Any) -> Any:
        result = await call(*args, **kwargs)
        left[0] -= 1
        if left[0] < 0:
            raise _Killed
        return result

    return dies


async def test_a_device_that_was_done_meanwhile_is_counted_and_not_ended_by_force(
    here: Lab, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await canaries(here, clock, 2)
    late, silent = sorted(here.fleet.silent)
    here.server.faults.add("late_request", "DELETE .*", times=1)
    cancel = play.bot.site.actions.inner.cancel

    async def done_first(device: str, action: int) -> None:
        await cancel(device, action)
        if device == late:
            finish(here.hawkbit.tenant().repo, late)  # it reports success before it hears of the cancel

    monkeypatch.setattr(play.bot.site.actions.inner, "cancel", done_first)
    result = await orders(play, WorkKind.EXCLUDE)
    assert f"1 device ({late}) ended on its own meanwhile, and counts." in result.text
    assert _ended(play, [late, silent]) == ["finished", "canceled"]
    record = await here.record(play.rollout)
    assert (record.excluded, record.excluded_of(play.rollout.groups[0].id)) == ((silent,), 1)


async def test_an_excluded_device_that_had_downloaded_is_found_out_by_its_telemetry_and_caught_up(
    here: Lab, clock: ManualClock
) -> None:
    """Its report finds the action closed, so hawkBit goes on believing the old version."""
    play = await canaries(here, clock, 2)
    new, old = sorted(here.fleet.silent)
    await orders(play, WorkKind.EXCLUDE)
    await play.rounds(3)
    here.fleet.booted(new)
    repo = here.hawkbit.tenant().repo
    for name in (new, old):
        repo.target(name).polled_at = int(clock.now().timestamp() * 1000)
    await swept(play)
    await swept(play)
    assert "2 excluded devices can be caught up" in await play.message()
    result = await orders(play, WorkKind.CATCH_UP)
    assert f"FW:2.0.0 is assigned to 1 device ({old}) again" in result.text
    assert f"hawkBit was told that 1 device ({new}) run it already" in result.text
    assert [(repo.target(n).installed is not None, repo.target(n).update_status) for n in (new, old)] == [
        (True, "in_sync"),
        (False, "pending"),
    ]
    here.fleet.silent = set()
    for _ in range(9):
        await swept(play)
    bar = (await play.view()).bars[0]
    assert (bar.verified, bar.total, bar.excluded) == (25, 25, 0)


async def test_of_a_finished_rollout_what_is_open_is_cancelled_and_nobody_waits_for_ever(
    here: Lab, clock: ManualClock
) -> None:
    """The last group ends by errors with devices still at it: hawkBit has no brake left for them."""
    play = Play(here, clock, here.add_rollout("fw", (10,)))
    await play.rounds(2)
    here.start(play.rollout)
    here.hawkbit.tick()
    names = _first_group(play)
    here.fleet.broken, here.fleet.silent = set(names[:4]), set(names[4:])
    await play.rounds(3)
    assert play.rollout.status == "finished"
    assert "Cancel 6 open installs" in await play.message()
    result = await orders(play, WorkKind.CANCEL)
    assert result.outcome is WorkOutcome.DONE
    assert "6 open installs cancelled" in result.text
    assert _ended(play, names[4:]) == ["canceling"] * 6
    await swept(play)
    assert "Cancel 6 open installs" not in await play.message()
    early = await orders(play, WorkKind.QUIT)
    assert (early.outcome, "give the devices time" in early.text) == (WorkOutcome.REFUSED, True)
    await clock.forward(POLICY.cancel_deadline_s)
    await swept(play)
    assert "6 stuck*: 6 canceling too long" in await play.message()
    assert (await orders(play, WorkKind.QUIT, which=names[4])).outcome is WorkOutcome.DONE
    assert _ended(play, names[4:6]) == ["canceled", "canceling"]
    await orders(play, WorkKind.QUIT)
    assert _ended(play, names[4:]) == ["canceled"] * 6


async def test_open_installs_are_not_cancelled_together_while_the_rollout_goes_on(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 2)
    result = await orders(play, WorkKind.CANCEL)
    assert (result.outcome, "before, Stop ends it" in result.text) == (WorkOutcome.REFUSED, True)
    one = sorted(here.fleet.silent)[0]
    assert (await orders(play, WorkKind.CANCEL, which=one)).outcome is WorkOutcome.DONE
    assert _ended(play, sorted(here.fleet.silent)) == ["canceling", "running"]


async def test_without_a_brake_account_nothing_is_done_and_everybody_counts_again(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 2)
    here.server.faults.add("status", "DELETE .*", status=403)
    result = await orders(play, WorkKind.EXCLUDE)
    assert (result.outcome, "No device was excluded" in result.text) == (WorkOutcome.REFUSED, True)
    record = await here.record(play.rollout)
    assert (record.work, record.excluded, record.excluded_in) == (None, (), ())


async def test_a_group_that_ended_too_low_offers_what_is_left_and_goes_on_once_silent_devices_are_excluded(
    here: Lab, clock: ManualClock
) -> None:
    """Somebody cancelled the silent two in hawkBit: the group ended at 92 %, and nothing would ever make it pass."""
    play = await canaries(here, clock, 2)
    repo = here.hawkbit.tenant().repo
    for name in here.fleet.silent:
        action = repo.target(name).actions[-1]
        repo.cancel(action, "admin")
        repo.force_quit(action, "admin")
    await play.rounds(3)
    await swept(play)
    message = await play.message()
    assert "the group has ended and cannot pass: at best 23 of 25" in message
    assert "Devices that are redeployed and verified later count" in message
    assert all(button in message for button in ("Exclude 2 devices", "Continue at 92 % (25 devices)"))
    result = await orders(play, WorkKind.EXCLUDE, which="1")
    assert result.outcome is WorkOutcome.DONE, result.text
    await play.rounds(4)
    assert play.started == [1, 2]


def acts_of(play: Play) -> DeviceActs:
    site = play.bot.site
    customer = TenantWorld(TENANT, cast(Any, None), play.lab.fleet, ip_network("10.8.0.0/16"), CHANNEL)
    stack = StackWorld(
        name=EU1,
        rollouts=site.rollouts,
        actions=site.actions,
        releases=site.releases,
        relay=None,
        tenants={TENANT: customer},
        channel=CHANNEL,
        address_attribute="vpn",
    )
    return DeviceActs(world=World([stack], play.clock), works=play.bot.works)


async def test_who_agrees_to_an_exclusion_agrees_to_exactly_these_devices(here: Lab, clock: ManualClock) -> None:
    play = await canaries(here, clock, 2)
    acts, silent = acts_of(play), sorted(here.fleet.silent)
    order = await acts.settled(await acts.ordered(f"exclude:eu1/{play.id}/1"))
    assert order.title == f"Exclude 2 devices ({', '.join(silent)}) of fw on eu1, which cannot be reached"
    assert (order.action, order.devices, order.tenants) == (Action.EXCLUDE, 2, frozenset({TENANT}))
    assert acts.value(order) == f"exclude:eu1/{play.id}/1"
    evidence = await acts.evidence(order)
    assert tuple(evidence.facts["devices"]) == tuple(silent)  # type: ignore[arg-type]
    here.hawkbit.tenant().repo.target(silent[0]).polled_at = int(clock.now().timestamp() * 1000)
    assert (await acts.evidence(order)).digest != evidence.digest


async def test_who_was_killed_before_hearing_of_the_end_is_told_it_and_asks_nobody_again(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 2)
    because = "in the cellar (approved by alice, request 7a)"
    await orders(play, WorkKind.EXCLUDE, reason=because)
    order = await acts_of(play).ordered(f"exclude:eu1/{play.id}/1")

    async def gone() -> datetime:
        raise AssertionError("nobody has to be asked about what is done")

    done, said = await acts_of(play).carry_out(order, ANNA, because, still_allowed=gone)
    assert (done, "2 devices (" in said) == (True, True)


async def test_a_right_that_is_gone_at_the_last_moment_leaves_everything_as_it_was(
    here: Lab, clock: ManualClock
) -> None:
    play = await canaries(here, clock, 2)

    async def gone() -> datetime:
        raise Denied("role_missing", "not any more")

    with pytest.raises(Denied):
        await orders(play, WorkKind.EXCLUDE, still_allowed=gone)
    assert _ended(play, sorted(here.fleet.silent)) == ["running"] * 2
    assert (await here.record(play.rollout)).excluded == ()


def _ended(play: Play, names: Sequence[str]) -> list[str]:
    return [play.lab.hawkbit.tenant().repo.target(name).actions[-1].status for name in names]
