"""Canaries that claim success prove it over the relay, or are refuted: by RAUC's own word on the device, over real SSH,
against hawkBit at the wire, with the clock in the test's hand."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.devices import DeviceFacts
from core.errors import Unavailable
from core.ids import Channel, DeviceName, GroupId
from core.rollouts.policy import PromotionPolicy, Verification
from core.rollouts.views import Mood
from flows.rollouts.looking import RelayBudget
from flows.rollouts.slot_reader import BOOT_ID, STATUS, SlotReader
from flows.world import StackWorld, TenantWorld
from integrations.store.connection import Store
from sandbox.hawkbit.control import finish
from tests.conftest import ManualClock
from tests.scenario.rollout_lab import CHANNEL, EU1, NEW, TENANT, Lab, lab
from tests.scenario.test_rollout_flows import POLICY, Play
from tests.unit.integrations.relay_lab import RANGE, lab_of
from tests.unit.integrations.relay_lab import Lab as RelayLab

ADDRESS = "wireguard_ip"
NEXT = 3
NOBODY: Any = None
"""Of what is not asked here."""
BY_RAUC = replace(POLICY, verify=(Verification.RAUC,))


class Field:
    """`core.ports.Devices`: where the devices are, and no telemetry at all."""

    def __init__(self, relay: RelayLab) -> None:
        self.relay = relay
        self.away = False

    async def device(self, name: DeviceName, keys: Sequence[str]) -> DeviceFacts | None:
        if self.away:
            raise Unavailable("ThingsBoard does not answer.", system="ThingsBoard")
        attributes = {ADDRESS: self.relay.address(name).ip} if name in self.relay.controllers else {}
        return DeviceFacts(name, f"id-{name}", TENANT, None, True, None, {}, attributes)

    async def names(self, *, limit: int) -> Sequence[DeviceName]:
        return [DeviceName(name) for name in self.relay.controllers][:limit]


@dataclass
class Canaries:
    """A rollout over controllers behind the relay, and one bot."""

    lab: Lab
    relay: RelayLab
    play: Play
    field: Field

    @property
    def names(self) -> list[str]:
        return [target.controller_id for target in self.play.rollout.groups[0].members]

    def claim(self, names: Iterable[str]) -> None:
        """They write the other slot, and report success before they reboot."""
        for name in names:
            device = self.relay.controllers[name]
            device.other_version, device.other_slot_status, device.boot_primary = NEW, "good", "B"
            finish(self.lab.hawkbit.tenant().repo, name)

    def boot(self, names: Iterable[str], *, fall_back: bool = False) -> None:
        for name in names:
            device = self.relay.controllers[name]
            device.boot_id = str(uuid.uuid4())
            if fall_back:
                device.other_slot_status, device.boot_primary = "bad", "A"
            else:
                device.slot, device.version, device.other_version = "B", NEW, "1.4.2"
                device.installed_at = device.booted_at

    @property
    def group(self) -> GroupId:
        return GroupId(self.play.rollout.groups[0].id)

    def asked(self, name: str) -> list[tuple[str, ...]]:
        return [one.argv for one in self.relay.devices.ran if one.device == name]

    async def looks(self) -> Any:
        """One look of the bot's, half a minute later; what the rollout's message shows then."""
        await self.play.clock.forward(30.0)
        await self.play.rounds(1, devices=False)
        return await self.play.view()


@asynccontextmanager
async def canaries_of(
    store: Store, clock: ManualClock, folder: Path, policy: PromotionPolicy, *, count: int = 4, a_tick: int = 100
) -> AsyncIterator[Canaries]:
    """Canaries whose group has just started; the bot has looked at them before."""
    async with (
        lab(store, clock, policy, tick_s=2.0) as here,
        lab_of(folder, count + NEXT, called="fw-{:03}") as relay,
    ):
        field = Field(relay)
        tenant: Any = TenantWorld(TENANT, NOBODY, field, RANGE, Channel("C0A"))
        stack = StackWorld(EU1, NOBODY, NOBODY, NOBODY, relay.relay, {TENANT: tenant}, CHANNEL, ADDRESS)
        here.devices, here.slots = field, SlotReader(stack, relay.relay, clock, timeout_s=5.0)
        here.relay = RelayBudget(a_tick, 30.0)
        play = Play(here, clock, here.add_rollout("fw", (count, NEXT)))
        found = Canaries(here, relay, play, field)
        await found.looks()
        await found.looks()
        here.start(play.rollout)
        here.hawkbit.tick()
        yield found


async def test_three_of_25_canaries_fell_back_and_four_have_not_rebooted(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    """hawkBit says 100 % and would go on. We hold, name the three and the four; when the four come up it is 88 %."""
    async with canaries_of(store, clock, tmp_path, BY_RAUC, count=25) as here:
        names = here.names
        fallen, waiting, good = names[:3], names[3:7], names[7:]
        here.claim(names)
        here.lab.hawkbit.tick()
        await here.looks()
        here.boot(good)
        here.boot(fallen, fall_back=True)
        shown = await here.looks()
        bar = shown.bars[0]
        assert (here.play.rollout.status, here.play.rollout.groups[0].total) == ("paused", 25)
        assert (bar.claimed, bar.verified, bar.refuted, bar.awaiting, bar.unknown) == (25, 18, 3, 4, 0)
        assert (list(bar.refuted_names), list(bar.awaiting_names)) == (sorted(fallen), sorted(waiting))
        assert bar.awaiting_until > clock.now()
        assert "18/25 verified" in await here.play.message()
        assert "4 await a reboot until" in await here.play.message()
        assert "*Refuted* in group 1 (3)" in await here.play.message()
        here.boot(waiting)
        shown = await here.looks()
        assert (shown.bars[0].verified, shown.bars[0].refuted, shown.bars[0].awaiting) == (22, 3, 0)
        assert shown.mood is Mood.FAILED
        assert "95 % can no longer be reached: at best 22 of 25 (88 %)" in shown.reasons
        await here.looks()
        assert here.play.started == [1], "nothing was promoted"
        assert "on hold by" in " ".join((await here.looks()).reasons)


async def test_all_canaries_that_boot_the_new_slot_are_promoted(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    async with canaries_of(store, clock, tmp_path, BY_RAUC) as here:
        here.claim(here.names)
        here.lab.hawkbit.tick()
        await here.looks()
        here.boot(here.names)
        shown = await here.looks()
        assert (shown.bars[0].verified, shown.bars[0].total) == (4, 4)
        for _ in range(3):
            await here.looks()
        assert here.play.started == [1, 2]
        assert set(here.asked(here.names[0])) == {BOOT_ID, STATUS}


async def test_a_device_that_is_not_reached_proves_nothing_and_keeps_nobody_from_being_asked(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    async with canaries_of(store, clock, tmp_path, BY_RAUC, a_tick=2) as here:
        for _ in range(2):
            await here.looks()
        away, odd = here.names[:2]
        here.claim(here.names)
        here.lab.hawkbit.tick()
        here.relay.devices.switches(away).link = "refused"
        here.relay.devices.switches(odd).command = "noise"
        for _ in range(4):
            await here.looks()
        here.boot(here.names)
        for _ in range(4):
            await here.looks()
        shown = await here.play.view()
        assert (shown.bars[0].verified, shown.bars[0].awaiting) == (2, 2)
        assert list(shown.bars[0].awaiting_names) == sorted([away, odd])
        await here.play.clock.forward(POLICY.reboot_deadline_s)
        shown = await here.looks()
        assert list(shown.bars[0].unknown_names) == sorted([away, odd])
        assert here.play.started == [1]
        here.relay.devices.reset(away)
        here.relay.devices.reset(odd)
        for _ in range(3):
            shown = await here.looks()
        assert shown.bars[0].verified == 4, "reached at last: it is proven"


async def test_both_say_nothing_as_long_as_one_of_them_is_silent(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    both = replace(POLICY, verify=(Verification.BOTH,))
    async with canaries_of(store, clock, tmp_path, both) as here:
        here.claim(here.names)
        here.lab.hawkbit.tick()
        await here.looks()
        here.boot(here.names)
        shown = await here.looks()
        assert (shown.bars[0].verified, shown.bars[0].awaiting) == (0, 4)
        record = await here.play.bot.ledger.records.evidence(EU1, here.play.id, here.group)
        assert all("; RAUC: runs 2.0.0" in device.why for device in record.devices.values())


async def test_claims_that_policy_takes_for_proof_promote_with_a_warning_and_are_never_called_verified(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    claimed = replace(POLICY, verify=(Verification.CLAIMED,))
    async with canaries_of(store, clock, tmp_path, claimed) as here:
        here.claim(here.names)
        here.lab.hawkbit.tick()
        for _ in range(4):
            await here.looks()
        assert here.play.started == [1, 2]
        assert not here.relay.devices.ran
        message = await here.play.message()
        assert "By policy hawkBit's claims count in group 1" in message
        assert "4/4 claimed" in message
        assert "4/4 verified" not in message


async def test_no_more_devices_are_asked_in_a_tick_than_the_relay_may_carry_and_none_again_at_once(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    async with canaries_of(store, clock, tmp_path, BY_RAUC, count=6, a_tick=3) as here:
        for _ in range(2):
            await here.looks()
        here.claim(here.names)
        here.lab.hawkbit.tick()
        # Time stands still in a tick here, so what is seen in the first one may be from before the claim: once more.
        for asked in (3, 3, 3, 0):
            here.relay.devices.ran.clear()
            await here.play.rounds(1, devices=False)
            assert len({one.device for one in here.relay.devices.ran} & set(here.names)) == asked
