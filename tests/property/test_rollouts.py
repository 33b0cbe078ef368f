"""Promise P7, no data is no pass: whatever is missing, stale or contradicting, in whatever order it was learned."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from core.devices import Reading
from core.ids import DeviceName
from core.rollouts.actors import ActorKind
from core.rollouts.cause import PauseCause, following, pause_cause
from core.rollouts.decide import Promote, observe
from core.rollouts.facts import Counts, GroupStatus, RolloutStatus
from core.rollouts.gates import Verdict
from core.rollouts.kept import Moment, moment, replay
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, Hold, Look, PauseIntent
from core.rollouts.verify import judge, note_claims, note_look, note_members
from integrations.store.rollout_past import add_moment
from tests.unit.core.rollouts.cases import ADMIN, ANNA, BOT, NOW, Case, ago, decide, group
from tests.unit.core.rollouts.test_decide import ALL_FAIL, ALL_HOLD, GOOD

RANK = {Verdict.FAIL: 0, Verdict.HOLD: 1, Verdict.PASS: 2}
STATES = st.sampled_from(list(DeviceState))
WANTED = "2.0.0"


@st.composite
def worlds(draw: st.DrawFn) -> Case:
    """Any rollout, any evidence, any record: mostly near the edge where it might pass."""
    size = draw(st.integers(0, 30))
    mostly = st.one_of(st.just(DeviceState.VERIFIED), st.just(DeviceState.VERIFIED), STATES)
    devices = {}
    for i, state in enumerate(draw(st.lists(mostly, min_size=size, max_size=size))):
        name = DeviceName(f"d{i}")
        claimed = None if state is DeviceState.PENDING else ago(500)
        devices[name] = DeviceEvidence(name, state, member=draw(st.integers(0, 30)) > 0, first_claimed_at=claimed)
    members = sum(d.member for d in devices.values())
    bad = draw(st.integers(0, min(members, 2)))
    counts = Counts(finished=max(members - bad, 0), error=draw(st.integers(0, bad)))
    counts = replace(counts, running=max(members - counts.finished - counts.error, 0))
    times = st.sampled_from([ago(1), ago(1), ago(1), ago(100), ago(5000), ago(-100), None])
    case = GOOD.but(
        evidence=draw(st.one_of(st.none(), st.just(GroupEvidence(GOOD.groups[0].id, devices))))
        if draw(st.booleans())
        else GroupEvidence(GOOD.groups[0].id, devices, draw(times), draw(times)),
        groups=(
            group(
                1,
                draw(st.sampled_from([GroupStatus.RUNNING, GroupStatus.FINISHED, GroupStatus.ERROR])),
                members + draw(st.sampled_from([0, 0, 0, 1, -1])),
                counts=counts,
                pauses=draw(st.integers(0, 9)) > 0,
            ),
            group(2, draw(st.sampled_from([GroupStatus.SCHEDULED] * 4 + list(GroupStatus))), 125),
        ),
        agreed_for_s=draw(st.sampled_from([0.0, 1.0, 2.0, 60.0])),
        read_at=draw(st.sampled_from([ago(1), ago(899), ago(901)])),
    )
    case = case.on_rollout(
        status=draw(st.sampled_from([RolloutStatus.PAUSED] * 4 + list(RolloutStatus))),
        last_modified_by=draw(st.sampled_from([BOT, BOT, BOT, ADMIN])),
    )
    if draw(st.integers(0, 9)) == 0:
        case = case.on_record(hold=Hold(ago(9), ANNA, ""))
    if draw(st.integers(0, 9)) == 0:
        case = case.on_record(pauses=(PauseIntent(ago(9), ANNA, ""),))
    return case


@given(st.lists(st.integers(0, len(ALL_HOLD) + len(ALL_FAIL) - 1), min_size=1, max_size=4))
def test_no_combination_of_defects_passes(picked: list[int]) -> None:
    """Each defect alone holds or fails; with whatever others bend besides, it never passes."""
    defects = [row[1] for row in (*ALL_HOLD, *ALL_FAIL)]
    worst = defects[picked[0]]
    for index in picked[1:]:
        for name in ("rollout", "groups", "evidence", "record", "policy", "read_at", "agreed_for_s"):
            if getattr(worst, name) == getattr(GOOD, name):
                worst = replace(worst, **{name: getattr(defects[index], name)})
    assert worst.decide().verdict is not Verdict.PASS
    assert worst.decide(ActorKind.PERSON).intent is None or worst.decide(ActorKind.PERSON).verdict is Verdict.PASS


@settings(max_examples=400)
@given(worlds(), st.sampled_from(list(ActorKind)))
def test_a_pass_means_what_it_says(case: Case, kind: ActorKind) -> None:
    """Said again without the gates: what must be true of the inputs wherever anything is promoted."""
    decision = case.decide(kind)
    if decision.verdict is not Verdict.PASS:
        assert not isinstance(decision.intent, Promote)
        return
    evidence, first = case.evidence, case.groups[0]
    assert evidence is not None
    assert evidence.claims_read_at is not None
    assert evidence.members_read_at is not None
    assert min(evidence.claims_read_at, evidence.members_read_at, case.read_at) >= ago(900)
    proven = [d for d in evidence.devices.values() if d.state is DeviceState.VERIFIED and d.member]
    assert len(proven) * 100 >= 95 * len(evidence.devices) > 0
    assert first.status in (GroupStatus.RUNNING, GroupStatus.FINISHED)
    assert sum(d.member for d in evidence.devices.values()) == first.total
    assert case.rollout.status is RolloutStatus.PAUSED
    assert case.record.hold is None
    assert case.agreed_for_s >= case.policy.agree_s
    waiting = following(case.snapshot)
    assert waiting is not None
    assert decision.intent == Promote(2, waiting.id, waiting.total)
    if kind is ActorKind.SCHEDULER:
        assert pause_cause(case.snapshot, case.record, BOT) is PauseCause.SUCCESS
        assert not case.record.pauses
        assert first.pauses


@settings(max_examples=300)
@given(worlds(), st.data())
def test_worse_inputs_never_make_a_better_verdict(case: Case, data: st.DataObject) -> None:
    record = case.observed()
    before = decide(case.snapshot, case.policy, case.evidence, record, NOW, account=BOT).verdict
    worse = data.draw(st.sampled_from(["unverify", "error", "alarm", "age", "forget", "hold"]))
    evidence, now, snapshot = case.evidence, NOW, case.snapshot
    if worse == "unverify" and evidence is not None and evidence.devices:
        name = data.draw(st.sampled_from(sorted(evidence.devices)))
        state = data.draw(st.sampled_from([DeviceState.REFUTED, DeviceState.UNKNOWN, DeviceState.AWAITING_REBOOT]))
        if evidence.devices[name].state is DeviceState.VERIFIED:
            devices = {**evidence.devices, name: replace(evidence.devices[name], state=state)}
            # hawkBit's counts cannot follow a device's proof: the contradiction gate is not what is tested here.
            evidence = replace(evidence, devices=devices)
    elif worse == "error":
        first = case.groups[0]
        if first.counts.running:
            counts = replace(first.counts, running=first.counts.running - 1, error=first.counts.error + 1)
            snapshot = replace(snapshot, groups=(replace(first, counts=counts), *case.groups[1:]))
            record = observe(snapshot, case.policy, evidence, record, ago(60), account=BOT)
    elif worse == "alarm" and evidence is not None and evidence.devices:
        name = data.draw(st.sampled_from(sorted(evidence.devices)))
        devices = {**evidence.devices, name: replace(evidence.devices[name], alarmed=True)}
        evidence = replace(evidence, devices=devices)
    elif worse == "age":
        now = NOW + timedelta(seconds=1000)
    elif worse == "forget":
        evidence = None
    elif worse == "hold":
        record = replace(record, hold=Hold(NOW, ANNA, ""))
    after = decide(snapshot, case.policy, evidence, record, now, account=BOT).verdict
    if worse == "forget" and before is Verdict.FAIL:
        assert after is not Verdict.PASS  # what refuted devices proved is gone with them, and nothing passes
    elif worse == "unverify" and before is Verdict.HOLD:
        assert after is not Verdict.PASS
    else:
        assert RANK[after] <= RANK[before]


@given(worlds())
def test_deciding_twice_decides_the_same(case: Case) -> None:
    assert case.decide() == case.decide()


@dataclass(frozen=True)
class Told:
    """One look at a device that did NOT boot since before its claim, with a clock that is wrong by `skew`."""

    looks: tuple[Look, ...]
    before: Look | None


@st.composite
def devices_without_reboot(draw: st.DrawFn) -> Told:
    """Booted at least 200 s before the claim (600 s ago); sends every reading at most 200 s before a look."""
    skew = draw(st.integers(-7200, 7200))
    booted = draw(st.integers(801, 100_000))
    version, slot = draw(st.sampled_from(["1.0.0", WANTED, ""])), draw(st.sampled_from(["A", ""]))
    boot_id, has_uptime = draw(st.sampled_from(["b1", ""])), draw(st.booleans())

    def look(at: int) -> Look:
        sent = at + draw(st.integers(0, 200))
        values = {"sw_version": version, "rauc_slot": slot, "boot_id": boot_id}
        if has_uptime:
            values["uptime_s"] = str(booted - sent)
        return Look(ago(at), {k: Reading(v, ago(sent - skew)) for k, v in values.items() if v})

    before = look(draw(st.integers(601, 790))) if draw(st.booleans()) else None
    return Told(tuple(look(at) for at in draw(st.lists(st.integers(0, 599), max_size=5))), before)


@settings(max_examples=400)
@given(devices_without_reboot())
def test_without_a_reboot_nothing_is_proven_whatever_the_device_says_and_its_clock_shows(told: Told) -> None:
    one = DeviceEvidence(DeviceName("d"), DeviceState.CLAIMED, first_claimed_at=ago(600), before=told.before)
    for look in told.looks:
        one = note_look(one, look)
    assert judge(one, WANTED, PromotionPolicy(), NOW).state not in (DeviceState.VERIFIED, DeviceState.REFUTED)


@given(st.lists(st.integers(0, 900), min_size=1, max_size=6, unique=True), st.randoms())
def test_looks_may_come_in_any_order(seconds: list[int], rng: random.Random) -> None:
    looks = [Look(ago(s), {"boot_id": Reading(f"b{s}", ago(s))}) for s in seconds]
    shuffled = looks[:]
    rng.shuffle(shuffled)
    start = DeviceEvidence(DeviceName("d"), first_claimed_at=ago(600))
    ends = []
    for order in (looks, shuffled):
        one = start
        for look in order:
            one = note_look(one, look)
        ends.append(one)
    assert ends[0] == ends[1]


@given(st.lists(st.tuples(st.sampled_from(["members", "claims"]), st.sets(st.integers(0, 5))), max_size=6))
def test_no_device_ever_leaves_the_denominator(reads: list[tuple[str, set[int]]]) -> None:
    evidence, ever = GroupEvidence(GOOD.groups[0].id), set[DeviceName]()
    for i, (kind, numbers) in enumerate(reads):
        names = frozenset(DeviceName(f"d{n}") for n in numbers)
        note = note_members if kind == "members" else note_claims
        evidence = note(evidence, names, ago(100 - i))
        ever |= names
        assert evidence.devices.keys() == ever


@settings(max_examples=200)
@given(worlds(), st.sampled_from(list(ActorKind)))
def test_a_decision_is_a_function_of_what_was_kept_of_it(case: Case, kind: ActorKind) -> None:
    """Written down, read again and taken anew, it is the same: verdict, reasons and numbers."""
    decision = case.decide(kind)
    (*_, raw), *_ = add_moment(case.snapshot.stack, case.rollout.id, moment(case.inputs(kind), decision))
    kept = TypeAdapter(Moment).validate_json(zlib.decompress(raw))
    again = replay(kept)
    assert (again.gates, again.told, again.verdict) == (decision.gates, decision.told, decision.verdict)
    assert kept.gates == decision.gates
