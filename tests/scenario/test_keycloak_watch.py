"""Keycloak's absence is told once, whichever of several processes notices it, and its return in the same message."""

from __future__ import annotations

from core.errors import Unavailable
from core.ids import Channel
from core.outbox import Wanted
from flows.keycloak_watch import KeycloakWatch
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, OutboxRows
from tests.conftest import ManualClock

EVERY_S = 10.0


class Answering:
    """Keycloak as one process reaches it."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    async def answers(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("Keycloak was not reached.")


def watch(store: Store, clock: ManualClock, keycloak: Answering) -> KeycloakWatch:
    """That of a process of its own."""
    return KeycloakWatch(
        keycloak=keycloak,
        realm="cdm",
        every_s=EVERY_S,
        store=store,
        outbox=Outbox(store, clock),
        leases=Leases(store, clock),
        clock=clock,
        channel=Channel("C0ADMINS"),
    )


async def wanted(store: Store, clock: ManualClock) -> list[Wanted]:
    jobs = await OutboxRows(store).due(Channel("C0ADMINS"), clock.now().timestamp())
    return [job.wanted for job in jobs]


async def test_two_processes_tell_one_absence_once_and_its_return_in_the_same_message(
    store: Store, clock: ManualClock
) -> None:
    keycloak = Answering()
    watches = [watch(store, clock, keycloak) for _ in range(2)]

    async def both() -> None:
        for one in watches:
            await one.tick()
        await clock.forward(EVERY_S)

    await both()
    keycloak.away = True
    await both()
    assert await wanted(store, clock) == [], "one failure is no news"
    for _ in range(3):
        await both()
    (away,) = await wanted(store, clock)
    assert "AWAY" in away.message.text
    assert away.open
    keycloak.away = False
    await both()
    (back,) = await wanted(store, clock)
    assert (back.key, back.open) == (away.key, False)
    assert "BACK" in back.message.text
    assert keycloak.asked == 6, "only one of the two asks"


async def test_the_other_process_goes_on_where_the_asking_one_ended(store: Store, clock: ManualClock) -> None:
    """The lease lapses by the store's own clock, so it is taken away here."""
    keycloak = Answering()
    first, second = (watch(store, clock, keycloak) for _ in range(2))
    await first.tick()
    keycloak.away = True
    await first.tick()
    await store.delete("cdm:lease:keycloak-watch:cdm")
    await second.tick()
    (away,) = await wanted(store, clock)
    assert "AWAY" in away.message.text


async def test_a_new_absence_is_a_new_message(store: Store, clock: ManualClock) -> None:
    keycloak = Answering()
    only = watch(store, clock, keycloak)
    for away in (True, True, False, True, True):
        keycloak.away = away
        await only.tick()
        await clock.forward(EVERY_S)
    first, second = sorted(await wanted(store, clock), key=lambda w: w.key)
    assert ("BACK" in first.message.text, "AWAY" in second.message.text) == (True, True)
