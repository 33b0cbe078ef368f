"""What RAUC itself proves about a device's update: asked on the device, over the relay.

These looks carry our own clock alone. Being wrong here must always end in `unknown`, never in `verified`.
"""

from __future__ import annotations

from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import DeviceEvidence, DeviceState, SlotLook


def judge_slots(
    device: DeviceEvidence, wanted: str, policy: PromotionPolicy, *, overdue: bool
) -> tuple[DeviceState, str]:
    """The state of a device with a claim, and why in words. RAUC knows a version only of a slot that it wrote itself;
    one that was flashed in the factory has none."""
    looks = device.slots
    if looks.mark is None:
        if overdue:
            return DeviceState.UNKNOWN, "never reached over the relay since the claim"
        return DeviceState.CLAIMED, ""
    seen, old = looks.latest or looks.mark, looks.before or looks.mark
    booted = seen.boot_id != old.boot_id
    right = _is(seen.version, wanted, policy)
    if booted and right and looks.before is not None and seen.slot == looks.before.slot:
        return DeviceState.UNKNOWN, f"runs {seen.version} after a new boot, but from the old slot {seen.slot}"
    if booted and right and seen.status == "good":
        return DeviceState.VERIFIED, f"runs {seen.version} from slot {seen.slot}, marked good, after a new boot"
    if not right and seen.slot == old.slot and _was_refused_its_boot(seen, old, looks.mark):
        return DeviceState.REFUTED, f"new boot, still in the old slot {seen.slot}"
    if _refused(seen, wanted, policy) and (booted or _not_yet_refused(looks.before, wanted, policy)):
        return DeviceState.REFUTED, f"the slot with {wanted} is marked bad; it runs slot {seen.slot}"
    if booted and not right and seen.slot != old.slot:
        version = seen.version or "a version that RAUC does not know"
        return DeviceState.UNKNOWN, f"new boot into slot {seen.slot}, but it holds {version}, not {wanted}"
    waits = f"slot {seen.slot} is not marked good yet" if booted and right else "no new boot seen yet"
    return (DeviceState.UNKNOWN if overdue else DeviceState.AWAITING_REBOOT), waits


def _was_refused_its_boot(seen: SlotLook, old: SlotLook, mark: SlotLook) -> bool:
    """It booted after the claim and came up as before. A new boot since the look before the claim alone may have come
    before the claim too: then the new slot is still the one to boot next."""
    return seen.boot_id != mark.boot_id or (seen.boot_id != old.boot_id and seen.primary == seen.slot)


def _is(version: str | None, wanted: str, policy: PromotionPolicy) -> bool:
    return version is not None and policy.same_version(version, wanted)


def _refused(look: SlotLook, wanted: str, policy: PromotionPolicy) -> bool:
    """The device does not boot what was installed: not from the slot it runs, and another one with it is bad."""
    return not _is(look.version, wanted, policy) and any(_is(version, wanted, policy) for version in look.bad)


def _not_yet_refused(before: SlotLook | None, wanted: str, policy: PromotionPolicy) -> bool:
    """An earlier try of the same version may have left the mark: then it proves nothing about this one."""
    return before is not None and not any(_is(version, wanted, policy) for version in before.bad)
