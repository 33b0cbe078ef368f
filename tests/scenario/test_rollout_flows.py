"""A rollout as its watchers live it, against hawkBit at the wire, with the clock in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from core.ids import RolloutId
from core.rollouts.actors import SCHEDULER
from core.rollouts.decide import objection_names
from core.rollouts.records import AttemptState
from core.rollouts.views import Mood
from flows.rollouts.brakes import BrakeOutcome
from flows.rollouts.promote import PromotionOutcome
from integrations.store.connection import Store
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import EU1, Lab, lab
from tests.scenario.rollout_play import ANNA, POLICY, Play, begin, ready


@pytest.fixture
async def here(store: Store, clock: ManualClock) -> AsyncIterator[Lab]:
    async with lab(store, clock, POLICY, tick_s=2.0) as made:
        yield made


async def test_a_rollout_goes_through_all_its_groups_and_is_green_only_when_verified(
    here: Lab, clock: ManualClock
) -> None:
    play = await begin(here, clock)
    moods = []
    for _ in range(40):
        await play.rounds(1)
        moods.append((await play.view()).mood)
    assert play.started == [1, 2, 3]
    assert moods.index(Mood.VERIFYING) < moods.index(Mood.DONE)
    assert [(b.verified, b.total) for b in (await play.view()).bars] == [(2, 2), (3, 3), (4, 4)]
    assert await play.bot.ledger.records.tracked(EU1) == ()
    assert [(e.kind, e.actor) for e in await play.audited("promote")] == [
        ("intent", "scheduler"),
        ("outcome", "scheduler"),
    ] * 2


async def test_a_claim_is_not_enough_it_waits_for_the_reboot(
    here: Lab, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await begin(here, clock)
    monkeypatch.setattr(here.fleet, "device", _no_telemetry)
    await play.rounds(12)
    assert play.rollout.status == "paused"
    assert play.started == [1]
    assert "0 of 2 verified" in (await play.view()).reasons[0]


async def _no_telemetry(*_: Any) -> None:
    return None


async def test_devices_that_fall_back_to_the_old_version_stop_the_rollout(here: Lab, clock: ManualClock) -> None:
    here.fleet.falling_back = {f"fw-{i:03}" for i in range(9)}
    play = await begin(here, clock)
    await play.rounds(12)
    record = await here.record(play.rollout)
    assert play.started == [1]
    assert record.hold.by == SCHEDULER
    assert record.progress.mood is Mood.FAILED
    assert record.progress.bars[0].refuted == 2


async def test_a_new_rollout_is_announced_and_its_message_updated_in_place(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock)
    first = await play.message()
    assert "NOT STARTED" in first
    await play.rounds(8)
    assert "2/2 verified  `██████████`  2 claimed · 0 errors" in await play.message()
    assert len([k async for k in here.store.scan_iter("cdm:outbox:want:*")]) == 1


async def test_others_rollouts_are_watched_not_promoted_and_the_message_says_who_does(
    here: Lab, clock: ManualClock
) -> None:
    play = await begin(here, clock, by="admin", action="NEXTGROUP")
    await play.rounds(3)
    assert "hawkBit promotes this one itself, also below the threshold" in await play.message()
    assert await play.audited("promote") == []


async def test_errors_beyond_the_budget_pause_a_rollout_of_others(here: Lab, clock: ManualClock) -> None:
    here.fleet.broken = {f"fw-{i:03}" for i in range(30)}
    play = await begin(here, clock, 10, 10, 10, by="admin", action="NEXTGROUP", error=100)
    here.fleet.silent = {t.controller_id for t in list(play.rollout.groups[0].members)[2:]}
    here.fleet.work()
    work = asyncio.create_task(play.rounds(1))
    while not work.done():
        await asyncio.sleep(0.005)
        await clock.forward(1.0)
    await work
    assert play.rollout.status == "paused"
    assert play.started == [1]
    assert (await here.record(play.rollout)).own_pause.by == SCHEDULER


async def test_hold_blocks_the_scheduler_and_a_person_until_it_is_lifted(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock)
    assert (await play.brake("hold")).outcome is BrakeOutcome.HELD
    await play.rounds(12)
    assert play.started == [1]
    refused = await play.promote(2)
    assert (refused.outcome, "on hold by anna" in refused.text) == (PromotionOutcome.REFUSED, True)
    assert (await play.brake("unhold")).outcome is BrakeOutcome.LIFTED
    await play.rounds(1)
    assert play.started == [1, 2]
    assert [e.kind for e in await play.audited("hold")] == ["intent", "outcome"]


async def test_a_person_promotes_past_passed_gates(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    result = await play.promote(2)
    assert result.outcome is PromotionOutcome.STARTED, result.text
    assert play.started == [1, 2]
    intent, outcome = await play.audited("promote")
    assert (intent.actor, intent.data["verdict"], outcome.ref) == ("sub-anna", "pass", str(intent.seq))
    assert "started" in outcome.data["state"]


async def test_a_person_cannot_go_past_a_failed_gate_alone(here: Lab, clock: ManualClock) -> None:
    here.fleet.broken = {f"fw-{i:03}" for i in range(9)}
    play = await begin(here, clock)
    await play.rounds(6)
    assert play.rollout.status == "paused"
    refused = await play.promote(2)
    assert refused.outcome is PromotionOutcome.REFUSED
    assert "needs a second person: ask for it with `/cdm rollout continue`" in refused.text
    assert play.started == [1]
    assert len(await play.audited("refused:promote")) == 1


async def test_past_exactly_the_failed_gates_that_were_agreed_to_one_group_starts_and_the_bot_s_own_hold_is_over(
    here: Lab, clock: ManualClock
) -> None:
    here.fleet.broken = {f"fw-{i:03}" for i in range(9)}
    play = await begin(here, clock)
    await play.rounds(6)
    refused = await play.promote(2)
    assert refused.decision is not None
    objections = objection_names(refused.decision, await here.record(play.rollout))
    less = await play.promote(2, past=frozenset(objections[1:]))
    assert less.outcome is PromotionOutcome.REFUSED
    assert play.started == [1]
    promoted = await play.promote(2, past=frozenset(objections), because="two admins agreed")
    assert promoted.outcome is PromotionOutcome.STARTED, promoted.text
    assert play.started == [1, 2]
    assert (await here.record(play.rollout)).hold is None


async def test_nobody_agrees_a_person_s_hold_away(here: Lab, clock: ManualClock) -> None:
    here.fleet.broken = {f"fw-{i:03}" for i in range(9)}
    play = await begin(here, clock)
    await play.rounds(6)
    for brake in ("unhold", "hold"):
        await play.brake(brake)
    refused = await play.promote(2)
    assert refused.decision is not None
    past = frozenset(f"{g.name}: {g.reason.value}" for g in refused.decision.objections)
    assert (await play.promote(2, past=past)).outcome is PromotionOutcome.REFUSED
    assert play.started == [1]


async def test_a_click_for_another_group_than_the_next_is_refused(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    assert (await play.promote(3)).outcome is PromotionOutcome.STALE
    assert (await play.promote(1)).outcome is PromotionOutcome.ALREADY_STARTED
    assert play.started == [1]


async def test_two_clicks_at_once_start_one_group(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    other = here.add_bot()
    clicks = asyncio.gather(
        *(bot.promoter.promote(EU1, play.id, 2, ANNA) for bot in (play.bot, other, play.bot, other))
    )
    while not clicks.done():
        await asyncio.sleep(0.01)
        await clock.forward(0.1)
    outcomes = sorted(r.outcome for r in await clicks)
    assert outcomes.count(PromotionOutcome.STARTED) == 1, outcomes
    assert play.started == [1, 2]


async def test_no_second_promotion_within_the_settle_time(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    await play.promote(2)
    await play.rounds(3)
    refused = await play.promote(3)
    assert refused.outcome is PromotionOutcome.REFUSED


async def test_a_lost_answer_is_read_back_after_its_life_and_never_sent_again(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    resume = here.server.faults.add("lost_answer", "POST .*/resume")
    assert (await play.promote(2)).outcome is PromotionOutcome.UNSETTLED
    await play.rounds(1, devices=False)
    assert (await play.view()).mood is Mood.PROMOTING
    assert (await play.promote(2)).outcome is PromotionOutcome.UNSETTLED
    await play.rounds(5, devices=False)
    assert (await here.record(play.rollout)).attempts[-1].state is AttemptState.STARTED
    assert (play.started, resume.hits) == ([1, 2], 1)


async def test_an_attempt_still_open_when_the_rollout_ends_is_read_back_all_the_same(
    here: Lab, clock: ManualClock
) -> None:
    play = await ready(here, clock, 2, 3)
    here.server.faults.add("lost_answer", "POST .*/resume", times=1)
    assert (await play.promote(2)).outcome is PromotionOutcome.UNSETTLED
    for _ in range(8):
        here.fleet.work()
        here.hawkbit.tick()
        await clock.forward(0.5)
        await play.bot.watch.tick()
    assert (await play.view()).mood is Mood.DONE
    assert (await here.record(play.rollout)).open_attempt is not None
    await play.rounds(6)
    assert (await here.record(play.rollout)).attempts[-1].state is AttemptState.STARTED
    assert await play.bot.ledger.records.tracked(EU1) == ()


async def test_a_lost_request_is_followed_by_a_new_numbered_attempt(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    here.server.faults.add("lost_request", "POST .*/resume", times=1)
    assert (await play.promote(2)).outcome is PromotionOutcome.UNSETTLED
    await play.rounds(8, devices=False)
    record = await here.record(play.rollout)
    assert [(a.number, a.state) for a in record.attempts] == [(1, AttemptState.NOT_APPLIED), (2, AttemptState.STARTED)]
    assert play.started == [1, 2]


async def test_the_next_holder_of_a_crashed_promotion_waits_out_its_request_and_reads_first(
    here: Lab, clock: ManualClock
) -> None:
    """The process dies after it wrote the attempt down; its request is still on its way and comes late."""
    play = await ready(here, clock)
    site = play.bot.watch._site
    real = site.rollouts.resume

    async def dies(*_: Any, **__: Any) -> None:
        raise asyncio.CancelledError

    site.rollouts.resume = dies  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await play.promote(2)
    site.rollouts.resume = real  # type: ignore[method-assign]
    heir = Play(here, clock, play.rollout, here.add_bot())
    await heir.rounds(1, devices=False)
    assert (await heir.promote(2)).outcome is PromotionOutcome.UNSETTLED
    await real(play.id, timeout_s=1.0)  # the late request
    await heir.rounds(6, devices=False)
    record = await here.record(play.rollout)
    assert [(a.number, a.state) for a in record.attempts] == [(1, AttemptState.STARTED)]
    assert play.started == [1, 2]


async def test_a_resume_below_the_threshold_shows_a_tick_later(here: Lab, clock: ManualClock) -> None:
    """23 of 25 and two given up: a person may resume once the two are excluded; the group starts one tick later."""
    here.fleet.silent = {"fw-000", "fw-001"}
    play = await begin(here, clock, 10, 2)
    silent = [t for t in play.rollout.groups[0].members if t.controller_id in here.fleet.silent]
    assert silent, "the shuffle put both devices in the last group"
    await play.rounds(6)
    repo = here.hawkbit.tenant().repo
    for target in silent:
        action = target.active_actions()[0]
        repo.cancel(action, "admin")
        repo.force_quit(action, "admin")
    await _exclude(here, play, [t.controller_id for t in silent])
    await play.rounds(3)
    assert play.rollout.status == "paused"
    assert play.started == [1]
    result = await play.promote(2)
    assert result.outcome is PromotionOutcome.UNSETTLED
    assert (await here.record(play.rollout)).open_attempt.state is AttemptState.ANSWERED
    await play.rounds(1)
    assert play.started == [1, 2]
    assert (await here.record(play.rollout)).attempts[-1].state is AttemptState.STARTED


async def _exclude(here: Lab, play: Play, names: list[str]) -> None:
    record = replace(await here.record(play.rollout), excluded=tuple(names))
    _, commands = play.bot.ledger.records.save(record)
    for command in commands:
        await here.store.execute_command(*command)


async def test_a_group_nobody_meant_to_start_holds_the_rollout_and_alarms(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    here.server.faults.add("lost_answer", "POST .*/resume", times=1)
    assert (await play.promote(2)).outcome is PromotionOutcome.UNSETTLED
    here.hawkbit.tenant().operations.trigger_next_group(play.rollout, "admin")
    assert play.started == [1, 2, 3]
    await play.rounds(6, devices=False)
    record = await here.record(play.rollout)
    assert record.attempts[-1].state is AttemptState.UNEXPECTED
    assert record.hold.by == SCHEDULER
    assert play.rollout.status == "paused"
    assert await here.store.get(f"cdm:outbox:want:rollout:eu1/{play.id}:unexpected:1")


async def test_a_persons_pause_is_not_undone_by_our_own_late_resume(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    here.server.faults.add("lost_answer", "POST .*/resume", times=1)
    assert (await play.promote(2)).outcome is PromotionOutcome.UNSETTLED
    paused = await play.brake("pause")
    assert paused.outcome is BrakeOutcome.PAUSED, paused.text
    here.hawkbit.tenant().operations.resume(play.rollout, "bot")  # what a second late resume would have done
    await play.rounds(6, devices=False)
    assert play.rollout.status == "paused"
    assert (await here.record(play.rollout)).own_pause.by == ANNA


async def test_pause_waits_over_a_tick_and_tells_what_is_true(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock, 4, 4)
    result = await play.brake("pause")
    assert (result.outcome, "4 devices already started will finish" in result.text) == (BrakeOutcome.PAUSED, True)
    await play.rounds(12)
    assert play.started == [1]
    view = await play.view()
    assert (view.mood, view.can_resume, view.can_promote) == (Mood.PAUSED, True, False)
    resumed = await play.promote(2)
    assert resumed.outcome in (PromotionOutcome.STARTED, PromotionOutcome.UNSETTLED), resumed.text
    await play.rounds(2)
    assert play.started == [1, 2]


async def test_a_pause_overtaken_by_hawkbits_scheduler_says_so(here: Lab, clock: ManualClock) -> None:
    here.hawkbit.pause_race = True
    play = await begin(here, clock, 4, 4, by="admin", action="NEXTGROUP")
    here.fleet.work()
    work = asyncio.create_task(play.bot.brakes.pause(EU1, play.id, ANNA))
    while not clock._sleepers:
        assert not work.done(), "it must wait over a tick before it reads again"
        await asyncio.sleep(0.002)
    assert play.rollout.status == "paused"
    here.hawkbit.tick()
    await clock.forward(3.0)
    await asyncio.wait([work], timeout=5)
    assert play.started == [1, 2]
    assert "Group 2 had already begun to start" in (await work).text


async def test_pausing_a_paused_rollout_is_a_hold(here: Lab, clock: ManualClock) -> None:
    play = await ready(here, clock)
    assert (await play.brake("pause")).outcome is BrakeOutcome.HELD
    await play.rounds(3)
    assert play.started == [1]


async def test_a_pause_without_an_answer_counts_as_one(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock, 4, 4)
    here.server.faults.add("lost_request", "POST .*/pause", times=1)
    result = await play.brake("pause")
    assert result.outcome is BrakeOutcome.UNKNOWN
    assert (await here.record(play.rollout)).own_pause is not None


async def test_a_pause_by_another_person_in_hawkbit_is_left_alone(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock, 4, 4)
    here.hawkbit.tenant().operations.pause(play.rollout, "admin", overtaken=False)
    await play.rounds(12)
    assert play.started == [1]
    assert "admin paused it in hawkBit" in (await play.view()).reasons


async def test_stop_is_final_and_by_the_brake_account(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock, 4, 4)
    work = asyncio.create_task(play.brake("stop"))
    while not work.done():
        here.hawkbit.tick()
        await asyncio.sleep(0.01)
    result = await work
    assert result.outcome is BrakeOutcome.STOPPED
    assert "4 devices under way are asked to cancel and may still install" in result.text
    await play.rounds(1)
    assert (await play.view()).mood is Mood.STOPPED
    assert await play.bot.ledger.records.tracked(EU1) == ()
    assert [e.kind for e in await play.audited("stop")] == ["intent", "outcome"]


async def test_hawkbit_away_is_said_with_since_when_and_taken_back(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock)
    await play.rounds(1)
    since = (await here.record(play.rollout)).last_read_at
    away = here.server.faults.add("status", "GET", status=503)
    await play.rounds(1)
    assert (await play.view()).stale_since is None  # one failed read turns no message over
    await play.rounds(11)
    view = await play.view()
    assert (view.stale_since, "hawkBit does not answer" in await play.message()) == (since, True)
    assert away.hits > 0
    here.server.faults.clear()
    await play.rounds(1)
    assert (await play.view()).stale_since is None


async def test_one_rollout_that_cannot_be_read_keeps_no_other_from_being_promoted(
    here: Lab, clock: ManualClock
) -> None:
    bad = here.add_rollout("bad", [2, 2])
    here.start(bad)
    play = await begin(here, clock, 2, 2)
    here.server.faults.add("status", f"GET .*/rollouts/{bad.id}/", status=503)
    await play.rounds(12)
    assert play.started == [1, 2]
    assert here.started(bad) == [1]
    assert (await here.record(bad)).progress.stale_since is not None


async def test_a_deleted_rollout_is_followed_no_longer(here: Lab, clock: ManualClock) -> None:
    play = await begin(here, clock)
    here.hawkbit.tenant().operations.delete(play.rollout, "admin")
    await play.rounds(2)
    assert (await play.view()).mood is Mood.GONE
    assert await play.bot.ledger.records.tracked(EU1) == ()


@pytest.mark.parametrize(
    ("limit", "passed_s", "sent"),
    [
        ({"lease_s": 15.0, "max_read_age_s": 1000.0}, 14.5, False),  # less left than the request may take
        ({"lease_s": 15.0, "max_read_age_s": 1000.0}, 13.0, True),
        ({"lease_s": 1000.0, "max_read_age_s": 0.9}, 1.0, False),  # hawkBit may have moved on since it was read
        ({"lease_s": 1000.0, "max_read_age_s": 0.9}, 0.5, True),
    ],
)
async def test_a_bot_stopped_behind_its_attempt_sees_by_itself_whether_it_may_still_send(
    here: Lab, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, limit: dict[str, float], passed_s: float, sent: bool
) -> None:
    play = await ready(here, clock)
    play.bot.watch._site.policy = replace(POLICY, **limit)  # type: ignore[arg-type]
    resume = here.server.faults.add("status", "POST .*/resume", status=500)
    write, written = play.bot.ledger.write_down, 0

    async def stopped_behind(*args: Any, **kwargs: Any) -> Any:
        nonlocal written
        record = await write(*args, **kwargs)
        written += 1
        if written == 1:
            await clock.forward(passed_s)
        return record

    monkeypatch.setattr(play.bot.ledger, "write_down", stopped_behind)
    result = await play.promote(2)
    assert result.outcome is (PromotionOutcome.UNSETTLED if sent else PromotionOutcome.NOT_SENT)
    assert resume.hits == int(sent)
    assert (await here.record(play.rollout)).attempts[-1].state.open is sent


async def test_a_suspended_machine_whose_monotonic_clock_stood_still_sends_nothing(
    here: Lab, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await ready(here, clock)
    play.bot.watch._site.policy = replace(POLICY, max_read_age_s=1000.0)
    resume = here.server.faults.add("status", "POST .*/resume", status=500)
    write, now = play.bot.ledger.write_down, clock.now

    async def suspended_behind(*args: Any, **kwargs: Any) -> Any:
        record = await write(*args, **kwargs)
        monkeypatch.setattr(clock, "now", lambda: now() + timedelta(seconds=60))
        return record

    monkeypatch.setattr(play.bot.ledger, "write_down", suspended_behind)
    assert (await play.promote(2)).outcome is PromotionOutcome.NOT_SENT
    assert resume.hits == 0


async def test_p7_a_group_starts_only_once_its_devices_were_seen_before_it(here: Lab, clock: ManualClock) -> None:
    """A device that installs and reboots before the bot's first look could never be told to run in a new boot."""
    play = Play(here, clock, here.add_rollout("fw", (2, 3, 4)))
    here.fleet.unread |= {target.controller_id for target in play.rollout.groups[1].members}
    await play.rounds(2)
    here.start(play.rollout)
    await play.rounds(15)
    said = "0 of 3 devices of group 2 looked at before it starts"
    assert play.started == [1]
    assert said in await play.message()
    asked = await play.promote(2)
    assert asked.outcome is PromotionOutcome.REFUSED
    assert said in asked.text
    here.fleet.unread.clear()
    await play.rounds(3)
    assert play.started == [1, 2]


