"""What goes on in the other systems now, of which a backup cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bot.acting import without_relays
from bot.adapters import build_adapters
from bot.secrets import SecretMissing
from bot.settings import Settings
from core.errors import OutsideError
from core.ids import AlarmId, RolloutId, Stack, Tenant
from core.ports import Clock
from flows.world import StackWorld, TenantWorld

PATIENCE_S = 60.0


@dataclass(slots=True)
class Present:
    """`rollouts` go on in hawkBit, by id with their names; `alarms` are active in ThingsBoard. `unasked` says which
    systems did not answer, and why."""

    rollouts: dict[Stack, dict[RolloutId, str]] = field(default_factory=dict)
    alarms: dict[tuple[Stack, Tenant], Sequence[AlarmId]] = field(default_factory=dict)
    unasked: list[str] = field(default_factory=list)


async def ask(settings: Settings, clock: Clock) -> Present:
    """Every hawkBit and every tenant's ThingsBoard. Changes nothing there."""
    present = Present()
    async with AsyncExitStack() as stack:
        adapters = await build_adapters(without_relays(settings), clock, stack)
        async with asyncio.TaskGroup() as tasks:
            for world in adapters.stacks:
                tasks.create_task(_rollouts(present, world))
                for tenant in world.tenants.values():
                    tasks.create_task(_alarms(present, world, tenant))
    return present


async def _rollouts(present: Present, world: StackWorld) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            present.rollouts[world.name] = {facts.id: facts.name for facts in await world.rollouts.active()}
    except (OutsideError, SecretMissing) as error:
        present.unasked.append(str(error))
    except TimeoutError:
        present.unasked.append(f"hawkBit {world.name} did not answer within {PATIENCE_S:g} s.")


async def _alarms(present: Present, world: StackWorld, tenant: TenantWorld) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            listed = await tenant.alarms.active()
            present.alarms[(world.name, tenant.id)] = [report.alarm_id for report in listed]
    except (OutsideError, SecretMissing) as error:
        present.unasked.append(str(error))
    except TimeoutError:
        present.unasked.append(f"ThingsBoard {world.name}/{tenant.id} did not answer within {PATIENCE_S:g} s.")
