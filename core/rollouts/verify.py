"""Is the device really running the new version? hawkBit's "finished" is a claim: it comes before the reboot.

`verified` needs, seen after WE first saw the claim: the wanted version, and a new boot. A device's clock may be wrong,
so its times are compared only among its own readings and with the moments at which we ourselves looked; where two
clocks must meet, the stricter answer holds. Being wrong here must always end in `unknown`, never in `verified`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.devices import Reading
from core.ids import DeviceName
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, GroupEvidence, Look


@dataclass(frozen=True, slots=True)
class Tally:
    """Devices of a group by state. `total` is the denominator: every device ever seen in it, less excluded ones.
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
            devices[name] = replace(device, state=DeviceState.CLAIMED, first_claimed_at=now, latest=None)
        elif name not in claims and known:
            devices[name] = replace(
                DeviceEvidence(name), member=device.member, looked_at=device.looked_at, tenant=device.tenant
            )
        elif not known and device.latest is not None:
            devices[name] = replace(device, before=device.latest, latest=None)
    return replace(evidence, devices=devices, claims_read_at=now)


def note_look(device: DeviceEvidence, look: Look) -> DeviceEvidence:
    """One look kept where it belongs: the first after the claim, or the newest. Any order of looks gives the same."""
    device = replace(device, looked_at=max(filter(None, (device.looked_at, look.read_at))))
    mark, latest = device.mark, device.latest
    if device.first_claimed_at is None:
        return replace(device, latest=look) if latest is None or latest.read_at < look.read_at else device
    if look.read_at <= device.first_claimed_at:
        return device  # taken before or after the real claim: nobody can say, so it proves nothing
    if mark is None:
        return replace(device, mark=look)
    if look.read_at < mark.read_at:
        return replace(device, mark=look, latest=latest or mark)
    if look.read_at > (latest or mark).read_at:
        return replace(device, latest=look)
    return device


def judge(device: DeviceEvidence, wanted: str, policy: PromotionPolicy, now: datetime) -> DeviceEvidence:
    """The device with its state, and why in words. `verified` stays as long as the claim stands."""
    if device.state is DeviceState.VERIFIED:
        return device
    state, why = _state(device, wanted, policy, now)
    return replace(device, state=state, why=why)


def tally(evidence: GroupEvidence, excluded: Iterable[DeviceName] = ()) -> Tally:
    out = frozenset(excluded)
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
        awaiting=having(DeviceState.CLAIMED, DeviceState.AWAITING_REBOOT),
        refuted=having(DeviceState.REFUTED),
        unknown=having(DeviceState.UNKNOWN),
    )


def seen_before(evidence: GroupEvidence) -> int:
    """How many devices of a group that has not started were surely seen before their claim."""
    return sum(d.member and d.before is not None for d in evidence.devices.values())


def next_looks(evidence: GroupEvidence, budget: int) -> tuple[DeviceName, ...]:
    """Which devices to look at now, at most `budget`: first those just claimed (their mark dates all later proof), then
    those never seen before their claim (so that a new boot can be told), then the longest unseen. A verified device is
    not looked at again.
    """
    open_ones = [d for d in evidence.devices.values() if d.member and d.state is not DeviceState.VERIFIED]

    def urgency(device: DeviceEvidence) -> tuple[int, float, str]:
        if device.first_claimed_at is not None and device.mark is None:
            rank = 0
        elif device.first_claimed_at is None and device.before is None and device.latest is None:
            rank = 1
        else:
            rank = 2
        seen = device.looked_at.timestamp() if device.looked_at else 0.0
        return rank, seen, device.device

    return tuple(d.device for d in sorted(open_ones, key=urgency)[: max(budget, 0)])


