"""The whole table at once: each role and standing, each act and whose thing it is, through Slack and the real Keycloak.

What must happen is worked out by `tests.scenario.security.oracle`; what does is read from what Slack shows and from the
audit log. Each thing is so chosen that an allowed act has nothing left to do: the order of acts cannot matter.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest_asyncio

from core.access import TABLE
from core.audit import Entry
from core.commands import FORMS
from core.ids import Stack
from core.rollouts.wish import ReleaseWish
from integrations.store.connection import connect
from integrations.store.releases import ReleaseStore
from sandbox.cast import ROLLOUTS
from sandbox.slack.seen import SeenMessage
from tests.keycloak.server import RealKeycloak
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import CHANNEL, STILL, WEBHOOK, bearer, incident_of, raised, until
from tests.scenario.security.cases import ALL, CASES, UNREACHED, WITHOUT_TENANT, Case
from tests.scenario.security.crowd import Ears, Hands, Realm, Somebody, listening, posted
from tests.scenario.security.oracle import AWAY, HOME, ROLES, THIRD, End, Expected, Standing, Way, expected

pytestmark = ONE_LOOP
ANSWER_S = 30.0
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """Whose it is, and what it is called in a command, a button or the audit log. `message` has all the buttons."""

    scope: str
    tenants: frozenset[str]
    names: Mapping[str, str]
    message: SeenMessage


@dataclass(slots=True)
class Cell:
    case: Case
    person: Somebody
    thing: Thing
    expected: Expected
    seen: str = ""

    @property
    def object(self) -> str:
        return self.case.object.format(**self.thing.names)

    @property
    def holds(self) -> bool:
        done = self.case.done.format(**{name: re.escape(said) for name, said in self.thing.names.items()})
        match self.expected.end:
            case End.DONE:
                return re.search(done, self.seen) is not None
            case End.SECOND_PERSON:
                return re.search(self.case.second, self.seen) is not None
            case End.HIDDEN if self.case.way is Way.LIST:
                return "Slack users with Keycloak accounts" in self.seen and re.search(done, self.seen) is None
            case End.HIDDEN:
                return (
                    re.search("There is no (device|rollout|tenant|link)|No entry that you may see", self.seen)
                    is not None
                )
            case _:
                return self.expected.words in self.seen

    def __str__(self) -> str:
        who = f"{self.person.role}, {self.person.standing}"
        wanted = f"{self.expected.end}: {self.expected.words or self.case.done}"
        return f"{who}: {self.case.name} of {self.thing.scope} tenant: expected {wanted!r}, seen {self.seen!r}"


@dataclass(frozen=True, slots=True)
class Played:
    cells: list[Cell]
    audit: list[Entry]


async def test_each_action_and_each_command_has_its_row_here() -> None:
    reached = {case.action for case in CASES}
    assert reached | UNREACHED == set(TABLE)
    assert not reached & UNREACHED
    commands = {case.command for case in CASES} - {""}
    assert commands | WITHOUT_TENANT == {form.name for form in FORMS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(real_keycloak: RealKeycloak) -> AsyncIterator[Played]:
    world = {"devices": 20, "pace": STILL, "slack_rate": 200.0, "keycloak_url": real_keycloak.url}
    async with office(start=False, **world) as here:
        here.world.write_config(slack={"requests_per_minute": 10_000})
        await here.bot.start()
        realm = Realm(here, real_keycloak.realm, f"{here.world.bot_port}")
        try:
            things = await _things(here, realm)
            crowd = await realm.crowd(HOME)
            cells = [cell for person in crowd for cell in _cells(person, things)]
            async with listening(here, crowd) as ears:
                await _asked(here, realm, ears, cells)
            yield Played(cells, await here.audit())
        finally:
            await realm.leave()


async def test_each_is_answered_as_the_table_says(played: Played) -> None:
    wrong = [f"{cell}" for cell in played.cells if not cell.holds]
    assert not wrong, f"{len(wrong)} of {len(played.cells)}:\n" + "\n".join(wrong[:40])
    assert {cell.expected.end for cell in played.cells} == set(End)


async def test_each_refusal_is_in_the_audit_with_its_reason_and_no_other_is(played: Played) -> None:
    wanted = Counter((c.person.actor, *c.expected.noted) for c in played.cells if c.expected.noted)
    actors = {cell.person.actor for cell in played.cells}
    noted = Counter(
        (e.actor, e.action.removeprefix("refused:"), e.object, e.data["reason"])
        for e in played.audit
        if e.action.startswith("refused:") and e.actor in actors and "caller" in e.data
    )
    names = {cell.person.actor: f"{cell.person.role}, {cell.person.standing}" for cell in played.cells}
    assert not {(names[actor], *what): n for (actor, *what), n in (wanted - noted).items()}, "not written down"
    assert not {(names[actor], *what): n for (actor, *what), n in (noted - wanted).items()}, "written down, unexpected"


async def test_nothing_was_begun_by_anybody_who_may_not(played: Played) -> None:
    actors = {cell.person.actor for cell in played.cells}
    allowed = {(cell.person.actor, cell.object) for cell in played.cells if cell.expected.end is End.DONE}
    begun = {(e.actor, e.object) for e in played.audit if e.kind == "intent" and e.actor in actors}
    assert begun, "who may must have begun something"
    assert begun <= allowed


def _cells(person: Somebody, things: list[Thing]) -> Iterator[Cell]:
    for case in CASES:
        for thing in things:
            if thing.scope in case.scopes and person.standing in case.standings:
                object = case.object.format(**thing.names)
                incident = f"incident:{thing.names['incident']}"
                who = ROLES[person.role], person.standing
                what = expected(case.way, case.action, *who, thing.tenants, object, incident)
                yield Cell(case, person, thing, what)


async def _asked(here: Office, realm: Realm, ears: Ears, cells: list[Cell]) -> None:
    """Everybody at once, each one thing after the other. Whoever loses the link by it gets it back, one by one."""
    hands = Hands(here)
    ends = [cell for cell in cells if cell.case.way is Way.PERSON and cell.expected.end is End.DONE]
    by_person: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell not in ends:
            by_person.setdefault(cell.person.id, []).append(cell)

    room = asyncio.Semaphore(AT_ONCE)

    async def all_of(mine: list[Cell]) -> None:
        async with room:
            for cell in mine:
                await _one(hands, ears, cell)

    async with asyncio.TaskGroup() as tasks:
        for mine in by_person.values():
            tasks.create_task(all_of(mine))
    for cell in ends:
        await _one(hands, ears, cell)
        names = cell.thing.names
        await realm.link(Somebody("none", Standing.LINKED, names["person"], names["subject"], names["person_name"]))


async def _one(hands: Hands, ears: Ears, cell: Cell) -> None:
    case, names = cell.case, cell.thing.names
    ears.forget(cell.person)
    if case.pressed is None:
        await hands.types(cell.person, case.typed.format(**names))
    else:
        press = hands.presses_and_says_why if case.why else hands.presses
        await press(cell.person, cell.thing.message, case.pressed[0], case.pressed[1].format(**names))
    cell.seen = await ears.answer(cell.person, case.run_on.format(**names), ANSWER_S)


async def _things(here: Office, realm: Realm) -> list[Thing]:
    """A device, an incident, a rollout and a person of each; an incident has one tenant only."""
    channels = [CHANNEL[tenant] for tenant in (HOME, AWAY, THIRD)]
    rollouts = {
        "own": ("a-gw-005", "a-gw-006"),
        "other": ("b-gw-005", "b-gw-006"),
        "spanning": ("a-gw-007", "b-gw-004"),
    }
    tenants = {"own": [HOME], "other": [AWAY], "spanning": [HOME, AWAY]}

    async def thing(scope: str) -> Thing:
        letter = {"own": "a", "other": "b"}.get(scope, "")
        chief = await realm.somebody(f"chief-{scope}", "admin", Standing.LINKED, [HOME, AWAY, THIRD], *channels)
        boss = Person(here, chief.id)
        target = await realm.somebody(f"target-{scope}", "none", Standing.LINKED, tenants[scope])
        names = {
            "tenant": tenants[scope][0],
            "device": f"{letter}-gw-001",
            "run_device": f"{letter}-gw-002",
            "incident": await _incident(here, boss, tenants[scope][0], f"{letter}-gw-001") if letter else "",
            "person": target.id,
            "person_name": target.username,
            "subject": target.subject,
            **await _rollout(here, boss, f"matrix {scope}", rollouts[scope]),
            **await _draft(here, rollouts[scope]),
        }
        pressed = [c.pressed for c in CASES if c.pressed is not None and scope in c.scopes]
        buttons = [(action, value.format(**names)) for action, value in pressed]
        return Thing(scope, frozenset(tenants[scope]), names, await posted(here, ROLLOUTS, buttons))

    return list(await asyncio.gather(*map(thing, ALL)))


async def _incident(here: Office, boss: Person, tenant: str, device: str) -> str:
    """One that is acknowledged and cleared already."""
    alarmed = raised(here.world, tenant, device)
    async with httpx.AsyncClient(base_url=here.world.bot_url, trust_env=False) as http:
        answer = await http.post(WEBHOOK, content=alarmed.body, headers=bearer(here.world, tenant))
        assert answer.status_code == 202
    message = await here.shows(CHANNEL[tenant], "OTA Failure", device, button="acknowledge")
    assert "acknowledged" in (await boss.presses(message, "acknowledge", CHANNEL[tenant])).shown
    assert "cleared" in (await boss.presses(message, "clear", CHANNEL[tenant])).shown
    await here.shows(CHANNEL[tenant], "OTA Failure", device, "CLEARED")
    incident = incident_of(message)
    assert incident is not None
    return incident


async def _draft(here: Office, devices: tuple[str, str]) -> dict[str, str]:
    """A release to these devices that somebody was shown."""
    where = f"controllerId=in=({','.join(devices)})"
    wish = ReleaseWish(stack=Stack("eu1"), set_name="edge", version="1.2.0", where=where, shares=(50.0, 50.0))
    store = connect(f"unix://{here.world.directory / 'data' / 'store' / 'store.sock'}")
    try:
        return {"draft": await ReleaseStore(store).keep(wish), "release": wish.name}
    finally:
        await store.aclose()


async def _rollout(here: Office, boss: Person, name: str, devices: tuple[str, str]) -> dict[str, str]:
    """One that is stopped, about which one request was withdrawn and another is open."""
    rollout = await here.starts_rollout(name, "1.1.0", devices, fates=("silent",))
    await here.shows(ROLLOUTS, f"*{name}*", button="stop")
    asked = (await boss.types(f"ask stop {name} to be withdrawn")).shown
    request = re.search(r"waits for approval .*`(\w+)`", asked)
    assert request is not None, asked
    assert "WITHDRAWN" in (await boss.types(f"withdraw {request[1]}")).shown
    assert "waits for approval" in (await boss.types(f"ask continue {name} to stay open")).shown
    await here.world.by_hand.order(rollout, "stop")

    async def stopped() -> bool:
        return await here.status(rollout) == "stopped"

    await until(stopped, f"{name} is stopped")
    return {"rollout": f"{rollout}", "name": name, "request": request[1]}
