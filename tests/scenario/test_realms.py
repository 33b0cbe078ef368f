"""Two stacks, each with a Keycloak of its own: the word of each counts for its own tenants, and nowhere else.

The second realm was imported from the first: the same people have the same user ids in both.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from ruamel.yaml import YAML
from typer.testing import CliRunner

from bot import logs
from bot.commands import access
from bot.config_file import load_settings
from bot.identity import proven
from bot.maintaining import Maintainer, maintainer
from bot.probe import keycloak
from core import ids
from core.errors import NotAllowed, Refused
from integrations.clock import SystemClock
from sandbox.browser import Browser
from sandbox.cast import ADMINS, PASSWORD, ROLLOUTS, TENANTS
from sandbox.furnish import fill_realm
from sandbox.hawkbit.accounts import EVERYDAY, Account
from sandbox.keycloak.app import create_app
from sandbox.keycloak.realm import Realm
from sandbox.settings_file import BOT, write_private
from sandbox.wire import WireServer
from sandbox.world import CALLBACK
from tests.keycloak.standin import StandInRealm
from tests.scenario.approving import asks_for, link_in, logs_in_anew
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import until
from tests.scenario.terminal import ADDRESS, Terminal, allow

pytestmark = ONE_LOOP
ALARMS_A = "C0ALARMSA"
SOUTH = TENANTS[2].channel
"""Where the rollouts of the second stack are shown."""
URL = re.compile(r"<(http[^|>]+)\|Log in to Keycloak>")


@dataclass(frozen=True, slots=True)
class Cast:
    """customer-c stands on the stack `south`, whose realm is called so too; the others are the default realm's."""

    office: Office
    here: StandInRealm
    south: StandInRealm
    south_server: WireServer

    async def person(self, name: str, *, here: str = "", south: str = "") -> Person:
        """Somebody with an account in each realm for which a group is given, an operator in it."""
        for realm, group in ((self.here, here), (self.south, south)):
            if group:
                await realm.create_user(name, email=f"{name}@cdm.example", roles=["cdm-operator"], groups=[group])
        return await self.office.newcomer(name, f"{name}@cdm.example", ALARMS_A, SOUTH)

    async def links(self, person: Person, name: str, *, realm: str = "") -> str:
        url = URL.search((await person.types(f"link {realm}")).text)
        assert url
        async with Browser() as browser:
            await browser.open(url[1].replace("&amp;", "&"))
            await browser.log_in(name, PASSWORD)
            if browser.has_form:
                await browser.submit()
            return browser.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(start=False, devices=24) as here:
        realm = Realm.load()
        fill_realm(realm, f"{here.world.bot_url}{CALLBACK}")
        _same_ids(realm, here.world.realm)
        realm.device_interval_s = here.world.realm.device_interval_s = 1
        async with WireServer(create_app(realm)) as south:
            _second_stack(here, south.url, realm.clients[BOT].secret)
            await here.bot.start()
            own = StandInRealm(here.world.servers["keycloak"].url)
            yield Cast(here, own, StandInRealm(south.url), south)


def _same_ids(realm: Realm, other: Realm) -> None:
    for user in [one for one in realm.users.values() if not one.service_client]:
        twin = other.by_username(user.username)
        assert twin is not None
        del realm.users[user.id]
        user.id = twin.id
        realm.users[user.id] = user


def _second_stack(here: Office, url: str, secret: str) -> None:
    """customer-c moves to a stack of its own, on the same systems but for Keycloak."""
    passwords = {"south": secret, "hawkbit-south": "a password of the second stack"}
    for name, value in passwords.items():
        write_private(here.world.directory / name, value)
    here.world.hawkbit.accounts["south"] = Account(passwords["hawkbit-south"], permissions=EVERYDAY)
    yaml = YAML(typ="safe")
    settings = yaml.load(here.world.config)
    (first,) = settings["stacks"]
    tenants = first["tenants"]
    section = {"url": url, "realm": "cdm", "name": "south", "client_secret": {"file": "south"}, "poll_s": 0.5}
    hawkbit = {**first["hawkbit"], "username": "south", "password": {"file": "hawkbit-south"}}
    own = {"keycloak": section, "hawkbit": hawkbit, "rollout_channel": SOUTH}
    settings["stacks"] = [
        {**first, "tenants": tenants[:2]},
        {**first, **own, "name": "south", "tenants": tenants[2:]},
    ]
    settings["approvals"] = {"stop": {"fresh_login": True}}
    with here.world.config.open("w") as file:
        yaml.dump(settings, file)


