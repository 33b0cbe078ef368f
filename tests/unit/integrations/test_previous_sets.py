"""What devices had before a rollout is noted once, and stays as it was noted first."""

from __future__ import annotations

from core.ids import DeviceName, RolloutId, Stack
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.previous_sets import FAMILIES, KEPT_S, PreviousSets
from tests.conftest import ManualClock

EU1, ID = Stack("eu1"), RolloutId(17)
GW1, GW2 = DeviceName("gw-1"), DeviceName("gw-2")


async def keep(store: Store, clock: ManualClock, sets: dict[DeviceName, str]) -> None:
    async with Leases(store, clock).hold("rollout:eu1/17", 10) as lease:
        assert lease is not None
        await lease.commit(PreviousSets(store).keep(EU1, ID, sets))


async def test_what_was_noted_first_stays_and_later_ones_are_added(store: Store, clock: ManualClock) -> None:
    previous = PreviousSets(store)
    assert await previous.of(EU1, ID) == {}
    await keep(store, clock, {GW1: "FW:1.0.0"})
    await keep(store, clock, {GW1: "FW:2.0.0", GW2: "FW:1.1.0"})
    assert await previous.of(EU1, ID) == {GW1: "FW:1.0.0", GW2: "FW:1.1.0"}
    assert await store.ttl("cdm:previous:eu1/17") <= (FAMILIES[0].retention_s or 0) == KEPT_S
    assert await previous.of(EU1, RolloutId(18)) == {}


async def test_that_no_device_had_a_set_is_noted_too(store: Store, clock: ManualClock) -> None:
    assert not await PreviousSets(store).noted(EU1, ID)
    await keep(store, clock, {})
    assert await PreviousSets(store).noted(EU1, ID)
    assert await PreviousSets(store).of(EU1, ID) == {}


async def test_twenty_thousand_devices_are_kept_in_one_commit(store: Store, clock: ManualClock) -> None:
    sets = {DeviceName(f"gw-{n:05}"): "FW:1.0.0" for n in range(20_000)}
    await keep(store, clock, sets)
    assert len(await PreviousSets(store).of(EU1, ID)) == 20_000
