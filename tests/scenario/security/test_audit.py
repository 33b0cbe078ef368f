"""The audit log in Slack: who may read what of it, and that a bent one is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import pytest
import pytest_asyncio

from integrations.store.audit import STREAM
from integrations.store.connection import connect
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, Person, office

pytestmark = ONE_LOOP
ALARMS_A, ALARMS_B = "C0ALARMSA", "C0ALARMSB"


@dataclass(frozen=True, slots=True)
class Cast:
    """alice is an admin of all tenants, ann of customer-a alone; bob works for customer-a, frank for customer-b."""

    office: Office
    alice: Person
    ann: Person
    bob: Person
    frank: Person

    async def shown(self, person: Person, words: str = "") -> str:
        told = (await person.types(f"audit {words}")).shown
        return told.replace("\u200b", "")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office() as here:
        realm = StandInRealm(here.world.servers["keycloak"].url)
        await realm.create_user("ann", email="ann@customer-a.example", roles=["cdm-admin"], groups=["/customer-a"])
        ann = await here.newcomer("ann", "ann@customer-a.example", ALARMS_A)
        alice, bob, frank = (here.person(name) for name in ("alice", "bob", "frank"))
        await here.links({alice: "alice", ann: "ann", bob: "bob", frank: "frank"})
        for person, device, channel in ((bob, "a-gw-001", ALARMS_A), (frank, "b-gw-001", ALARMS_B)):
            alarm = await here.alarm(device)
            assert "acknowledged" in (await person.presses(alarm, "acknowledge", channel)).shown
        yield Cast(here, alice, ann, bob, frank)


async def test_an_admin_of_all_reads_who_did_what_and_that_it_holds(cast: Cast) -> None:
    shown = await cast.shown(cast.alice)
    assert "HOLDS" in shown
    assert "*bob* · acknowledge" in shown
    assert "*frank* · acknowledge" in shown
    assert "done 1" in shown
    assert "link" in shown, "what concerns no tenant too"


async def test_an_admin_of_one_tenant_reads_nothing_of_another_nor_of_what_is_nobody_s(cast: Cast) -> None:
    shown = await cast.shown(cast.ann, "30")
    assert "*bob* · acknowledge" in shown
    assert "an admin: customer-a" in shown
    assert "link" not in shown
    for words in ("30", "tenant customer-b", "person frank", f"person {cast.frank.id} 30"):
        shown = await cast.shown(cast.ann, words)
        assert "*frank*" not in shown
        assert "customer-b ·" not in shown


@pytest.mark.parametrize(
    ("words", "there", "not_there"),
    [
        ("person bob", "*bob*", "*frank*"),
        ("person <@U0BOB> 5", "*bob*", "*frank*"),
        ("tenant customer-b", "*frank*", "*bob*"),
        ("device a-gw-001", "No entry", "*bob*"),
        ("rollout 17", "No entry", "*bob*"),
        ("1", "(#", "*nobody*"),
    ],
)
async def test_it_can_be_asked_for_less(cast: Cast, words: str, there: str, not_there: str) -> None:
    shown = await cast.shown(cast.alice, words)
    assert there in shown
    assert not_there not in shown
    assert shown.count("(#") <= (1 if words == "1" else 10)


@pytest.mark.parametrize("words", ["weather berlin", "person", "person bob five"])
async def test_what_is_not_understood_is_told_with_an_example(cast: Cast, words: str) -> None:
    assert "/cdm audit person bob 10" in await cast.shown(cast.alice, words)


async def test_every_act_of_a_person_names_them_their_tenant_and_when_their_rights_were_read(cast: Cast) -> None:
    await cast.bob.types("run rauc-status a-gw-002", ALARMS_A)
    leaver = await cast.office.newcomer("leaver", "leaver@customer-a.example")
    realm = StandInRealm(cast.office.world.servers["keycloak"].url)
    await realm.create_user("leaver", email="leaver@customer-a.example", groups=["/customer-a"])
    await cast.office.links({leaver: "leaver"})
    assert "not linked" in (await cast.ann.types("links revoke leaver")).shown
    intents = {entry.action: entry for entry in await cast.office.audit() if entry.kind == "intent"}
    assert intents.keys() >= {"acknowledge", "run:rauc-status", "unlink"}
    for action in ("acknowledge", "run:rauc-status", "unlink"):
        data = intents[action].data
        read_at, at = (datetime.fromisoformat(text) for text in (data["rights_read_at"], intents[action].at))
        assert timedelta() <= at - read_at < timedelta(seconds=30)
        assert data["name"] in ("bob", "frank", "ann")
        assert data.get("tenant") or data["tenants"] == ["customer-a"]


async def test_who_is_no_admin_is_refused(cast: Cast) -> None:
    shown = await cast.shown(cast.bob)
    assert "needs the role" in shown
    assert "acknowledge" not in shown


async def test_a_changed_entry_is_told_first(cast: Cast) -> None:
    store = connect(f"unix://{cast.office.world.directory / 'data' / 'store' / 'store.sock'}")
    try:
        (first, fields), *rest = await store.xrange(STREAM)
        await store.delete(STREAM)
        changed = orjson.dumps({**orjson.loads(fields[b"e"]), "actor": "nobody"})
        for id, row in ((first, {b"e": changed}), *rest):
            await store.xadd(STREAM, row, id=id)
    finally:
        await store.aclose()
    assert (await cast.shown(cast.alice)).startswith(
        "🔴 BROKEN · the audit log: entry 1 was changed after it was written"
    )
