"""Redeploy: bring the set of the device's newest action to it again, and never call a silent no-op a success."""

from __future__ import annotations

from core.errors import Conflict, NotFound, Refused
from core.rollouts.facts import DistributionSet
from flows.world import Found


async def redeploy(found: Found) -> str:
    """What was done, in words. Raises OutsideError with the reason where nothing was.

    hawkBit answers 200 to an assignment that does nothing: when the set is already assigned, also for a device that
    claims a version which it fell back from (measured on hawkBit 1.1.0). Such a device must first be told to hawkBit as
    what it really runs, by an offline assignment of that set; then the wanted one makes a new action.
    """
    rollouts, device = found.stack.rollouts, found.facts.name
    newest = next(iter(await rollouts.actions(device)), None)
    if newest is None:
        raise NotFound(f"hawkBit has no action for {device}, so there is nothing to redeploy.")
    if newest.active:
        raise Conflict(
            f"Action {newest.id} ({newest.set_name}) is still open on {device}: it will be installed when the device "
            "polls. Nothing was assigned."
        )
    target = await rollouts.target(device)
    wanted = newest.set
    if target is None or wanted is None:
        raise NotFound(f"hawkBit does not know {device}, or the set of its newest action was deleted.")
    if not wanted.valid:
        raise Refused(f"{wanted} was invalidated in hawkBit and cannot be deployed any more. Deploy a corrected set.")
    if await rollouts.assign(device, wanted.id):
        return f"{wanted} is assigned again; the device installs it at its next poll."
    return await _after_fallback(found, wanted)


async def _after_fallback(found: Found, wanted: DistributionSet) -> str:
    """hawkBit believes that the device has the set. Only the device's own word may overrule that."""
    rollouts, device = found.stack.rollouts, found.facts.name
    fresh = await found.tenant.devices.device(device, ("sw_version", "ota_status"))
    readings = fresh.readings if fresh else {}
    running, status = readings.get("sw_version"), readings.get("ota_status")
    if running is None:
        raise Refused(
            f"hawkBit says that {device} has {wanted} already, and the device sends no sw_version that says "
            "otherwise. Nothing was assigned."
        )
    if running.value == wanted.version:
        raise Refused(f"{device} runs {wanted.version} already, by its own word too. Nothing was assigned.")
    if status is None or status.value != "failure":
        raise Refused(
            f"{device} has {wanted} installed by hawkBit's word and still runs {running.value}, but reports no "
            "failure: it may only be waiting for its reboot. Nothing was assigned."
        )
    real = await rollouts.set_by_version(wanted.name, running.value)
    if real is None:
        raise Refused(
            f"hawkBit says that {device} has {wanted}, the device says {running.value}, and hawkBit has no set "
            f"{wanted.name}:{running.value} to put that right with. Create it, or assign another set."
        )
    await rollouts.assign(device, real.id, offline=True)
    if not await rollouts.assign(device, wanted.id):
        raise Conflict(f"hawkBit still says that {device} has {wanted}; nothing was started. Look at it in hawkBit.")
    return (
        f"hawkBit took {device} for {wanted.version}, but it runs {running.value}. hawkBit was told so, and {wanted} "
        "is assigned again; the device installs it at its next poll."
    )