async def whoami(person: Person) -> str:
    return (await person.types("whoami")).shown.replace("\u200b", "")


async def test_membership_in_one_realm_is_nothing_in_the_others_tenants(cast: Cast) -> None:
    """alice is an admin of /customer-c in the default realm, which does not own it."""
    alice = cast.office.person("alice")
    await cast.links(alice, "alice", realm="cdm")
    assert "customer-c:" not in (told := await whoami(alice))
    assert "/customer-c (no tenant)" in told
    assert "online" in (await alice.types("device a-gw-001")).shown
    assert "online" not in (await alice.types("device c-gw-001")).shown
    assert "online" not in (await alice.types("run journal c-gw-001")).shown
    assert cast.office.ran("c-gw-001") == []


async def test_who_is_not_linked_is_offered_each_realm_and_then_the_one_that_is_left(cast: Cast) -> None:
    person = await cast.person("dora", here="/customer-a", south="/customer-c")
    offered = (await person.types("link")).shown
    assert "/cdm link cdm" in offered
    assert "/cdm link south" in offered
    assert "now linked" in await cast.links(person, "dora", realm="south")
    assert "online" in (await person.types("device c-gw-001")).shown
    assert "online" not in (await person.types("device a-gw-001")).shown
    assert "now linked" in await cast.links(person, "dora")
    for device in ("a-gw-001", "c-gw-001"):
        assert "online" in (await person.types(f"device {device}")).shown
    told = await whoami(person)
    assert "in realm south since" in told
    assert told.count("roles that count") == 2
    assert "linked with `dora`" in (await person.types("link")).shown


async def test_a_refusal_says_which_realms_link_is_missing(cast: Cast) -> None:
    person = await cast.person("sven", here="/customer-a", south="/customer-c")
    await cast.links(person, "sven", realm="south")
    alarm = await cast.office.alarm("a-gw-002")
    told = (await person.presses(alarm, "acknowledge", ALARMS_A)).shown
    assert "customer-a belongs to the Keycloak realm cdm" in told
    assert "/cdm link cdm" in told
    assert await cast.office.alarm_state("a-gw-002") == "ACTIVE_UNACK"
    refused = [e.data["reason"] for e in await cast.office.audit() if e.action == "refused:acknowledge"]
    assert refused == ["not_linked_in_realm"]


async def test_one_keycloak_away_closes_its_own_tenants_only(cast: Cast) -> None:
    person = await cast.person("both", here="/customer-a", south="/customer-c")
    for realm in ("cdm", "south"):
        await cast.links(person, "both", realm=realm)
    await whoami(person)
    alarm = await cast.office.alarm("a-gw-003")
    cast.south_server.faults.add("lost_request", ".*")
    try:
        assert "acknowledged" in (await person.presses(alarm, "acknowledge", ALARMS_A)).shown
        assert "rights cannot be checked" in (await person.types("run journal c-gw-002")).shown
        assert "online" in (await person.types("device c-gw-002")).shown, "looking: by the yes of a moment ago"
        assert "online" in (await person.types("device a-gw-003")).shown
        assert "realm south: does not answer now" in (told := await whoami(person))
        assert "customer-a: cdm-operator" in told
        await cast.office.shows(ADMINS, "AWAY", "realm south", "Nobody's act is allowed in customer-c until")
    finally:
        cast.south_server.faults.clear()
    await cast.office.shows(ADMINS, "BACK", "realm south")
    assert cast.office.ran("c-gw-002") == []


