"""Rebooting devices into what they installed: an act that a second person agrees to, bound to the devices it names.

What is agreed is written into the rollout's record, and carried on from there by whichever process is at it
(`flows.rollouts.reboot_runs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import orjson

from core.access import Action
from core.approvals import Order
from core.errors import NotFound, Refused
from core.evidence import Evidence
from core.ids import DeviceName, RolloutId, Stack, Tenant
from core.messages.rollout import REBOOT
from core.messages.text import count, plain
from core.rollouts.actors import Actor
from core.rollouts.policy import PromotionPolicy
from core.rollouts.reboot import Reboot, Step
from core.rollouts.records import RolloutRecord
from core.rollouts.verify import to_reboot
from flows.rollouts.ledger import Ledger, object_of
from flows.rollouts.promote import StillAllowed
from flows.rollouts.reboot_runs import shown, started_evidence
from flows.rollouts.site import Site
from flows.world import World
from integrations.store.audit import Line
from integrations.store.reboots import Reboots

MOST = 100
"""So many devices by one order: who agrees to it can still read which they are."""
LASTS = timedelta(minutes=30)


class RebootActs:
    """`flows.acts.Acts` of this one verb."""

    needs: Mapping[str, Action] = {REBOOT: Action.RUN_CHANGE_MANY}

    def __init__(self, *, world: World, sites: Mapping[Stack, Site], ledger: Ledger, under_way: Reboots) -> None:
        self._world = world
        self._sites = sites
        self._ledger = ledger
        self._under_way = under_way

    async def ordered(self, value: str) -> Order:
        """Of "reboot:<stack>/<rollout>"."""
        stack_name, _, number = value.partition(":")[2].partition("/")
        if not stack_name or not number.isdecimal():
            raise Refused("This does not say which rollout it means. Nothing was done.")
        stack, rollout = self._world.stack(stack_name), RolloutId(int(number))
        facts = await stack.rollouts.rollout(rollout)
        if facts is None:
            raise NotFound("This rollout does not exist in hawkBit any more.")
        return Order(
            action=self.needs[REBOOT],
            object=object_of(stack.name, rollout),
            title=f"Reboot devices of {plain(facts.name, 80)} on {plain(stack.name, 40)}",
            params={"verb": REBOOT, "stack": stack.name, "rollout": number},
            stack=stack.name,
            tenants=await self._world.tenants_of(stack, facts),
            channel=stack.channel,
        )

    async def settled(self, order: Order) -> Order:
        """With the devices that wait for a reboot now, in an open window of their tenant. Raises Refused."""
        site, rollout = self._place(order)
        if site.slots is None:
            raise Refused(f"Stack {site.stack} has no relay in cdm.yaml, so no command reaches its devices.")
        record = await self._ledger.records.record(site.stack, rollout)
        waiting = await self._waiting(site, record)
        if not waiting:
            raise Refused("No device of this rollout waits for a reboot. Nothing was done.")
        policy, now = site.policies.of(record.name, record.policy), self._ledger.clock.now()
        names = [name for name, tenant in sorted(waiting.items()) if _open_until(policy, tenant, now) > now][:MOST]
        if not names:
            raise Refused(f"{_opening(policy, waiting.values(), now)} Nothing was done.")
        title = order.title.replace("Reboot devices", f"Reboot {count(len(names), 'device')}", 1)
        params = {**order.params, "devices": orjson.dumps(names).decode()}
        return replace(order, title=title, params=params, devices=len(names))

    def value(self, order: Order) -> str:
        return f"{REBOOT}:{order.params['stack']}/{order.params['rollout']}"

    async def evidence(self, order: Order) -> Evidence:
        site, rollout = self._place(order)
        facts = await site.rollouts.rollout(rollout)
        if facts is None:
            raise NotFound("This rollout does not exist in hawkBit any more.", system=f"hawkBit {site.stack}")
        return Evidence(
            {
                "rollout": f"{facts.name} ({site.stack}/{rollout})",
                "set": str(await site.wanted(facts.set_id)),
                "devices to reboot": _names(order),
            }
        )

    async def carry_out(
        self,
        order: Order,
        by: Actor,
        reason: str = "",
        *,
        still_allowed: StillAllowed = None,
        agreed: Evidence | None = None,
    ) -> tuple[bool, str]:
        """Write the order down. The same agreement twice is one order: `reason` names it."""
        site, rollout = self._place(order)
        ledger, now = self._ledger, self._ledger.clock.now()
        id = hashlib.sha256(f"{order.key}|{by.subject}|{reason}".encode()).hexdigest()[:16]
        async with ledger.held(site, rollout, wait_s=site.policy.lease_s + 1) as held:
            if held is None:
                return False, "Somebody else is acting on this rollout. Try again in a moment."
            if still_allowed is not None:
                by = replace(by, rights_at=await still_allowed())
            record = await ledger.records.record(site.stack, rollout)
            before = record.reboot
            if before is not None and before.id == id:
                return True, "It was begun before; its message in the rollout's thread tells each device's outcome."
            if before is not None and not before.over:
                return False, "Other devices of this rollout are being rebooted. Nothing was done; wait for their end."
            policy = site.policies.of(record.name, record.policy)
            waiting = await self._waiting(site, record)
            steps = tuple(Step(name, waiting[name]) for name in map(DeviceName, _names(order)) if name in waiting)
            until = min((_open_until(policy, step.tenant, now) for step in steps), default=now)
            if until <= now:
                return False, f"{_opening(policy, waiting.values(), now)} Nothing was done."
            until = min(until, now + LASTS)
            wanted = Reboot(id, by, reason, now, until, steps)
            said = {**by.audit(), **record.concerned(by), "devices": [step.device for step in steps], "reason": reason}
            intent = Line("intent", by.subject, REBOOT, object_of(site.stack, rollout), said)
            commands = [self._under_way.begin(site.stack, rollout), *shown(ledger, site, record, wanted)]
            await ledger.write_down(
                held, site, intent, lambda ref: replace(record, reboot=replace(wanted, ref=ref)), commands
            )
        return (
            True,
            f"{count(len(steps), 'device')} rebooted one after another; the rollout's thread tells each outcome.",
        )

    def _place(self, order: Order) -> tuple[Site, RolloutId]:
        return self._sites[order.stack], RolloutId(int(order.params["rollout"]))

    async def _waiting(self, site: Site, record: RolloutRecord) -> Mapping[DeviceName, Tenant]:
        return to_reboot(await started_evidence(self._ledger, site, record.rollout), record.excluded)


def _names(order: Order) -> tuple[str, ...]:
    return tuple(orjson.loads(order.params["devices"]))


def _open_until(policy: PromotionPolicy, tenant: Tenant, now: datetime) -> datetime:
    """Until when that tenant's devices may be rebooted; `now` where they may not."""
    windows = policy.reboot_windows.get(tenant)
    if not windows:
        return now + LASTS
    window = windows.covers(now)
    return now if window is None else window.until or now + LASTS


def _opening(policy: PromotionPolicy, tenants: Iterable[Tenant], now: datetime) -> str:
    """When the first of these tenants' windows opens."""
    windows = [policy.reboot_windows[t] for t in set(tenants) if t in policy.reboot_windows]
    opens = min((w.opens_at for one in windows if (w := one.next_opening(now)) is not None), default=None)
    when = f"the next one opens {opens:%Y-%m-%d %H:%M} UTC" if opens is not None else "there is none to come"
    return f"No device may be rebooted now: the reboot window is closed; {when}."
