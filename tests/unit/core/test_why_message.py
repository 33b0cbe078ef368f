"""Why a rollout goes on or waits, in words: every gate says its numbers, also one that passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.ids import GroupId, Tenant
from core.messages.blocks import Message
from core.messages.why import RULES, Past, WhyView, gate_in_words, why_message
from core.rollouts.actors import ActorKind
from core.rollouts.decide import decide_on
from core.rollouts.facts import Counts, GroupStatus
from core.rollouts.gates import Gate, Reason, Verdict
from core.rollouts.kept import Moment, moment
from core.rollouts.numbers import AlarmShares
from core.rollouts.records import Hold
from tests.unit.core.rollouts.cases import ANNA, Case, ago, verified

GOOD = Case()
ALL_ASKED = (
    GOOD.first(counts=Counts(finished=25))
    .but(
        evidence=verified(25, 25),
        alarms=AlarmShares(ago(2), updated=25, updated_with=1, others=475, others_with=19),
        agreed_for_s=900,
    )
    .on_policy(confidence_pct=80.0, max_alarm_pct=5.0, soak_s=600.0, threshold_pct=80.0)
)
ANNOUNCED = GOOD.on_policy(hold_window_s=300.0)


def taken(case: Case, kind: ActorKind = ActorKind.SCHEDULER, **more: Any) -> Moment:
    inputs = case.inputs(kind)
    inputs = replace(inputs, record=replace(inputs.record, ready=(GroupId(102), ago(400))))
    return moment(inputs, decide_on(inputs), **more)


def shown(one: Moment, **more: Any) -> Message:
    given: dict[str, Any] = {"earlier": (), "before": "", "newest": True}
    return why_message(WhyView("eu1", 17, "fw-2.0.0", one, **(given | more)))


def words(one: Moment) -> dict[str, str]:
    return {gate.name: gate_in_words(gate, one) for gate in one.gates}


def test_a_decision_that_passes_says_each_gate_with_its_numbers() -> None:
    said = words(taken(GOOD))
    assert said["share"] == "24 of 25 verified, 95 % needed"
    assert said["errors"] == "0 errors, 1 allowed"
    assert said["sample"] == "24 verified, at least 1 needed"
    assert said["state"] == "it is paused, as a start needs it"
    assert said["members"] == "25 devices counted, as hawkBit counts"
    assert said["next"] == "group 2 with 125 devices waits, and was looked at before"
    assert (said["soak"], said["confidence"], said["alarms"], said["window"]) == ("not asked for",) * 4
    message = shown(taken(GOOD))
    assert message.text.startswith("🟢 PASS · *fw-2.0.0* on eu1: group 2 may start\n")
    assert "Decided for the scheduler at " in message.text
    assert f"policy `default {GOOD.policy.policy_hash()}`" in message.text
    assert "Taken on: hawkBit 0 s old, claims 1 s old, devices 1 s old" in message.text


def test_what_a_policy_asks_for_beyond_is_told_with_its_numbers() -> None:
    one = taken(ALL_ASKED)
    said = words(one)
    assert {gate.verdict for gate in one.gates} == {Verdict.PASS}, said
    assert said["confidence"] == "surely verified (at 80 % confidence) are 93.8 %, 80 % needed"
    assert said["alarms"].startswith("1 of 25 updated devices have an open alarm, 19 of 475 others: up to 5 points")
    assert said["soak"] == "900 s since the share was reached, 600 s needed"
    assert words(taken(ANNOUNCED))["window"] == "nobody held it while it was announced (300 s)"


@pytest.mark.parametrize("kind", ActorKind)
@pytest.mark.parametrize("case", [GOOD, ALL_ASKED, ANNOUNCED])
def test_no_gate_is_without_words(case: Case, kind: ActorKind) -> None:
    one = taken(case, kind)
    assert len(words(one)) == len(one.gates)
    assert "passed" not in words(one).values()
    assert {gate.name for gate in one.gates} <= RULES.keys()


def test_what_failed_stands_before_what_waits_and_what_passes() -> None:
    bad = GOOD.first(counts=Counts(finished=22, error=3), status=GroupStatus.RUNNING).but(evidence=verified(22, 25))
    text = shown(taken(bad.on_record(hold=Hold(ago(60), ANNA, "lunch")))).text
    assert text.startswith("🔴 FAIL · *fw-2.0.0* on eu1: group 2 does not start\n")
    assert text.index("*Failed*") < text.index("3 errors, 1 allowed") < text.index("*Not passed yet*")
    assert text.index("on hold by anna: lunch") < text.index("*Passed*") < text.index("no other promotion is under way")


def test_a_start_says_who_sent_it() -> None:
    text = shown(taken(GOOD, ActorKind.PERSON, what="promote", said="sent by anna")).text
    assert "the start of group 2 was sent" in text
    assert "Decided for a person" in text
    assert "sent by anna" in text


def test_a_second_persons_agreement_is_told() -> None:
    assert words(taken(GOOD.but(approved=True), ActorKind.PERSON))["approval"] == "a second person agreed"


def test_earlier_decisions_are_listed_and_reached_by_a_button() -> None:
    held = taken(GOOD.on_record(hold=Hold(ago(60), ANNA, "lunch")))
    earlier = [Past(3, held), Past(4, taken(GOOD))]
    message = shown(taken(GOOD), earlier=earlier, before="17-0", newest=False)
    assert "3 · " in message.text
    assert " · HOLD · group 2 waits: on hold by anna: lunch" in message.text
    assert "`/cdm why fw-2.0.0 3`" in message.text
    (row,) = [block for block in message.blocks if block["type"] == "actions"]
    assert [(one["action_id"], one["value"]) for one in row["elements"]] == [
        ("why", "eu1/17/17-0"),
        ("why-newest", "eu1/17"),
    ]


def test_the_only_decision_has_no_buttons() -> None:
    assert "actions" not in [block["type"] for block in shown(taken(GOOD)).blocks]


@pytest.mark.parametrize(("visible", "told"), [(None, "customer-b"), ({"customer-a"}, "another tenant")])
def test_a_tenant_is_named_to_those_alone_who_may_see_it(visible: set[str] | None, told: str) -> None:
    gate = Gate("freeze", Verdict.HOLD, Reason.PRODUCTION, {"tenant": "customer-b", "until": "until 18:00 UTC"})
    one = replace(taken(GOOD), gates=(gate,), verdict=Verdict.HOLD)
    who = None if visible is None else frozenset(Tenant(name) for name in visible)
    text = shown(one, visible=who, earlier=[Past(1, one)]).text
    assert text.count(f"{told} is in production until 18:00 UTC") == 2
    assert ("customer-b" in text) is (visible is None)


def test_foreign_text_in_a_decision_is_only_text() -> None:
    text = shown(taken(GOOD.on_record(hold=Hold(ago(60), ANNA, "<!channel> *now*")))).text
    assert "<!channel>" not in text
    assert "*now*" not in text