async def test_somebody_disabled_in_one_realm_goes_on_in_the_other(cast: Cast) -> None:
    person = await cast.person("half", here="/customer-a", south="/customer-c")
    for realm in ("cdm", "south"):
        await cast.links(person, "half", realm=realm)
    await cast.south.set_enabled(await cast.south.user_id("half"), False)
    assert "online" in (await person.types("device a-gw-001")).shown
    assert "online" not in (await person.types("device c-gw-001")).shown
    await cast.office.slack.open_home(person.id)

    async def home() -> bool:
        shown = await cast.office.slack.home(person.id)
        return shown is not None and "customer-a" in shown.shown and "customer-c" not in shown.shown

    await until(home, "the Home tab of the realm that still knows them")


async def test_the_probe_looks_into_each_realm_for_its_own_tenants(cast: Cast) -> None:
    settings = load_settings(cast.office.world.config)
    told = [finding.text async for finding in keycloak.look(settings)]
    assert [line for line in told if "reads people" in line] == [
        "The bot's service account reads people, roles and groups in realm cdm.",
        "The bot's service account reads people, roles and groups in realm south.",
    ]
    south = told.index("The bot's service account reads people, roles and groups in realm south.")
    assert {"customer-a", "customer-b"} <= {name for line in told[:south] for name in re.findall(r"/([\w-]+)", line)}
    assert [name for line in told[south:] for name in re.findall(r"/(customer-\w)", line)] == ["customer-c"]


async def test_an_account_is_linked_once_in_each_realm_and_unlinking_ends_all(cast: Cast) -> None:
    person = await cast.person("ulla", here="/customer-a", south="/customer-c")
    other = await cast.office.newcomer("ulla2", "ulla@cdm.example")
    for realm in ("cdm", "south"):
        await cast.links(person, "ulla", realm=realm)
        assert "linked with another Slack user" in await cast.links(other, "ulla", realm=realm)
    heidi = cast.office.person("heidi")
    for realm in ("cdm", "south"):
        await cast.links(heidi, "heidi", realm=realm)
    listed = (await heidi.types("links")).shown.replace("\u200b", "")
    assert listed.count("*ulla*") == 2
    assert "in realm `south`" in listed
    told = (await person.types("unlink", ROLLOUTS)).shown
    assert "`ulla` and `ulla` in realm `south` any more" in told
    assert "not linked" in await whoami(person)
    await cast.links(person, "ulla", realm="south")
    assert "any more" in (await heidi.types("links revoke ulla")).shown
    assert "not linked" in await whoami(person)


async def test_an_admin_ends_a_persons_links_in_their_own_realm_alone(cast: Cast) -> None:
    """alice is an admin of every tenant in both realms, and linked in the default one only."""
    alice = cast.office.person("alice")
    listed = (await alice.types("links")).shown.replace("\u200b", "")
    assert "*dora*" in listed
    assert "south" not in listed
    told = (await alice.types("links revoke dora")).shown
    assert "Still linked: `dora` in realm `south`" in told
    dora = Person(cast.office, "U0DORA")
    assert "online" in (await dora.types("device c-gw-001")).shown
    assert "online" not in (await dora.types("device a-gw-001")).shown
    assert "no link of" in (await alice.types("links revoke dora")).shown


