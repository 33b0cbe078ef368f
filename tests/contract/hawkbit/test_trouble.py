"""Both kinds of 429, and a hawkBit that goes away and comes back, as the bot's own adapter meets them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.errors import OutcomeUnknown, RateLimited, Refused, Unavailable
from core.ids import DeviceName, RolloutId
from core.rollouts.release import GroupWish, RolloutWish
from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitRollouts
from sandbox.hawkbit import HawkbitSandbox
from sandbox.wire import WireServer
from tests.contract.hawkbit.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_flood_is_told_apart_from_a_quota_and_only_it_is_worth_a_wait(world: World) -> None:
    sandbox = world.stand_in()
    sandbox.quotas.groups_per_rollout = 2
    set_id = await world.make_set("FW", "2.0.0")
    await world.make_targets("t1", 10)
    groups = tuple(GroupWish(f"g{number}", 25) for number in range(4))
    wish = RolloutWish("t1", "", set_id, "controllerId==t1-*", groups, 95, 20, forced=True, start_at=None, weight=None)
    with pytest.raises(Refused) as quota:
        await world.releases.create(wish)
    assert (quota.value.reason, quota.value.retryable) == ("quota", False)
    assert "cannot be greater than 2" in quota.value.user_text
    for kind, call in (("GET", world.releases.sets()), ("POST", world.releases.create(wish))):
        fault = {"kind": "status", "match": f"{kind} /rest/v1", "status": 429, "times": 1}
        await world.admin.http.post(world.url + "/_sandbox/faults", json=fault)
        with pytest.raises(RateLimited) as flood:
            await call
        assert flood.value.retryable
        assert "no more calls right now" in flood.value.user_text
    assert (await world.admin.read("/rollouts"))["total"] == 0, "a flooded write was not handled"


class Restartable:
    """hawkBit's process may end and begin again on its port; what it knows is kept in its database."""

    def __init__(self) -> None:
        self.sandbox = HawkbitSandbox()
        self.server = WireServer(self.sandbox.app)
        account = HawkbitAccount("bot", lambda: "bot")
        brake = HawkbitAccount("brake", lambda: "brake")
        self.rollouts = HawkbitRollouts(self.server.url, account, brake, timeout_s=5)
        self.fleet = HawkbitActions(self.rollouts.access)

    async def begin(self) -> None:
        self.server = WireServer(self.sandbox.app, self.server.port)
        await self.server.start()


@pytest_asyncio.fixture(loop_scope="module")
async def hawkbit() -> AsyncIterator[Restartable]:
    made = Restartable()
    await made.server.start()
    yield made
    await made.rollouts.aclose()
    await made.server.stop()


async def test_a_hawkbit_that_restarts_is_unavailable_meanwhile_and_goes_on_where_it_was(hawkbit: Restartable) -> None:
    world = World(hawkbit.server.url, hawkbit.sandbox, "admin", "admin")
    rollout = RolloutId(await world.run_rollout("t2", 4))
    ((name, action), _) = await world.actions(rollout, 0)
    await world.close()
    await hawkbit.server.stop()
    with pytest.raises(Unavailable):
        await hawkbit.rollouts.rollout(rollout)
    with pytest.raises(Unavailable) as unsent:
        await hawkbit.fleet.cancel(DeviceName(name), action)
    assert not unsent.value.unknown_outcome, "nobody was there to take it"
    await hawkbit.begin()
    facts = await hawkbit.rollouts.rollout(rollout)
    assert facts is not None
    assert facts.counts.running == 2
    await hawkbit.fleet.cancel(DeviceName(name), action)
    assert sorted(one.status for one in await hawkbit.fleet.open(rollout))[0] == "canceling"


async def test_a_write_that_meets_the_end_of_hawkbits_process_may_have_happened(hawkbit: Restartable) -> None:
    world = World(hawkbit.server.url, hawkbit.sandbox, "admin", "admin")
    rollout = RolloutId(await world.run_rollout("t3", 4))
    ((name, action), _) = await world.actions(rollout, 0)
    await world.close()
    hawkbit.server.faults.add("lost_answer", "DELETE ", times=1)
    with pytest.raises(OutcomeUnknown):
        await hawkbit.fleet.cancel(DeviceName(name), action)
    await hawkbit.server.stop()
    await hawkbit.begin()
    assert "canceling" in {one.status for one in await hawkbit.fleet.open(rollout)}, "read, not repeated"