async def test_nothing_is_sent_while_the_intent_cannot_be_written(
    here: Lab, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await ready(here, clock)
    sent = here.server.faults.add("status", "POST .*/resume", status=500)

    async def away(*_: Any, **__: Any) -> None:
        raise RedisConnectionError("the store does not answer")

    monkeypatch.setattr(play.bot.ledger, "write_down", away)
    with pytest.raises(RedisConnectionError):
        await play.promote(2)
    assert sent.hits == 0


async def test_on_hawkbit_0x_the_next_group_of_a_running_rollout_is_triggered_once(
    here: Lab, clock: ManualClock
) -> None:
    """Its groups cannot pause. The threshold is out of its reach, so that it goes on by itself only at the end."""
    here.policy = replace(here.policy, triggers=True)
    play = await begin(here, clock, 20, 5, 5, action="NEXTGROUP", success=150)
    one = play.rollout.groups[0].members[0].controller_id
    here.fleet.silent = {one, *(target.controller_id for target in play.rollout.groups[1].members)}
    here.server.faults.add("lost_answer", "POST .*/triggerNextGroup", times=1)
    await play.rounds(12)
    assert play.started == [1, 2]
    assert play.rollout.status == "running"
    assert [a.state for a in (await here.record(play.rollout)).attempts] == [AttemptState.STARTED]


async def test_an_ended_rollout_that_cannot_be_read_keeps_no_other_from_being_watched(
    here: Lab, clock: ManualClock
) -> None:
    play = await begin(here, clock)
    await play.rounds(2)
    ended = RolloutId(9_999)
    await here.store.hset(f"cdm:rollout:tracked:{EU1}", ended, "ended")
    here.server.faults.add("status", rf"GET .*/rollouts/{ended}$", status=503)
    before = (await here.record(play.rollout)).last_read_at
    await play.rounds(2)
    after = (await here.record(play.rollout)).last_read_at
    assert before is not None
    assert after is not None
    assert after > before