async def test_who_approves_in_the_second_realm_is_asked_there_and_logs_in_anew_there(cast: Cast) -> None:
    """alice and heidi are admins in both realms, by the same user ids; alice is linked in the default one only."""
    here, dora, alice, heidi = cast.office, Person(cast.office, "U0DORA"), *map(cast.office.person, ("alice", "heidi"))
    rollout = await here.starts_rollout("southern", "1.1.0", ["c-gw-003"], (100,), fates=("silent",))
    message = await here.shows(SOUTH, "*southern*", button="stop")
    assert "waits for approval" in (await asks_for(dora, message, "stop", "bad bundle", SOUTH)).shown
    wanted = await here.shows(SOUTH, "APPROVAL WANTED", "southern", button="approve")
    refused = (await alice.presses(wanted, "approve", SOUTH)).shown
    assert "customer-c belongs to the Keycloak realm south" in refused
    assert "/cdm link south" in refused
    link = await heidi.presses(wanted, "approve", SOUTH)
    async with Browser() as browser:
        await browser.open(link_in(link))
        asked = str(browser.page.url)
        assert asked.startswith(cast.south.url)
        await browser.open(asked.replace(cast.south.url, cast.here.url))
        await browser.log_in("heidi", PASSWORD)
        assert "did not come from the configured Keycloak" in browser.text, "the same id, by another realm's word"
    assert "another account" in await logs_in_anew(await heidi.presses(wanted, "approve", SOUTH), "alice")
    assert await here.status(rollout) == "running"
    assert "Confirmed" in await logs_in_anew(await heidi.presses(wanted, "approve", SOUTH), "heidi")
    await here.shows(SOUTH, "DONE", "southern", "heidi", within_s=30)
    assert await here.status(rollout) == "stopped"
    of = {e.action: e.actor for e in await here.audit() if e.object == f"rollout:south/{rollout}"}
    assert of["approval:agreed"] == f"south:{await cast.here.user_id('heidi')}"
    assert of["approval:asked"] == f"south:{await cast.south.user_id('dora')}"
    assert of["refused:stop"] == await cast.here.user_id("alice")


async def test_at_the_command_line_a_login_is_one_in_a_realm(cast: Cast) -> None:
    here, shell = cast.office, Terminal(cast.office.world.config)
    here.world.cut_off([here.world.device("c-gw-004")], True)
    await here.starts_rollout("by-shell", "1.1.0", ["c-gw-004"])
    elsewhere = await shell.log_in("bob", "rollout", "hold", "by-shell")
    assert (elsewhere.code, "no rollout 'by-shell' in your tenants" in elsewhere.err) == (1, True), elsewhere.err
    done = await shell.log_in("alice", "rollout", "hold", "by-shell", "--realm", "south")
    assert done.code == 0, done.err
    assert "Log in to the Keycloak realm south" in done.err
    await here.shows(SOUTH, "*by-shell*", button="unhold")
    held = [e.actor for e in await here.audit() if (e.kind, e.action) == ("intent", "hold")]
    assert held == [f"south:{await cast.here.user_id('alice')}"]
    unknown = await shell.run("rollout", "hold", "by-shell", "--realm", "west")
    assert (unknown.code, "There are: cdm, south" in unknown.err) == (1, True), unknown.err


async def test_who_maintains_the_bot_logs_in_to_each_realm(cast: Cast) -> None:
    settings = load_settings(cast.office.world.config)

    async def by(*accounts: str) -> Maintainer:
        told: asyncio.Queue[str] = asyncio.Queue()
        clock = SystemClock()
        acting = asyncio.create_task(maintainer(settings, clock, "restore", service_account=False, say=told.put_nowait))
        for account in accounts:
            while not (found := ADDRESS.search(await asyncio.wait_for(told.get(), 20))):
                pass
            await allow(found[1], account)
        return await acting

    assert (await by("heidi", "heidi")).actor == await cast.here.user_id("heidi")
    with pytest.raises(NotAllowed, match="an admin of every tenant"):
        await by("heidi", "erin")
    with pytest.raises(Refused, match="acts in the Keycloak realm cdm alone"):
        await proven(settings, SystemClock(), service_account=True, say=print, realm=ids.Realm("south"))


async def test_explain_knows_whose_word_counts(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)

    async def explained(tenant: str, who: str = "alice") -> str:
        words = ["explain", who, "promote", f"tenant:{tenant}", "--config", str(cast.office.world.config)]
        told = await asyncio.to_thread(lambda: CliRunner().invoke(access.app, words))
        assert told.exit_code == 0, told.output
        return told.output

    assert "verdict: allow" in await explained("customer-a")
    assert "verdict: refuse" in await explained("customer-c")
    south = f"south:{await cast.here.user_id('alice')}"
    assert "verdict: allow" in await explained("customer-c", south)
    assert "verdict: refuse" in await explained("customer-a", south)
