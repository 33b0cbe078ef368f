"""What authority costs a click: live readings of Keycloak, and the time they add, alone and among sixteen people.

Measured on a real Keycloak where there is Java, else on the stand-in; the bot's own gate with its store. Beside it, by
turns, the least that such a reading needs: the three calls at once, by one bare client that looks at no answer. How
often a click reads is counted on the wire: the real bot, with a proxy before Keycloak.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from core.access import AccessRules, Action, Link
from core.ids import DEFAULT_REALM, SlackUser, Subject, Tenant
from core.members import Member
from flows.gate import Gate
from flows.realms import Realms
from integrations.clock import SystemClock
from integrations.keycloak.roles import KeycloakRoles
from integrations.store.audit import AuditLog
from integrations.store.connection import connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.people import Links, RememberedYes
from sandbox.cast import TEAM, TENANTS
from sandbox.keycloak.app import create_app
from sandbox.wire import WireServer
from tests.keycloak.proxy import proxy_to
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm
from tests.keycloak.server import RealKeycloak, available
from tests.keycloak.standin import StandInRealm
from tests.load.options import BenchFailed, Options
from tests.load.report import Aim, Figure, Report, percentile
from tests.scenario.people import office

SECONDS = 12.0
CROWDS = (1, 16)
ROUNDS = 4
CALLS_PER_READING = 3
MOST_TIMES_BARE = 2.0
A = TENANTS[0]
Ask = Callable[[int], Awaitable[object]]
"""One reading about the person of that number."""


async def clicks(options: Options) -> Report:
    seconds = options.seconds or SECONDS
    async with AsyncExitStack() as stack:
        realm, kind = await _keycloak(stack)
        with contextlib.redirect_stdout(io.StringIO()):  # the log of the bot
            reads = await _counted(realm)
        times = await _timed(realm, seconds)
    return Report(
        area="clicks",
        about=f"the gate's question before an act for {seconds:g} s a crowd, on {kind}; beside the three bare calls",
        figures=figures(times, reads),
        settings={"seconds": seconds, "keycloak": kind},
        raw={"calls_per_click": reads} | {f"{who}_{crowd}_ms": taken for (who, crowd), taken in times.items()},
    )


def figures(times: Mapping[tuple[str, int], Sequence[float]], reads: Mapping[str, int]) -> list[Figure]:
    rows = [Figure(f"calls to Keycloak for one {act}", count) for act, count in reads.items()]
    for crowd in sorted({crowd for _, crowd in times}):
        ours, bare = times["ours", crowd], times["bare", crowd]
        for share in (50, 95, 99):
            aims = (Aim("most", MOST_TIMES_BARE, "ratio"),) if share == 50 else ()
            name = f"added by one reading, {crowd} at once: p{share} ms"
            rows.append(Figure(name, percentile(ours, share), percentile(bare, share), "bare calls", aims))
    return rows


async def _keycloak(stack: AsyncExitStack) -> tuple[Realm, str]:
    if not available():
        keycloak = await stack.enter_async_context(RealKeycloak())
        return keycloak.realm, "a real Keycloak"
    server = await stack.enter_async_context(WireServer(create_app()))
    return StandInRealm(server.url), "the Keycloak stand-in"


async def _counted(realm: Realm) -> dict[str, int]:
    """Calls of the admin API for what bob does, at the real bot: a look at a device, two clicks on an alarm."""
    async with proxy_to(realm.url) as proxy, office(start=False, keycloak_url=proxy.server.url) as here:
        here.world.write_config(keycloak={"poll_s": 600})
        await here.bot.start()
        await realm.allow_redirect(f"{here.world.bot_url}/oidc/callback")
        bob = here.person("bob")
        await here.links({bob: "bob"})
        alarm = await here.alarm("a-gw-001")
        found = {}
        acts: Mapping[str, Callable[[], Awaitable[object]]] = {
            "/cdm device": lambda: bob.types("device a-gw-001"),
            "Acknowledge": lambda: bob.presses(alarm, "acknowledge", A.channel),
            "Clear": lambda: bob.presses(alarm, "clear", A.channel),
        }
        for act, do in acts.items():
            proxy.asked.clear()
            await do()
            found[act] = sum(one.target.startswith("/admin/") for one in proxy.asked)
        return found


async def _timed(realm: Realm, seconds: float) -> dict[tuple[str, int], list[float]]:
    """Latencies in ms by who asked and how many at once."""
    made = [
        await realm.create_user(f"load-{number:02}", roles=["cdm-operator"], groups=[A.group])
        for number in range(max(CROWDS))
    ]
    people = [Subject(id) for id in made]
    found: dict[tuple[str, int], list[float]] = {}
    async with _gate(realm, people) as ours, _bare(realm, people) as bare:
        for crowd in CROWDS:
            await asyncio.gather(*(ask(number) for ask in (ours, bare) for number in range(crowd)))  # warm
            for _ in range(ROUNDS):
                for who, ask in (("ours", ours), ("bare", bare)):
                    taken = await _asked(ask, crowd, seconds / ROUNDS / 2)
                    found.setdefault((who, crowd), []).extend(taken)
    return found


async def _asked(ask: Ask, crowd: int, seconds: float) -> list[float]:
    """Each person asks again as soon as they are answered."""
    end, taken = time.monotonic() + seconds, list[float]()

    async def person(number: int) -> None:
        while (begun := time.monotonic()) < end:
            await ask(number)
            taken.append((time.monotonic() - begun) * 1000)

    await asyncio.gather(*(person(number) for number in range(crowd)))
    return taken


@asynccontextmanager
async def _gate(realm: Realm, people: Sequence[Subject]) -> AsyncIterator[Ask]:
    """The bot's gate on a store of its own; each person is linked."""
    directory, clock = Path(tempfile.mkdtemp(prefix="cdm-load-")), SystemClock()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = EmbeddedStore(directory)
        await server.start()
        stack.push_async_callback(server.stop)
        store = connect(server.url)
        stack.push_async_callback(store.aclose)
        links, users = Links(store), [SlackUser(TEAM, f"U{number:02}") for number in range(len(people))]
        for user, subject in zip(users, people, strict=True):
            link = Link(subject, user.user, "load@cdm.example", datetime.now(UTC))
            await links.put(user, link, (await links.book()).turn)
        roles = KeycloakRoles(
            server_url=realm.url,
            realm=realm.name,
            client_id=CLIENT_ID,
            client_secret=lambda: CLIENT_SECRET,
            clock=clock,
            timeout_s=10,
        )
        stack.push_async_callback(roles.aclose)
        rules = AccessRules({Tenant(A.id): A.group})
        gate = Gate(
            team=TEAM,
            roles=Realms({DEFAULT_REALM: roles}, {DEFAULT_REALM: realm.name}, rules),
            links=links,
            members=_Members(),
            rules=rules,
            audit=AuditLog(store, clock),
            remembered=RememberedYes(store, clock),
            clock=clock,
        )
        yield lambda number: gate.require(users[number], Action.ACKNOWLEDGE, frozenset({Tenant(A.id)}), "incident:load")


class _Members:
    """Slack is not asked here: it is once a request, whatever the act."""

    async def member(self, user: str, *, timeout_s: float) -> Member | None:
        raise AssertionError


@asynccontextmanager
async def _bare(realm: Realm, people: Sequence[Subject]) -> AsyncIterator[Ask]:
    """The three calls of a reading at once, with one token for all of it."""
    async with httpx.AsyncClient(base_url=realm.url, timeout=10, trust_env=False) as http:
        form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        answer = await http.post(f"/realms/{realm.name}/protocol/openid-connect/token", data=form)
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

        async def ask(number: int) -> None:
            user = f"/admin/realms/{realm.name}/users/{people[number]}"
            paths = (user, f"{user}/role-mappings/realm/composite", f"{user}/groups?max=500")
            answers = await asyncio.gather(*(http.get(path) for path in paths))
            if [one.status_code for one in answers] != [200] * CALLS_PER_READING:
                raise BenchFailed("Keycloak refused the bare calls")

        yield ask


if __name__ == "__main__":
    from tests.load.__main__ import main

    sys.exit(main(["clicks", *sys.argv[1:]]))
