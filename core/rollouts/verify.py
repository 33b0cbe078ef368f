"""Is the device really running the new version? hawkBit's "finished" is a claim: it comes before the reboot.

`verified` needs, seen after WE first saw the claim: the wanted version, and a new boot. What proves it is a matter of
policy: the telemetry (`core.rollouts.telemetry`), RAUC on the device (`core.rollouts.slots`), both, or the claim alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from core.ids import DeviceName, Tenant
from core.rollouts.policy import PromotionPolicy, Verification
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, Look, SlotLook, SlotLooks
from core.rollouts.slots import judge_slots
from core.rollouts.telemetry import judge_telemetry
from core.windows import Schedule

AWAITING = (DeviceState.CLAIMED, DeviceState.AWAITING_REBOOT)
BY_TELEMETRY = (Verification.TELEMETRY, Verification.BOTH)
BY_RELAY = (Verification.RAUC, Verification.BOTH)

_AnyLook = TypeVar("_AnyLook", Look, SlotLook)


@dataclass(frozen=True, slots=True)
class Tally:
    """Devices of a group by state. `total` is the denominator: every device ever seen in it, less excluded ones; an
    excluded one that was verified later counts again.
    `claimed` counts every device with a standing claim, whatever its proof."""

    total: int
    excluded: int
    gone: int
    claimed: int
    verified: int
    awaiting: int
    refuted: int
    unknown: int


def note_members(evidence: GroupEvidence, members: frozenset[DeviceName], now: datetime) -> GroupEvidence:
    """The group re-counted. A device that left stays in the denominator."""
    devices = {n: replace(d, member=n in members) for n, d in evidence.devices.items()}
    devices |= {n: DeviceEvidence(n) for n in members if n not in devices}
    return replace(evidence, devices=devices, members_read_at=now)


def note_claims(evidence: GroupEvidence, claimed: Iterable[DeviceName], now: datetime) -> GroupEvidence:
    """hawkBit's claims as read at `now`. A withdrawn claim takes its proof with it.

    A look becomes `before` only once a later read of the claims still shows none: so it surely came before the claim.
    """
    claims = frozenset(claimed)
    devices: dict[DeviceName, DeviceEvidence] = dict(evidence.devices)
    for name in claims - devices.keys():
        devices[name] = DeviceEvidence(name)
    for name, device in devices.items():
        known = device.first_claimed_at is not None
        if name in claims and not known:
            slots = replace(device.slots, latest=None)
            devices[name] = replace(device, state=DeviceState.CLAIMED, first_claimed_at=now, latest=None, slots=slots)
        elif name not in claims and known:
            devices[name] = replace(
                DeviceEvidence(name),
                member=device.member,
                looked_at=device.looked_at,
                tenant=device.tenant,
                slots=SlotLooks(looked_at=device.slots.looked_at),
            )
        elif not known and (device.latest is not None or device.slots.latest is not None):
            slots = replace(device.slots, before=device.slots.latest or device.slots.before, latest=None)
            devices[name] = replace(device, before=device.latest or device.before, latest=None, slots=slots)
    return replace(evidence, devices=devices, claims_read_at=now)


def note_look(device: DeviceEvidence, look: Look) -> DeviceEvidence:
    """One look at the telemetry kept where it belongs. Any order of looks gives the same."""
    mark, latest = _placed(device.first_claimed_at, device.mark, device.latest, look)
    looked_at = max(filter(None, (device.looked_at, look.read_at)))
    return replace(device, mark=mark, latest=latest, looked_at=looked_at)


def note_slots(device: DeviceEvidence, look: SlotLook | None, asked_at: datetime) -> DeviceEvidence:
    """The same over the relay; None where the device was asked in vain."""
    slots = replace(device.slots, looked_at=max(filter(None, (device.slots.looked_at, asked_at))))
    if look is not None:
        mark, latest = _placed(device.first_claimed_at, slots.mark, slots.latest, look)
        slots = replace(slots, mark=mark, latest=latest)
    return replace(device, slots=slots)


def _placed(
    claimed_at: datetime | None, mark: _AnyLook | None, latest: _AnyLook | None, look: _AnyLook
) -> tuple[_AnyLook | None, _AnyLook | None]:
    """Mark and latest with this look: the first after the claim, or the newest."""
    if claimed_at is None:
        return mark, look if latest is None or latest.read_at < look.read_at else latest
    if look.read_at <= claimed_at:
        return mark, latest  # taken before or after the real claim: nobody can say, so it proves nothing
    if mark is None:
        return look, latest
    if look.read_at < mark.read_at:
        return look, latest or mark
    return mark, look if look.read_at > (latest or mark).read_at else latest


def judge(
    device: DeviceEvidence,
    wanted: str,
    policy: PromotionPolicy,
    now: datetime,
    by: Verification = Verification.TELEMETRY,
) -> DeviceEvidence:
    """The device with its state, and why in words. `verified` stays as long as the claim stands, and policy asks for no
    more than what it was verified by."""
    if device.state is DeviceState.VERIFIED and by in (device.proof, *_LESS[device.proof]):
        return device
    state, why = _state(device, wanted, policy, now, by)
    return replace(device, state=state, why=why, proof=by)


_LESS: Mapping[Verification, tuple[Verification, ...]] = {
    Verification.BOTH: (Verification.TELEMETRY, Verification.RAUC, Verification.CLAIMED),
    Verification.TELEMETRY: (Verification.CLAIMED,),
    Verification.RAUC: (Verification.CLAIMED,),
    Verification.CLAIMED: (),
}


def _state(
    device: DeviceEvidence, wanted: str, policy: PromotionPolicy, now: datetime, by: Verification
) -> tuple[DeviceState, str]:
    if device.first_claimed_at is None:
        return DeviceState.PENDING, ""
    if by is Verification.CLAIMED:
        return DeviceState.VERIFIED, "hawkBit says so; nothing proves it"
    overdue = _overdue(device, policy, now)
    if by is Verification.TELEMETRY:
        return judge_telemetry(device, wanted, policy, overdue=overdue)
    if by is Verification.RAUC:
        return judge_slots(device, wanted, policy, overdue=overdue)
    told = judge_telemetry(device, wanted, policy, overdue=overdue)
    seen = judge_slots(device, wanted, policy, overdue=overdue)
    return _together(told, seen, overdue=overdue)


_PROOFS = (DeviceState.VERIFIED, DeviceState.REFUTED)


def _together(
    told: tuple[DeviceState, str], seen: tuple[DeviceState, str], *, overdue: bool
) -> tuple[DeviceState, str]:
    """Both must say the same; what only one of them proves waits for the other."""
    why = f"telemetry: {told[1] or told[0].value}; RAUC: {seen[1] or seen[0].value}"
    states = (told[0], seen[0])
    if told[0] is seen[0]:
        return told[0], why
    if DeviceState.UNKNOWN in states or overdue or all(state in _PROOFS for state in states):
        return DeviceState.UNKNOWN, why
    return DeviceState.AWAITING_REBOOT, why


def to_reboot(groups: Iterable[GroupEvidence], excluded: Iterable[DeviceName]) -> Mapping[DeviceName, Tenant]:
    """The devices with a claim of which nothing shows that they booted into it, and whose they are."""
    out = frozenset(excluded)
    return {
        name: Tenant(device.tenant)
        for evidence in groups
        for name, device in evidence.devices.items()
        if device.member and name not in out and device.tenant and device.state in (*AWAITING, DeviceState.UNKNOWN)
    }


def reboot_deadline(device: DeviceEvidence, policy: PromotionPolicy) -> datetime | None:
    """Until when a device with a claim may take for its proof: counted from the claim, or from the end of the next
    window in which it may be rebooted, where its tenant has such. None without a claim."""
    claimed = device.first_claimed_at
    if claimed is None:
        return None
    windows = policy.reboot_windows.get(Tenant(device.tenant)) if device.tenant else None
    end = _end_of_next(windows, claimed) if windows else None
    return (end or claimed) + timedelta(seconds=policy.reboot_deadline_s)


@lru_cache(maxsize=1000)
def _end_of_next(windows: Schedule, moment: datetime) -> datetime | None:
    window = windows.covers(moment) or windows.next_opening(moment)
    return window.until if window is not None else None


def _overdue(device: DeviceEvidence, policy: PromotionPolicy, now: datetime) -> bool:
    deadline = reboot_deadline(device, policy)
    return deadline is not None and now > deadline


def tally(evidence: GroupEvidence, excluded: Iterable[DeviceName] = ()) -> Tally:
    late = (n for n, d in evidence.devices.items() if d.member and d.state is DeviceState.VERIFIED)
    out = frozenset(excluded).difference(late)
    counted = [d for n, d in evidence.devices.items() if n not in out]
    present = [d for d in counted if d.member]

    def having(*states: DeviceState) -> int:
        return sum(d.state in states for d in present)

    return Tally(
        total=len(counted),
        excluded=len(evidence.devices) - len(counted),
        gone=len(counted) - len(present),
        claimed=sum(d.first_claimed_at is not None for d in present),
        verified=having(DeviceState.VERIFIED),
        awaiting=having(*AWAITING),
        refuted=having(DeviceState.REFUTED),
        unknown=having(DeviceState.UNKNOWN),
    )


def seen_before(evidence: GroupEvidence, by: Verification = Verification.TELEMETRY) -> int:
    """How many devices of a group that has not started were surely seen before their claim, by what is to prove it."""
    return sum(d.member and _seen(d, by) for d in evidence.devices.values())


def _seen(device: DeviceEvidence, by: Verification) -> bool:
    told = device.before is not None or by not in BY_TELEMETRY
    return told and (device.slots.before is not None or by not in BY_RELAY)


def next_looks(
    evidence: GroupEvidence,
    budget: int,
    *,
    relay: bool = False,
    not_since: datetime | None = None,
    unseen_only: bool = False,
) -> tuple[DeviceName, ...]:
    """Which devices to look at now, at most `budget`, at their telemetry or over the `relay`: first those just claimed
    (their mark dates all later proof), then those never tried (so that a new boot can be told), then those tried
    longest ago: one that does not answer keeps nobody waiting. A verified device is not looked at again.

    `not_since`: but none that was tried later than that, and since its claim. `unseen_only`: those never seen.
    """

    def looks(device: DeviceEvidence) -> DeviceEvidence | SlotLooks:
        return device.slots if relay else device

    def due(device: DeviceEvidence) -> bool:
        seen = looks(device)
        if not device.member or device.state is DeviceState.VERIFIED:
            return False
        if unseen_only and (seen.before or seen.latest):
            return False
        return seen.looked_at is None or not_since is None or seen.looked_at <= not_since or just_claimed(device)

    def just_claimed(device: DeviceEvidence) -> bool:
        tried, claimed = looks(device).looked_at, device.first_claimed_at
        return claimed is not None and (tried is None or tried <= claimed)

    def urgency(device: DeviceEvidence) -> tuple[int, float, str]:
        tried = looks(device).looked_at
        rank = 0 if just_claimed(device) else 1 if tried is None else 2
        return rank, tried.timestamp() if tried else 0.0, device.device

    open_ones = sorted((d for d in evidence.devices.values() if due(d)), key=urgency)
    return tuple(d.device for d in open_ones[: max(budget, 0)])
