"""A device is verified by proof alone: the wanted version, after a new boot, seen after the claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.ids import DeviceName, GroupId
from core.rollouts.policy import PromotionPolicy, VersionMatch
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, Look
from core.rollouts.verify import judge, next_looks, note_claims, note_look, note_members, tally
from tests.unit.core.rollouts.cases import NOW, ago, look

D = DeviceName("d1")
POLICY = PromotionPolicy(reboot_deadline_s=3600)
OLD = {"sw_version": "1.0.0", "rauc_slot": "A", "boot_id": "b1", "uptime_s": "100000"}
NEW = {"sw_version": "2.0.0", "rauc_slot": "B", "boot_id": "b2", "uptime_s": "20"}


def device(before: Look | None, *after: Look, claimed_ago: float = 600) -> DeviceEvidence:
    """First claimed `claimed_ago`, with one look before that and looks since."""
    one = DeviceEvidence(D, state=DeviceState.CLAIMED, first_claimed_at=ago(claimed_ago), before=before)
    for each in after:
        one = note_look(one, each)
    return one


BEFORE = look(900, **OLD)
MARK = look(590, **OLD)


@pytest.mark.parametrize(
    ("case", "one", "state"),
    [
        ("no claim", DeviceEvidence(D), DeviceState.PENDING),
        ("claimed, not looked at since", device(BEFORE), DeviceState.CLAIMED),
        ("same boot, old version: waits", device(BEFORE, MARK, look(60, **OLD)), DeviceState.AWAITING_REBOOT),
        ("wanted version but same boot", device(BEFORE, MARK, look(60, **OLD | {"sw_version": "2.0.0"})),
         DeviceState.AWAITING_REBOOT),
        ("new boot id, wanted version", device(BEFORE, MARK, look(60, **NEW)), DeviceState.VERIFIED),
        ("new boot id only", device(look(900, sw_version="1.0.0", boot_id="b1"), look(590, sw_version="1.0.0"),
         look(60, sw_version="2.0.0", boot_id="b2")), DeviceState.VERIFIED),
        ("changed slot only", device(look(900, sw_version="1.0.0", rauc_slot="A"), look(590, sw_version="1.0.0"),
         look(60, sw_version="2.0.0", rauc_slot="B")), DeviceState.VERIFIED),
        ("uptime only: booted 300 s after the claim", device(None, look(590, sw_version="1.0.0"),
         look(60, sw_version="2.0.0", uptime_s="240")), DeviceState.VERIFIED),
        ("uptime only: booted before the claim", device(None, look(590, sw_version="1.0.0"),
         look(60, sw_version="2.0.0", uptime_s="541")), DeviceState.AWAITING_REBOOT),
        ("uptime that is no number", device(None, look(590, sw_version="1.0.0"),
         look(60, sw_version="2.0.0", uptime_s="up 4 minutes")), DeviceState.AWAITING_REBOOT),
        ("version was sent before the claim", device(BEFORE, MARK, look(60, **NEW | {"sw_version": ("2.0.0", 601.0)})),
         DeviceState.AWAITING_REBOOT),
        ("version no newer than at the mark", device(BEFORE, look(590, **OLD | {"sw_version": "2.0.0"}),
         look(60, **NEW | {"sw_version": ("2.0.0", 590)})), DeviceState.AWAITING_REBOOT),
        ("new boot, old version", device(BEFORE, MARK, look(60, **NEW | {"sw_version": "1.0.0"})), DeviceState.REFUTED),
        ("new boot, old slot, no version", device(look(900, rauc_slot="A", boot_id="b1"), look(590, rauc_slot="A"),
         look(60, rauc_slot="A", boot_id="b2")), DeviceState.REFUTED),
        ("new boot, wanted version, old slot contradict", device(BEFORE, MARK, look(60, **NEW | {"rauc_slot": "A"})),
         DeviceState.UNKNOWN),
        ("new boot, some third version", device(BEFORE, MARK, look(60, **NEW | {"sw_version": "3.0.0"})),
         DeviceState.UNKNOWN),
        ("never looked at, deadline passed", device(BEFORE, claimed_ago=3700), DeviceState.UNKNOWN),
        ("no reboot, deadline passed", device(look(4000, **OLD), look(3650, **OLD), look(60, **OLD), claimed_ago=3700),
         DeviceState.UNKNOWN),
        ("silent since the claim, deadline passed", device(BEFORE, look(3650), look(60), claimed_ago=3700),
         DeviceState.UNKNOWN),
        ("verified after the deadline is verified", device(look(4000, **OLD), look(3650, **OLD), look(60, **NEW),
         claimed_ago=3700), DeviceState.VERIFIED),
        ("an activity gap alone proves nothing", device(look(4000, sw_version="1.0.0"), look(590),
         look(60, sw_version="2.0.0")), DeviceState.AWAITING_REBOOT),
        ("never seen before the claim and new boot already at the mark: no proof", device(None, look(590, **NEW | {
            "uptime_s": "200"}), look(60, **NEW | {"uptime_s": "730"})), DeviceState.AWAITING_REBOOT),
        ("seen before the claim, new boot already at the mark", device(BEFORE, look(590, **NEW), look(60, **NEW)),
         DeviceState.VERIFIED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_state_of_a_device(case: str, one: DeviceEvidence, state: DeviceState) -> None:
    assert judge(one, "2.0.0", POLICY, NOW).state is state, judge(one, "2.0.0", POLICY, NOW).why


def test_a_clock_that_runs_ahead_makes_no_old_reading_new() -> None:
    """The device is an hour ahead: its readings from before the claim carry times after it."""
    ahead = 3600
    before = look(700, **{k: (v, 700 - ahead) for k, v in OLD.items()})
    mark = look(590, **{k: (v, 595 - ahead) for k, v in (NEW | {"boot_id": "b1"}).items()})
    same_again = look(60, **{k: (v, 595 - ahead) for k, v in NEW.items()})
    assert judge(device(before, mark, same_again), "2.0.0", POLICY, NOW).state is not DeviceState.VERIFIED
    really_new = look(50, **{k: (v, 55 - ahead) for k, v in NEW.items()})
    assert judge(device(before, mark, really_new), "2.0.0", POLICY, NOW).state is DeviceState.VERIFIED


def test_a_clock_that_runs_ahead_makes_no_old_boot_new() -> None:
    """Booted two minutes before the claim, clock an hour ahead: (time - uptime) alone would lie after the claim."""
    ahead = 3600
    mark = look(590, sw_version=("2.0.0", 595 - ahead), uptime_s=("125", 595 - ahead))
    latest = look(60, sw_version=("2.0.0", 60 - ahead), uptime_s=("660", 60 - ahead))
    assert judge(device(None, mark, latest), "2.0.0", POLICY, NOW).state is DeviceState.AWAITING_REBOOT


def test_a_clock_that_runs_behind_ends_in_no_pass() -> None:
    late = look(60, **{k: (v, 60 + 7200) for k, v in NEW.items()})
    assert judge(device(BEFORE, MARK, late), "2.0.0", POLICY, NOW).state is not DeviceState.VERIFIED


def test_verified_stays_and_is_not_looked_at_again() -> None:
    done = judge(device(BEFORE, MARK, look(60, **NEW)), "2.0.0", POLICY, NOW)
    later = judge(note_look(done, look(10, **OLD)), "2.0.0", POLICY, NOW)
    assert later.state is DeviceState.VERIFIED
    assert next_looks(GroupEvidence(GroupId(1), {D: later}), 10) == ()


def test_refuted_can_still_be_verified_by_a_later_boot() -> None:
    refuted = judge(device(BEFORE, MARK, look(60, **NEW | {"sw_version": "1.0.0"})), "2.0.0", POLICY, NOW)
    fixed = judge(note_look(refuted, look(10, **NEW | {"boot_id": "b3"})), "2.0.0", POLICY, NOW)
    assert (refuted.state, fixed.state) == (DeviceState.REFUTED, DeviceState.VERIFIED)


def test_versions_compare_as_the_policy_says() -> None:
    loose = replace(POLICY, version_match=VersionMatch.NORMALIZED)
    one = device(BEFORE, MARK, look(60, **NEW | {"sw_version": " V2.0.0"}))
    assert judge(one, "2.0.0", loose, NOW).state is DeviceState.VERIFIED
    assert judge(one, "2.0.0", POLICY, NOW).state is DeviceState.UNKNOWN


def test_a_look_counts_as_before_the_claim_only_when_a_later_read_still_shows_no_claim() -> None:
    group = note_members(GroupEvidence(GroupId(1)), frozenset({D}), ago(1000))
    looked = replace(group, devices={D: note_look(group.devices[D], look(900, **OLD))})
    assert note_claims(looked, {D}, ago(890)).devices[D].before is None
    confirmed = note_claims(note_claims(looked, (), ago(895)), {D}, ago(890)).devices[D]
    assert confirmed.before == look(900, **OLD)
    assert (confirmed.state, confirmed.first_claimed_at) == (DeviceState.CLAIMED, ago(890))


def test_a_withdrawn_claim_takes_its_proof_with_it() -> None:
    done = judge(device(BEFORE, MARK, look(60, **NEW)), "2.0.0", POLICY, NOW)
    again = note_claims(GroupEvidence(GroupId(1), {D: done}), (), ago(5)).devices[D]
    assert (again.state, again.first_claimed_at, again.mark) == (DeviceState.PENDING, None, None)


def test_the_first_sight_of_a_claim_stays() -> None:
    group = note_claims(GroupEvidence(GroupId(1)), {D}, ago(100))
    assert note_claims(group, {D}, ago(50)).devices[D].first_claimed_at == ago(100)


def test_a_deleted_device_stays_in_the_denominator() -> None:
    names = frozenset(DeviceName(f"d{i}") for i in range(10))
    group = note_members(GroupEvidence(GroupId(1)), names, ago(100))
    shrunk = note_members(group, names - {DeviceName("d0"), DeviceName("d1")}, ago(10))
    assert (tally(shrunk).total, tally(shrunk).gone) == (10, 2)
    assert tally(shrunk, [DeviceName("d0")]).total == 9


def test_looks_go_first_to_new_claims_then_to_the_never_seen_then_to_the_longest_unseen() -> None:
    devices = {
        DeviceName("seen-long-ago"): DeviceEvidence(DeviceName("seen-long-ago"), latest=look(99), looked_at=ago(99)),
        DeviceName("seen-lately"): DeviceEvidence(DeviceName("seen-lately"), latest=look(9), looked_at=ago(9)),
        DeviceName("never-seen"): DeviceEvidence(DeviceName("never-seen")),
        DeviceName("claimed"): DeviceEvidence(DeviceName("claimed"), first_claimed_at=ago(5), looked_at=ago(9)),
        DeviceName("left"): DeviceEvidence(DeviceName("left"), member=False),
    }
    order = next_looks(GroupEvidence(GroupId(1), devices), 10)
    assert order == ("claimed", "never-seen", "seen-long-ago", "seen-lately")
    assert next_looks(GroupEvidence(GroupId(1), devices), 2) == order[:2]
