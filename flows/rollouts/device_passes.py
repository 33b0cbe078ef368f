"""One pass over the devices of what was begun: read how far it is, send what is missing, read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from core.devices import DeviceFacts
from core.errors import NotAllowed, NotFound, OutsideError, Refused
from core.ids import DeviceName
from core.messages.fold import fold
from core.messages.text import count
from core.rollouts.exclusion import without_excluded
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import RolloutRecord
from core.rollouts.release import OpenAction
from core.rollouts.stuck import CANCELING
from core.rollouts.work import DeviceWork, WorkKind
from flows.rollouts.ledger import Held
from flows.rollouts.site import Site
from integrations.store.leases import LeaseLost

_AT_ONCE = 8
_PER_PASS = 400
_NAMES = 160
_FOR_GOOD = (Refused, NotAllowed, NotFound)
"""hawkBit understood and said no: no repeat mends it."""

Failures: TypeAlias = Mapping[DeviceName, OutsideError]


@dataclass(frozen=True, slots=True)
class Pass:
    """`said` in words what is done; `left` how many are still to be done; `why` what kept some of them from it.
    `nothing` where none could be done, and none is left."""

    record: RolloutRecord
    said: str
    left: int = 0
    why: str = ""
    nothing: bool = False


async def _exclude(held: Held, site: Site, record: RolloutRecord, work: DeviceWork) -> Pass:
    """Cancel, then end by force. A device that was done on its own meanwhile is counted again."""
    assert work.group is not None
    rollout, group = record.rollout, work.group
    open_now = {one.id: one for one in await site.actions.open(rollout, group)}
    todo = [open_now[one.action] for one in work.devices if one.action in open_now]

    async def end(action: OpenAction) -> None:
        if action.status != CANCELING:
            await site.actions.cancel(action.device, action.id)
        await site.actions.quit(action.device, action.id)

    failed = await _each(held, todo[:_PER_PASS], end)
    still = {one.id for one in await site.actions.open(rollout, group)} if todo else set[int]()
    cancelled = await site.actions.cancelled(rollout, group)
    hopeless = _hopeless(failed)
    waits = [one.device for one in work.devices if one.action in still and one.device not in hopeless]
    over = [one.device for one in work.devices if one.action not in still]
    out = [name for name in over if name in cancelled]
    done = [name for name in over if name not in cancelled]
    record = without_excluded(record, group, [*done, *hopeless])
    said = f"{_devices(out)} excluded." if out else "No device was excluded."
    if done:
        said += (
            f" {_devices(done)} ended on its own meanwhile, and counts."
            if len(done) == 1
            else (f" {_devices(done)} ended on their own meanwhile, and count.")
        )
    return Pass(record, said, len(waits), _why(failed), nothing=not out and not done)


async def _cancel(held: Held, site: Site, record: RolloutRecord, work: DeviceWork) -> Pass:
    """Ask each; the devices confirm at their next poll."""
    meant = {one.action for one in work.devices}

    async def going_on() -> list[OpenAction]:
        found = await site.actions.open(record.rollout)
        return [one for one in found if one.status != CANCELING and (not meant or one.id in meant)]

    todo = await going_on()
    failed = await _each(held, todo[:_PER_PASS], lambda one: site.actions.cancel(one.device, one.id))
    hopeless = _hopeless(failed)
    left = [one for one in await going_on() if one.device not in hopeless] if todo else []
    asked = work.total - len(left) - len(hopeless)
    said = f"{count(max(asked, 0), 'open install')} cancelled: each device confirms at its next poll."
    return Pass(record, said, len(left), _why(failed), nothing=bool(hopeless) and asked <= 0)


async def _quit(held: Held, site: Site, record: RolloutRecord, work: DeviceWork) -> Pass:
    return await _on_actions(
        held, site, record, work, "ended by force", lambda one: site.actions.quit(one.device, one.id), lambda one: True
    )


async def _force(held: Held, site: Site, record: RolloutRecord, work: DeviceWork) -> Pass:
    return await _on_actions(
        held,
        site,
        record,
        work,
        "forced: it needs nobody to agree any more",
        lambda one: site.actions.force(one.device, one.id),
        lambda one: not one.forced,
    )


async def _on_actions(
    held: Held,
    site: Site,
    record: RolloutRecord,
    work: DeviceWork,
    what: str,
    act: Callable[[OpenAction], Awaitable[None]],
    needs: Callable[[OpenAction], bool],
) -> Pass:
    meant = {one.action for one in work.devices}

    async def missing() -> list[OpenAction]:
        return [one for one in await site.actions.open(record.rollout) if one.id in meant and needs(one)]

    todo = await missing()
    failed = await _each(held, todo[:_PER_PASS], act)
    hopeless = _hopeless(failed)
    left = [one for one in await missing() if one.device not in hopeless] if todo else []
    done = work.total - len(left) - len(hopeless)
    return Pass(record, f"{count(done, 'install')} {what}.", len(left), _why(failed), nothing=done <= 0 and not left)


async def _catch_up(held: Held, site: Site, record: RolloutRecord, work: DeviceWork) -> Pass:
    """Bring the set; one that runs it already, by its own word, is only told to hawkBit. Assigning what is assigned
    does nothing, so a pass may be repeated."""
    facts = await site.rollouts.rollout(record.rollout)
    if facts is None:
        return Pass(record, "The rollout does not exist in hawkBit any more, so nothing was assigned.", nothing=True)
    wanted, policy = await site.wanted(facts.set_id), site.policy_of(facts, record)
    names = [one.device for one in work.devices]
    seen = {one.device: one for one in await site.actions.targets(names)}
    todo = [name for name in names if name in seen and seen[name].update_status != "pending"]
    new = [name for name in todo if await _runs(site, policy, name, wanted.version)]
    old = [name for name in todo if name not in new]
    if not await held.renew():
        raise LeaseLost
    try:
        if new:
            await site.actions.assign_many(wanted.id, new, offline=True)
        if old:
            await site.actions.assign_many(wanted.id, old)
    except _FOR_GOOD as error:
        return Pass(record, "Nothing was assigned.", why=f" {error.user_text}", nothing=True)
    said = [f"{wanted} is assigned to {_devices(old)} again; each installs it at its next poll."] if old else []
    said += [f"hawkBit was told that {_devices(new)} run it already."] if new else []
    return Pass(record, " ".join(said) or "Nothing was left to do.")


passes: Mapping[WorkKind, Callable[[Held, Site, RolloutRecord, DeviceWork], Awaitable[Pass]]] = {
    WorkKind.EXCLUDE: _exclude,
    WorkKind.CANCEL: _cancel,
    WorkKind.QUIT: _quit,
    WorkKind.FORCE: _force,
    WorkKind.CATCH_UP: _catch_up,
}


async def _each(held: Held, actions: Sequence[OpenAction], act: Callable[[OpenAction], Awaitable[None]]) -> Failures:
    """Do it to each, some at a time, for as long as the rollout is ours. What failed, by device; after a refusal of the
    account itself no more is tried."""
    failed: dict[DeviceName, OutsideError] = {}
    for at in range(0, len(actions), _AT_ONCE):
        if not await held.renew():
            raise LeaseLost
        part = actions[at : at + _AT_ONCE]
        for action, result in zip(part, await asyncio.gather(*map(act, part), return_exceptions=True), strict=True):
            if isinstance(result, OutsideError):
                failed[action.device] = result
            elif isinstance(result, BaseException):
                raise result
        refused = next((error for error in failed.values() if isinstance(error, NotAllowed)), None)
        if refused is not None:
            return {**failed, **{one.device: refused for one in actions[at + _AT_ONCE :]}}
    return failed


async def _runs(site: Site, policy: PromotionPolicy, name: DeviceName, version: str) -> bool:
    """By the device's own word, and of one tenant's device alone."""
    key = policy.keys.version
    found: list[DeviceFacts] = []
    for devices in site.devices.values():
        if (facts := await devices.device(name, (key,))) is not None:
            found.append(facts)
    said = found[0].readings.get(key) if len(found) == 1 else None
    return said is not None and policy.same_version(said.value, version)


def _hopeless(failed: Failures) -> frozenset[DeviceName]:
    return frozenset(name for name, error in failed.items() if isinstance(error, _FOR_GOOD))


def _why(failed: Failures) -> str:
    error = next(iter(failed.values()), None)
    return "" if error is None else f" {error.user_text}"


def _devices(names: Collection[DeviceName]) -> str:
    """ "2 devices (gw-[001,007])". Plain text with foreign names in it."""
    found = fold(names, _NAMES)
    more = f" and {found.more} more" if found.more and found.text else ""
    return f"{count(len(names), 'device')} ({found.text}{more})" if found.text else count(len(names), "device")
