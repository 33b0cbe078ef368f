"""What a device's telemetry proves about its update.

A device's clock may be wrong, so its times are compared only among its own readings and with the moments at which we
ourselves looked; where two clocks must meet, the stricter answer holds. Being wrong here must always end in `unknown`,
never in `verified`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from core.devices import Reading
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState


def judge_telemetry(
    device: DeviceEvidence, wanted: str, policy: PromotionPolicy, *, overdue: bool
) -> tuple[DeviceState, str]:
    """The state of a device with a claim, and why in words."""
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
