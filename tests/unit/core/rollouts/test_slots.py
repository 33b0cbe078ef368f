"""What RAUC says on the device proves its update, or refutes it; whatever is missing or may be older proves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import DeviceName, GroupId, Tenant
from core.rollouts.policy import PromotionPolicy, Verification, VersionMatch
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, SlotLook
from core.rollouts.verify import (
    judge,
    next_looks,
    note_claims,
    note_look,
    note_slots,
    reboot_deadline,
    seen_before,
    tally,
)
from core.windows import Schedule, Weekly
from tests.unit.core.rollouts.cases import NOW, ago, look

D = DeviceName("d1")
POLICY = PromotionPolicy(reboot_deadline_s=3600)
A, B = "A (rootfs.0)", "B (rootfs.1)"
OLD, NEW = "1.0.0", "2.0.0"


def rauc(
    seconds_ago: float,
    boot: str = "b1",
    slot: str = A,
    version: str | None = OLD,
    *,
    primary: str | None = "",
    status: str | None = "good",
    bad: tuple[str, ...] = (),
) -> SlotLook:
    """What a device says that boots `primary` next: the slot that it runs, if nothing else is given."""
    return SlotLook(ago(seconds_ago), boot, slot, slot if primary == "" else primary, status, version, bad)


def device(before: SlotLook | None, *after: SlotLook, claimed_ago: float = 600) -> DeviceEvidence:
    """First claimed `claimed_ago`, with one look over the relay before that and looks since."""
    one = DeviceEvidence(D, state=DeviceState.CLAIMED, first_claimed_at=ago(claimed_ago))
    one = replace(one, slots=replace(one.slots, before=before))
    for each in after:
        one = note_slots(one, each, each.read_at)
    return one


BEFORE = rauc(900)
WAITS = rauc(590, primary=B)
RUNS = rauc(60, "b2", B, NEW)


@pytest.mark.parametrize(
    ("case", "one", "state", "why"),
    [
        ("never asked since", device(BEFORE), DeviceState.CLAIMED, ""),
        ("installed, same boot", device(BEFORE, WAITS), DeviceState.AWAITING_REBOOT, "no new boot"),
        ("new boot, wanted version, good", device(BEFORE, WAITS, RUNS), DeviceState.VERIFIED, "slot B (rootfs.1)"),
        ("first seen after the claim in its new boot", device(BEFORE, RUNS), DeviceState.VERIFIED, "2.0.0"),
        ("never seen before, new boot since the mark", device(None, WAITS, RUNS), DeviceState.VERIFIED, "2.0.0"),
        ("never seen before, perhaps not booted since", device(None, rauc(590, "b2", B, NEW), RUNS),
         DeviceState.AWAITING_REBOOT, "no new boot"),
        ("not marked good yet", device(BEFORE, WAITS, replace(RUNS, status="bad")), DeviceState.AWAITING_REBOOT,
         "not marked good yet"),
        ("no word of the boot loader", device(BEFORE, WAITS, replace(RUNS, status=None)), DeviceState.AWAITING_REBOOT,
         "not marked good yet"),
        ("fell back", device(BEFORE, WAITS, rauc(60, "b2", bad=(NEW,))), DeviceState.REFUTED, "still in the old slot"),
        ("fell back, flashed in the factory", device(rauc(900, version=None), rauc(590, version=None, primary=B),
         rauc(60, "b2", version=None)), DeviceState.REFUTED, "still in the old slot A"),
        ("fell back before the first look", device(BEFORE, rauc(590, "b2", bad=(NEW,))), DeviceState.REFUTED,
         "still in the old slot"),
        ("booted before the claim, still boots the new slot next", device(BEFORE, rauc(590, "b2", primary=B)),
         DeviceState.AWAITING_REBOOT, "no new boot"),
        ("the target slot became bad", device(BEFORE, rauc(60, bad=(NEW,))), DeviceState.REFUTED, "marked bad"),
        ("the target slot was bad before", device(rauc(900, bad=(NEW,)), rauc(60, bad=(NEW,))),
         DeviceState.AWAITING_REBOOT, "no new boot"),
        ("another slot with another version is bad", device(BEFORE, rauc(60, bad=("0.9",))),
         DeviceState.AWAITING_REBOOT, "no new boot"),
        ("new boot into a third version", device(BEFORE, WAITS, rauc(60, "b2", B, "3.0.0")), DeviceState.UNKNOWN,
         "holds 3.0.0, not 2.0.0"),
        ("new boot into a version RAUC does not know", device(BEFORE, WAITS, rauc(60, "b2", B, None)),
         DeviceState.UNKNOWN, "does not know"),
        ("the wanted version from the old slot", device(rauc(900, version=NEW), rauc(60, "b2", version=NEW)),
         DeviceState.UNKNOWN, "from the old slot"),
        ("asked before the claim was seen", device(BEFORE, rauc(601, "b2", B, NEW)), DeviceState.CLAIMED, ""),
        ("never reached, overdue", device(BEFORE, claimed_ago=3700), DeviceState.UNKNOWN, "never reached"),
        ("never booted, overdue", device(rauc(4000), rauc(60, primary=B), claimed_ago=3700), DeviceState.UNKNOWN,
         "no new boot"),
        ("proven after the deadline", device(rauc(4000), RUNS, claimed_ago=3700), DeviceState.VERIFIED, "2.0.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_state_of_a_device_by_rauc(case: str, one: DeviceEvidence, state: DeviceState, why: str) -> None:
    judged = judge(one, NEW, POLICY, NOW, Verification.RAUC)
    assert (judged.state, judged.proof) == (state, Verification.RAUC), judged.why
    assert why in judged.why


def test_versions_of_slots_compare_as_the_policy_says() -> None:
    loose = replace(POLICY, version_match=VersionMatch.NORMALIZED)
    one = device(BEFORE, WAITS, replace(RUNS, version="V2.0.0"))
    assert judge(one, NEW, loose, NOW, Verification.RAUC).state is DeviceState.VERIFIED
    assert judge(one, NEW, POLICY, NOW, Verification.RAUC).state is DeviceState.UNKNOWN


# several proofs

TELLS_NEW = (look(590, sw_version=OLD, boot_id="b1"), look(60, sw_version=NEW, boot_id="b2"))
TELLS_OLD = (look(590, sw_version=OLD, boot_id="b1"), look(60, sw_version=OLD, boot_id="b2"))
FELL_BACK = rauc(60, "b2", bad=(NEW,))


@pytest.mark.parametrize(
    ("telemetry", "slots", "state"),
    [
        (TELLS_NEW, (WAITS, RUNS), DeviceState.VERIFIED),
        (TELLS_OLD, (WAITS, FELL_BACK), DeviceState.REFUTED),
        (TELLS_NEW, (WAITS, FELL_BACK), DeviceState.UNKNOWN),
        (TELLS_OLD, (WAITS, RUNS), DeviceState.UNKNOWN),
        (TELLS_NEW, (WAITS,), DeviceState.AWAITING_REBOOT),
        (TELLS_NEW, (), DeviceState.AWAITING_REBOOT),
        ((), (WAITS, RUNS), DeviceState.AWAITING_REBOOT),
        ((), (), DeviceState.CLAIMED),
    ],
)
def test_both_must_say_the_same_and_a_contradiction_is_named(
    telemetry: tuple[object, ...], slots: tuple[SlotLook, ...], state: DeviceState
) -> None:
    one = replace(device(BEFORE, *slots), before=look(900, sw_version=OLD, boot_id="b1"))
    for each in telemetry:
        one = note_look(one, each)  # type: ignore[arg-type]
    judged = judge(one, NEW, POLICY, NOW, Verification.BOTH)
    assert judged.state is state, judged.why
    assert judged.why.startswith("telemetry: ")
    assert "; RAUC: " in judged.why
    late = judge(one, NEW, POLICY, NOW + timedelta(seconds=3600), Verification.BOTH)
    assert late.state is (state if state in (DeviceState.VERIFIED, DeviceState.REFUTED) else DeviceState.UNKNOWN)


def test_claims_count_only_where_policy_takes_them_for_proof() -> None:
    claimed = judge(device(None), NEW, POLICY, NOW, Verification.CLAIMED)
    assert claimed.state is DeviceState.VERIFIED
    assert judge(DeviceEvidence(D), NEW, POLICY, NOW, Verification.CLAIMED).state is DeviceState.PENDING
    for stricter in (Verification.TELEMETRY, Verification.RAUC, Verification.BOTH):
        assert judge(claimed, NEW, POLICY, NOW, stricter).state is DeviceState.CLAIMED


def test_what_was_proven_by_less_than_policy_now_asks_for_is_proven_anew() -> None:
    proven = judge(device(BEFORE, WAITS, RUNS), NEW, POLICY, NOW, Verification.RAUC)
    assert judge(proven, NEW, POLICY, NOW, Verification.CLAIMED) == proven
    assert judge(proven, NEW, POLICY, NOW, Verification.BOTH).state is DeviceState.AWAITING_REBOOT
    assert judge(proven, NEW, POLICY, NOW, Verification.TELEMETRY).state is DeviceState.CLAIMED


# which devices are asked, and what is kept of it


def test_a_look_over_the_relay_is_before_the_claim_only_when_a_later_read_shows_none() -> None:
    asked = GroupEvidence(GroupId(1), {D: note_slots(DeviceEvidence(D), rauc(900), ago(900))})
    assert note_claims(asked, {D}, ago(890)).devices[D].slots.before is None
    confirmed = note_claims(note_claims(asked, (), ago(895)), {D}, ago(890)).devices[D]
    assert confirmed.slots.before == rauc(900)
    assert confirmed.slots.latest is None
    gone = note_claims(note_claims(asked, {D}, ago(890)), (), ago(5)).devices[D]
    assert gone.slots.before is None


def test_a_device_that_was_asked_is_left_alone_for_a_while_unless_it_claims() -> None:
    asked = note_slots(DeviceEvidence(D), None, ago(10))
    group = GroupEvidence(GroupId(1), {D: asked})
    assert next_looks(group, 5, relay=True, not_since=ago(30)) == ()
    assert next_looks(group, 5, relay=True, not_since=ago(10)) == (D,)
    claimed = GroupEvidence(GroupId(1), {D: replace(asked, first_claimed_at=ago(5))})
    assert next_looks(claimed, 5, relay=True, not_since=ago(30)) == (D,)


def test_a_device_out_of_reach_lets_others_have_their_turn() -> None:
    names = [DeviceName(f"d{n}") for n in range(3)]
    group = GroupEvidence(GroupId(1), {n: DeviceEvidence(n, first_claimed_at=ago(900)) for n in names})
    turns = []
    for second in range(3):
        (turn,) = next_looks(group, 1, relay=True, not_since=ago(0))
        turns.append(turn)
        group = replace(group, devices={**group.devices, turn: note_slots(group.devices[turn], None, ago(9 - second))})
    assert sorted(turns) == names


@pytest.mark.parametrize(
    ("by", "seen"),
    [(Verification.TELEMETRY, 2), (Verification.RAUC, 1), (Verification.BOTH, 1), (Verification.CLAIMED, 3)],
)
def test_seen_before_it_starts_means_by_what_is_to_prove_it(by: Verification, seen: int) -> None:
    told = DeviceEvidence(DeviceName("told"), before=look(900, boot_id="b1"))
    both = replace(device(BEFORE), before=look(900, boot_id="b1"))
    group = {one.device: one for one in (told, both, DeviceEvidence(DeviceName("never")))}
    assert seen_before(GroupEvidence(GroupId(1), group), by) == seen


# the deadline


def test_the_deadline_counts_from_the_end_of_the_next_window_in_which_the_tenant_lets_devices_reboot() -> None:
    nightly = Schedule("UTC", (Weekly(tuple(range(7)), 22 * 60, 2 * 60),))
    policy = replace(POLICY, reboot_windows={Tenant("customer-a"): nightly})
    one = replace(device(BEFORE, WAITS), tenant="customer-a")
    end = NOW.replace(hour=2) + timedelta(days=1)
    assert reboot_deadline(one, policy) == end + timedelta(hours=1)
    assert reboot_deadline(replace(one, tenant="customer-b"), policy) == ago(600) + timedelta(hours=1)
    assert reboot_deadline(DeviceEvidence(D, tenant="customer-a"), policy) is None
    late = NOW + timedelta(hours=2)
    assert judge(one, NEW, policy, late, Verification.RAUC).state is DeviceState.AWAITING_REBOOT
    assert judge(one, NEW, POLICY, late, Verification.RAUC).state is DeviceState.UNKNOWN


@given(
    st.lists(
        st.builds(
            rauc,
            st.integers(0, 599),
            st.just("b1"),
            st.sampled_from([A, B]),
            st.sampled_from([OLD, NEW, None]),
            primary=st.sampled_from([A, B, None]),
            status=st.sampled_from(["good", "bad", None]),
            bad=st.sampled_from([(), (NEW,)]),
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_without_a_new_boot_id_nothing_is_verified_whatever_rauc_says(looks: list[SlotLook], known: bool) -> None:
    one = device(rauc(900) if known else None, *looks)
    for by in (Verification.RAUC, Verification.BOTH):
        assert judge(one, NEW, POLICY, NOW, by).state is not DeviceState.VERIFIED
    assert tally(GroupEvidence(GroupId(1), {D: judge(one, NEW, POLICY, NOW, Verification.RAUC)})).verified == 0