def _state(device: DeviceEvidence, wanted: str, policy: PromotionPolicy, now: datetime) -> tuple[DeviceState, str]:
    claimed = device.first_claimed_at
    if claimed is None:
        return DeviceState.PENDING, ""
    overdue = now > claimed + timedelta(seconds=policy.reboot_deadline_s)
    if device.mark is None:
        return (DeviceState.UNKNOWN, "never seen since the claim") if overdue else (DeviceState.CLAIMED, "")
    keys = policy.keys
    version = _fresh(device, keys.version)
    slot = _fresh(device, keys.slot)
    boot = _new_boot(device, policy)
    if version is not None and boot:
        if policy.same_version(version.value, wanted):
            if slot is not None and boot != "slot" and _same_as_before(device, keys.slot, slot):
                return DeviceState.UNKNOWN, f"reports {version.value} in a new boot, but from the old slot {slot.value}"
            return DeviceState.VERIFIED, f"{version.value} after a new boot ({boot})"
        old = _earlier(device, keys.version)
        if old is not None and policy.same_version(version.value, old.value):
            return DeviceState.REFUTED, f"new boot ({boot}), still {version.value}"
        return DeviceState.UNKNOWN, f"new boot, but reports {version.value}, neither the old version nor {wanted}"
    if boot and slot is not None and boot != "slot" and _same_as_before(device, keys.slot, slot):
        return DeviceState.REFUTED, f"new boot ({boot}), still in the old slot {slot.value}"
    if overdue:
        missing = "no version since the claim" if version is None else "nothing proves a new boot"
        return DeviceState.UNKNOWN, missing
    return DeviceState.AWAITING_REBOOT, "no new boot seen yet" if not boot else "no version since the new boot yet"


def _new_boot(device: DeviceEvidence, policy: PromotionPolicy) -> str:
    """What proves a boot after the claim, "" where nothing does."""
    keys = policy.keys
    now = _now(device)
    boot, ref = now.get(keys.boot_id), _earlier(device, keys.boot_id)
    if boot and ref and boot.value != ref.value and boot.at > ref.at:
        return "boot id"
    slot, ref = _fresh(device, keys.slot), _earlier(device, keys.slot)
    if slot and ref and slot.value != ref.value:
        return "slot"
    if _booted_since(device, keys.uptime_s):
        return "uptime"
    return ""


def _booted_since(device: DeviceEvidence, key: str) -> bool:
    """(time of the reading - uptime) lies after the claim, also if the device's clock runs ahead of ours as far as any
    of its readings shows, and after the boot seen before the claim."""
    reading = _fresh(device, key)
    uptime = _seconds(reading)
    if reading is None or uptime is None or device.first_claimed_at is None:
        return False
    booted = reading.at - uptime
    if booted - _ahead(device) <= device.first_claimed_at:
        return False
    old = device.before.readings.get(key) if device.before else None
    old_uptime = _seconds(old)
    return old is None or old_uptime is None or booted > old.at - old_uptime + timedelta(seconds=5)


def _ahead(device: DeviceEvidence) -> timedelta:
    """By how much the device's clock is provably ahead: a reading from our future cannot be."""
    looks = [look for look in (device.before, device.mark, device.latest) if look is not None]
    leads = [r.at - look.read_at for look in looks for r in look.readings.values()]
    return max([timedelta(0), *leads])


def _now(device: DeviceEvidence) -> Mapping[str, Reading]:
    look = device.latest or device.mark
    return look.readings if look else {}


def _earlier(device: DeviceEvidence, key: str) -> Reading | None:
    """The value last seen before the claim; if we never looked then, the first seen after it."""
    for look in (device.before, device.mark):
        if look is not None and key in look.readings:
            return look.readings[key]
    return None


def _fresh(device: DeviceEvidence, key: str) -> Reading | None:
    """The reading, if it is newer than our first sight of the claim: by our clock, and newer than the device's own
    reading that we saw at the mark (its clock may run ahead)."""
    reading = _now(device).get(key)
    if reading is None or device.first_claimed_at is None or reading.at <= device.first_claimed_at:
        return None
    marked = device.mark.readings.get(key) if device.mark else None
    if device.latest is None or (marked is not None and reading.at <= marked.at):
        return None
    return reading


def _same_as_before(device: DeviceEvidence, key: str, reading: Reading) -> bool:
    old = device.before.readings.get(key) if device.before else None
    return old is not None and old.value == reading.value


def _seconds(reading: Reading | None) -> timedelta | None:
    if reading is None:
        return None
    try:
        return timedelta(seconds=float(reading.value))
    except (ValueError, OverflowError):
        return None
