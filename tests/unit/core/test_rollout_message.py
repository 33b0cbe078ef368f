"""The message of a rollout: what it says in words, which buttons it has and what they promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.ids import DeviceName, GroupId
from core.messages.blocks import Message
from core.messages.rollout import bar, rollout_alarm, rollout_message
from core.rollouts.actors import ActorKind
from core.rollouts.facts import Counts, GroupStatus, RolloutStatus
from core.rollouts.progress import progress
from core.rollouts.records import Attempt, AttemptState, DeviceState, GroupEvidence, Hold, PauseIntent
from core.rollouts.views import NAMED, Bar, Mood, Progress, nameless
from tests.unit.core import message_samples
from tests.unit.core.rollouts.cases import ADMIN, ANNA, BOT, Case, ago, claimed_devices, group, verified

GOOD = Case()


def view(case: Case) -> Progress:
    evidence: Mapping[GroupId, GroupEvidence] = {case.evidence.group: case.evidence} if case.evidence else {}
    by_policy, by_person = case.decide(), case.decide(ActorKind.PERSON)
    return progress(case.snapshot, case.policy, case.observed(), evidence, by_policy, by_person, "FW:2.0.0")


def buttons(message: Message) -> dict[str, Any]:
    return {b["action_id"]: b for block in message.blocks if block["type"] == "actions" for b in block["elements"]}


def test_the_whole_message_of_a_rollout_that_may_go_on() -> None:
    message = rollout_message(view(GOOD.but(evidence=verified(24, 25))))
    assert [b["type"] for b in message.blocks] == ["section", "section", "context", "actions"]
    assert message.blocks[0]["text"]["text"].split("\n") == [
        "🟢 READY to promote · *fw-2.0.0* on eu1 · `FW:2.0.0`",
        "*24 of 25 verified* in group 1 of 3 · next: group 2, 125 devices",
    ]
    assert message.blocks[1]["text"]["text"].split("\n") == [
        "*1 g1*  24/25 verified  `█████████░`  24 claimed · 0 errors · 1 open",
        "*2 g2*  125 devices · scheduled",
        "*3 g3*  350 devices · scheduled",
    ]
    assert message.text.startswith(message.blocks[0]["text"]["text"])


def test_promote_says_what_will_start_and_carries_the_group() -> None:
    found = buttons(rollout_message(view(GOOD)))
    assert list(found) == ["promote", "hold", "why", "stop"]
    promote = found["promote"]
    assert (promote["text"]["text"], promote["value"]) == ("Promote group 2 (125 devices)", "eu1/17/2")
    asked = promote["confirm"]
    assert asked["title"]["text"] == "Start group 2 on 125 devices?"
    assert "125 devices are offered FW:2.0.0, install it and reboot" in asked["text"]["text"]
    assert "cannot be called back" in asked["text"]["text"]
    assert asked["confirm"]["text"] == "Start 125 devices"


def test_resume_says_what_may_start() -> None:
    found = buttons(rollout_message(view(GOOD.on_rollout(last_modified_by=ADMIN))))
    assert "promote" not in found
    assert found["resume"]["text"]["text"] == "Resume (may start group 2, 125 devices)"
    assert found["resume"]["value"] == "eu1/17/2"
    assert "125 devices" in found["resume"]["confirm"]["title"]["text"]


def test_lifting_a_hold_says_that_the_bot_may_then_promote() -> None:
    held = view(GOOD.on_record(hold=Hold(ago(1), ANNA, "lunch")))
    asked = buttons(rollout_message(held))["unhold"]["confirm"]["text"]["text"]
    assert "it starts group 2 (125 devices) by itself" in asked
    assert "confirm" not in buttons(rollout_message(replace(held, auto=False)))["unhold"], "it starts nothing"


def test_a_failed_rollout_says_first_what_went_wrong_and_what_was_spared() -> None:
    bad = GOOD.first(status=GroupStatus.ERROR, counts=Counts(finished=20, error=5))
    devices = claimed_devices(*[DeviceState.VERIFIED] * 18, *[DeviceState.REFUTED] * 2, *[DeviceState.PENDING] * 5)
    _, numbers = rollout_message(view(bad.but(evidence=devices))).blocks[0]["text"]["text"].split("\n")
    assert numbers == "*5 errors, 2 refuted* · *18 of 25 verified* in group 1 of 3 · 475 devices not started"


def test_a_rollout_not_started_yet_counts_its_devices() -> None:
    waiting = GOOD.on_rollout(status=RolloutStatus.READY).but(groups=(group(1, GroupStatus.READY, 5),))
    message = rollout_message(view(waiting))
    assert "*5 devices* in 1 group, none started" in message.text


@pytest.mark.parametrize("name", ["n" * 64, "温" * 64, "🔥" * 64], ids=["latin", "chinese", "fire"])
def test_a_long_name_cuts_off_none_of_what_a_button_asks(name: str) -> None:
    """hawkBit allows names of 128 characters; a question holds 300."""
    states = (
        GOOD,
        GOOD.on_rollout(last_modified_by=ADMIN),
        GOOD.on_rollout(status=RolloutStatus.RUNNING),
        GOOD.on_record(hold=Hold(ago(1), ANNA, "lunch")),
    )
    for case in states:
        shown = replace(view(case.on_rollout(name=name)), name=name, set_name=name, running=1234)
        for button in buttons(rollout_message(shown)).values():
            if "confirm" in button:
                assert not button["confirm"]["text"]["text"].endswith("…"), button["action_id"]


def test_stop_is_danger_and_asks_with_what_will_happen() -> None:
    stop = buttons(rollout_message(view(GOOD)))["stop"]
    assert (stop["style"], stop["value"]) == ("danger", "eu1/17")
    asked = stop["confirm"]["text"]["text"]
    assert "for good" in asked
    assert "Devices under way (1) are asked to cancel and may still install" in asked


RUNNING = GOOD.on_rollout(status=RolloutStatus.RUNNING)
OPEN = Attempt(1, 2, GroupId(102), ago(9), ANNA, "7", ago(600), BOT, AttemptState.SENT)


@pytest.mark.parametrize(
    ("case", "mood", "expected", "reason"),
    [
        (GOOD, Mood.READY, ["promote", "hold", "stop"], None),
        (RUNNING, Mood.RUNNING, ["pause", "hold", "stop"], "hawkBit is still installing the started group"),
        (GOOD.but(evidence=verified(20, 25)), Mood.HOLDING, ["hold", "stop"],
         "20 of 25 verified, 95 % needed (0 await a reboot, 0 unknown, 0 refuted)"),
        (GOOD.on_record(hold=Hold(ago(1), ANNA, "lunch")), Mood.HELD, ["unhold", "stop"], "on hold by anna: lunch"),
        (GOOD.on_record(attempts=(OPEN,)), Mood.PROMOTING, ["hold", "stop"],
         "a promotion to group 2 was sent; its outcome is not known yet and is being read back"),
        (GOOD.on_record(pauses=(PauseIntent(ago(9), ANNA, ""),)), Mood.PAUSED, ["resume", "hold", "stop"],
         "anna paused it"),
        (GOOD.on_rollout(last_modified_by=ADMIN), Mood.PAUSED, ["resume", "hold", "stop"],
         "admin paused it in hawkBit"),
        (GOOD.first(status=GroupStatus.ERROR, counts=Counts(finished=20, error=5)), Mood.FAILED,
         ["continue", "hold", "stop"], "5 errors, 1 allowed"),
        (GOOD.on_policy(soak_s=3600), Mood.HOLDING, ["hold", "stop"], "soaking: 3600 s after the share was reached"),
        (GOOD.on_rollout(status=RolloutStatus.STOPPED), Mood.STOPPED, [], None),
        (GOOD.on_rollout(status=RolloutStatus.READY).but(groups=(group(1, GroupStatus.READY, 5),)), Mood.WAITING,
         ["start", "hold"], "the group has no devices to judge by"),
    ],
)  # fmt: skip
def test_state_word_buttons_and_reason(case: Case, mood: Mood, expected: list[str], reason: str | None) -> None:
    shown = view(case)
    message = rollout_message(shown)
    assert shown.mood is mood
    assert [button for button in buttons(message) if button != "why"] == expected
    assert "why" in buttons(message)
    if reason is None:
        assert shown.reasons == ()
    else:
        assert reason in shown.reasons


@pytest.mark.parametrize(
    ("states", "mood"),
    [
        ([DeviceState.VERIFIED] * 2, Mood.DONE),
        ([DeviceState.VERIFIED, DeviceState.AWAITING_REBOOT], Mood.VERIFYING),
        ([DeviceState.VERIFIED, DeviceState.UNKNOWN], Mood.UNVERIFIED),
        ([DeviceState.VERIFIED, DeviceState.REFUTED], Mood.UNVERIFIED),
    ],
)
def test_finished_is_not_green_until_verified(states: list[DeviceState], mood: Mood) -> None:
    one = group(1, GroupStatus.FINISHED, 2, counts=Counts(finished=2))
    case = Case(groups=(one,), evidence=claimed_devices(*states)).on_rollout(status=RolloutStatus.FINISHED)
    assert view(case).mood is mood


def test_rollouts_of_others_say_who_promotes_them() -> None:
    others = view(GOOD.on_rollout(created_by="ci", last_modified_by="ci"))
    shown = rollout_message(others)
    assert "a person promotes this one" in shown.text
    assert "promote" in buttons(shown)
    going_on = rollout_message(replace(others, pauses=False))
    assert "hawkBit promotes this one itself, also below the threshold" in going_on.text


def test_the_devices_that_did_not_prove_it_are_named_and_the_excluded_too() -> None:
    states = [DeviceState.REFUTED] * 3 + [DeviceState.UNKNOWN] * 2 + [DeviceState.VERIFIED] * 20
    case = GOOD.but(evidence=claimed_devices(*states)).on_record(excluded=frozenset({DeviceName("d001")}))
    message = rollout_message(view(case))
    named = next(b["text"]["text"] for b in message.blocks if b["type"] == "section" and "Refuted" in b["text"]["text"])
    assert named.split("\n") == [
        "*Refuted* in group 1 (2): `d[000,002]`",
        "*Unknown* in group 1 (2): `d[003-004]`",
        "*Excluded* in group 1 (1): `d001`",
    ]


def test_of_very_many_devices_the_first_are_named_and_all_are_counted() -> None:
    case = GOOD.but(evidence=claimed_devices(*[DeviceState.REFUTED] * 500))
    shown = view(case)
    assert len(shown.bars[0].refuted_names) == NAMED
    assert "*Refuted* in group 1 (500): `d[000-199]` and 300 more" in rollout_message(shown).text


def test_stale_data_is_marked_and_cannot_be_clicked_on() -> None:
    message = rollout_message(replace(view(GOOD), stale_since=ago(300)))
    assert list(buttons(message)) == ["why"]
    assert "hawkBit does not answer: this is how it was <!date^" in message.text


def test_a_name_cannot_forge_formatting_mentions_or_links() -> None:
    evil = GOOD.on_rollout(name="*x* <!channel> https://evil.example `code`")
    text = rollout_message(view(evil)).text
    assert "<!channel>" not in text
    assert "*x*" not in text
    assert "`code`" not in text


def test_many_groups_show_those_around_the_last_started() -> None:
    groups = tuple(
        group(n, GroupStatus.FINISHED if n <= 50 else GroupStatus.SCHEDULED, 5, counts=Counts(finished=5))
        for n in range(1, 101)
    )
    lines = rollout_message(view(GOOD.but(groups=groups))).blocks[1]["text"]["text"].split("\n")
    assert len(lines) == 14
    assert lines[0] == "44 groups before these: 24/240 verified"
    assert lines[-1] == "44 groups after these: 0/220 verified"
    assert any(line.startswith("*50 g50*") for line in lines)


@pytest.mark.parametrize(
    ("verified_count", "claimed", "total", "cells"),
    [
        (0, 0, 0, "░░░░░░░░░░"),
        (24, 25, 25, "█████████▒"),
        (25, 25, 25, "██████████"),
        (0, 125, 125, "▒▒▒▒▒▒▒▒▒▒"),
        (999, 999, 1000, "█████████░"),
        (3, 2, 10, "███░░░░░░░"),
    ],
)
def test_bars_are_full_only_where_all_are_verified(verified_count: int, claimed: int, total: int, cells: str) -> None:
    one = Bar(1, "g", "running", total, verified_count, claimed, 0, 0, 0, 0, 0, 0, known=True)
    assert bar(one) == cells


def test_an_alarm_names_rollout_and_stack() -> None:
    assert rollout_alarm("eu1", "fw", "group 3 is running").text == "🚨 UNEXPECTED · *fw* on eu1: group 3 is running"


def test_who_may_not_see_every_tenant_reads_the_numbers_and_no_device_s_name() -> None:
    whole = rollout_message(message_samples.FAILED).text
    without = rollout_message(nameless(message_samples.FAILED)).text
    assert "a-gw-" in whole
    assert "a-gw-" not in without
    assert "2 refuted" in without
