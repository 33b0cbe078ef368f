"""`cdm tenant remove`: all that is one tenant's goes, in every family of keys, nothing of another's does, and it is
proven."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from bot import logs
from bot.cli import app
from bot.config_file import load_settings
from bot.store_survey import ALL_FAMILIES, family_of
from bot.tenants import removing, store_data
from bot.tenants.about import Known, gathered
from bot.tenants.families import OF_FAMILIES, PerTenant
from bot.tenants.marks import Marks
from bot.tenants.store_data import file_name, search, take_out
from core.access import Action
from core.alarms.facts import Severity
from core.alarms.fold import AlarmState
from core.approvals import Order, Party, Request, Rule, ask
from core.audit import Keyring
from core.evidence import Evidence
from core.ids import (
    AlarmId,
    ApprovalId,
    Channel,
    DeviceName,
    GroupId,
    IncidentId,
    RolloutId,
    SlackUser,
    Stack,
    Subject,
    Tenant,
)
from core.incidents import Incident, Member, Window
from core.messages.blocks import compose
from core.ota import UpdateStory
from core.rollouts.actors import SCHEDULER
from core.rollouts.kept import Sample, moment
from core.rollouts.records import DeviceEvidence, GroupEvidence, RolloutRecord
from core.rollouts.views import Bar, Mood, Progress
from core.rollouts.wish import ReleaseWish
from integrations.store.approvals import ApprovalStore
from integrations.store.audit import AuditLog
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.homes import Homes, Shown
from integrations.store.incidents import AlarmKey, Held, Incidents, Source
from integrations.store.leases import Command, Leases
from integrations.store.outbox import Outbox, Priority, Wanted
from integrations.store.people import RememberedYes, Yes
from integrations.store.previous_sets import PreviousSets
from integrations.store.reboots import Reboots
from integrations.store.releases import Making, ReleaseStore
from integrations.store.replicas import Replicas
from integrations.store.rollout_past import add_moment, add_sample
from integrations.store.rollouts import RolloutStore
from integrations.store.update_stories import UpdateStories
from tests.conftest import ManualClock
from tests.unit.bot.conftest import Run, edit
from tests.unit.core.rollouts.cases import Case

EU1, A, B = Stack("eu1"), Tenant("customer-a"), Tenant("customer-b")
SECOND = """      # customer-b came in spring
      - id: customer-b
        keycloak_group: /customer-b
        channel: C0B
        wireguard_range: 10.66.2.0/24
        thingsboard: {username: bot@b.example, password: {env: CDM_TB_B}}
        webhook_secrets: [{env: CDM_HOOK_B}]

links:"""
pytestmark = pytest.mark.usefixtures("logged_in")
NOW_MS = 1_800_000_000_000
ALONE, SPANNING = RolloutId(7), RolloutId(8)


@dataclass(frozen=True, slots=True)
class Things:
    """What one tenant has in the store."""

    tenant: Tenant
    channel: Channel
    letter: str

    @property
    def device(self) -> DeviceName:
        return DeviceName(f"{self.letter}-gw-001")

    @property
    def incident(self) -> IncidentId:
        return IncidentId("i" + self.letter * 20)

    @property
    def alarm(self) -> AlarmKey:
        return AlarmKey(EU1, self.tenant, AlarmId(f"alarm-{self.letter}"))


OF_A, OF_B = Things(A, Channel("C0000000004"), "a"), Things(B, Channel("C0B"), "b")


def an_alarm(of: Things) -> AlarmState:
    return AlarmState(
        of.alarm.alarm_id,
        "OTA Failure",
        "originator",
        of.device,
        None,
        Severity.CRITICAL,
        Severity.MAJOR,
        *(False, False, False),
        *(1, 1, 1, 0, 0, 0, 1),
    )


def an_incident(of: Things, *, cleared: bool) -> Incident:
    alarm = of.alarm.alarm_id
    times = (1, 0, int(cleared), 1)
    member = Member(alarm, "originator", of.device, None, Severity.CRITICAL, False, cleared, False, *times)
    return Incident(of.incident, EU1, of.tenant, "OTA Failure", False, NOW_MS, NOW_MS, {alarm: member})


def a_request(of: Things, now: datetime) -> Request:
    """Somebody asked for a second person, about its devices alone."""
    tenants = frozenset({of.tenant})
    order = Order(Action.STOP, f"rollout:{EU1}/{ALONE}", "Stop it", {}, EU1, tenants, Channel("C0R"))
    by = Party(Subject("s"), "somebody", "T0/U0S")
    return ask(ApprovalId(f"{of.letter}22222"), order, by, "why not", Evidence({"devices": (of.device,)}), Rule(), now)


async def seed(store: Store, clock: ManualClock, of: Things, keys: Keyring, *, cleared: bool = False) -> None:
    """Something of the tenant's in every family that holds anything of tenants."""
    incidents, outbox, rollouts = Incidents(store), Outbox(store, clock), RolloutStore(store)
    stories = UpdateStories(store)
    now, scope = NOW_MS, f"{EU1}/{of.tenant}"
    where = f"attribute.tenant=={of.tenant}"
    wish = ReleaseWish(stack=EU1, set_name="edge", version="2", where=where, tenant=of.tenant)
    await ReleaseStore(store).keep(wish)
    evidence = GroupEvidence(GroupId(1), {of.device: DeviceEvidence(of.device, tenant=of.tenant)})
    source = Source(EU1, of.tenant, "OTA Failure", "originator")
    wanted = Wanted(f"incident:{of.incident}", of.channel, compose("An alarm"), Priority.INCIDENT)
    run = Wanted(f"run:{of.letter}1", of.channel, compose(f"RAUC status of {of.device}"), Priority.UPDATE)
    commands: list[Command] = [
        *incidents.put_alarm(of.alarm, Held(an_alarm(of), of.incident), None, now),
        *incidents.put_incident(an_incident(of, cleared=False), None, now),
        *incidents.put_incident(an_incident(of, cleared=cleared), an_incident(of, cleared=False), now),
        *incidents.put_window(source.window, Window(((of.incident, 1),), None)),
        *incidents.put_last(source, of.incident),
        incidents.file_due(of.incident, 1),
        stories.want(of.incident, 1),
        stories.tell(of.incident, UpdateStory(1, last_error=f"{of.device} has no space left")),
        *ReleaseStore(store).begin(Making(wish, 3, SCHEDULER, clock.now(), {of.device: "edge:1.0.0"}, "1")),
        *rollouts.save_evidence(EU1, SPANNING, evidence, GroupEvidence(GroupId(1))),
        *PreviousSets(store).keep(EU1, SPANNING, {of.device: "edge:1.0.0"}),
        *ApprovalStore(store).save(a_request(of, clock.now())),
        *outbox.want(wanted),
        *outbox.want(run),
        *outbox.upload_commands(f"{run.key}:output", run.key, "out.txt", b"slot A", "Complete output"),
        ("SET", f"cdm:outbox:row:{wanted.key}", b"{}"),
        ("ZADD", "cdm:outbox:dead", 1, wanted.key),
        ("HSET", "cdm:outbox:budget:post:" + of.channel, "left", "1"),
        ("SET", f"cdm:reconcile:{scope}", b"{}"),
        ("XADD", "cdm:intake", f"{1 + ord(of.letter)}-0", "h", f"w\n{scope.replace('/', chr(10))}\n1", "b", b"{}"),
        ("HSET", "cdm:intake:failures", f"{1 + ord(of.letter)}-0", 2),
        ("XADD", "cdm:intake:dead", "*", "h", f"w\n{scope.replace('/', chr(10))}\n1", "b", b"{}", "why", "odd"),
        ("XADD", "cdm:work", "*", "i", orjson.dumps({"kind": "click", "value": of.incident})),
        ("XADD", "cdm:work:dead", "*", "i", orjson.dumps({"text": f"run rauc-status {of.device}"}), "why", "failed"),
    ]
    for command in commands:
        await store.execute_command(*command)
    leases = Leases(store, clock)
    for name in (f"reconcile:{scope}", f"device:{EU1}/{of.device}", f"outbox:{of.channel}"):
        assert await leases.acquire(name, 60)
    await outbox.tell(Channel("C0X"), "U0X", compose(f"Alarms of {of.tenant}"))
    tenants = frozenset({of.tenant})
    user = SlackUser("T0", f"U0{of.letter.upper()}")
    await RememberedYes(store, clock).put(user, Yes(Subject("s"), "somebody", tenants, tenants, clock.now()))
    await Homes(store).show(user, Shown(tenants, "digest"))
    data = {"tenant": of.tenant}
    await AuditLog(store, clock, keys).note("bot", "run:rauc-status", f"device:{EU1}/{of.device}", data)


async def seed_shared(store: Store, clock: ManualClock) -> None:
    """A rollout of both tenants that is over, one of the second alone, a person of both, and links."""
    rollouts = RolloutStore(store)
    evidence = GroupEvidence(GroupId(1), {OF_B.device: DeviceEvidence(OF_B.device, tenant=B)})
    bar = Bar(1, "group-1", "finished", 2, 1, 0, 0, 1, 0, 0, 0, 0, True, refuted_names=(OF_B.device, OF_A.device))
    shown = Progress(
        stack=EU1,
        rollout=SPANNING,
        name="spring",
        set_name="edge",
        mood=Mood.DONE,
        owned=True,
        auto=True,
        bars=(bar,),
        reasons=(f"{OF_B.device} did not boot",),
        next_number=None,
        next_total=0,
        can_promote=False,
        can_pause=False,
        can_resume=False,
        can_hold=False,
        can_unhold=False,
        can_stop=False,
        running=0,
        read_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    spanning = RolloutRecord(EU1, SPANNING, excluded=(OF_B.device,), progress=shown, shown="digest")
    message = Wanted(f"rollout:{EU1}/{SPANNING}", Channel("C0R"), compose("spring"), Priority.UPDATE)
    commands: list[Command] = [
        *rollouts.save_evidence(EU1, ALONE, evidence, GroupEvidence(GroupId(1))),
        *rollouts.save(RolloutRecord(EU1, ALONE))[1],
        *rollouts.save(spanning)[1],
        Reboots(store).begin(EU1, ALONE),
        *add_sample(EU1, ALONE, Sample(clock.now(), "running", (bar,))),
        *add_moment(EU1, ALONE, moment(Case().inputs(), Case().decide())),
        ("HDEL", f"cdm:rollout:tracked:{EU1}", SPANNING),
        *Outbox(store, clock).want(message),
        ("SET", f"cdm:outbox:row:{message.key}", b"{}"),
        ("SET", "cdm:link:T0/U0BOB", orjson.dumps({"email": "bob@customer-b"})),
    ]
    for command in commands:
        await store.execute_command(*command)
    both = frozenset({A, B})
    yes = Yes(Subject("s"), "somebody", both, frozenset({B}), clock.now())
    await RememberedYes(store, clock).put(SlackUser("T0", "U0BOTH"), yes)


async def everything(store: Store) -> dict[str, Any]:
    """All that the store holds, key by key."""
    read = {b"string": store.get, b"hash": store.hgetall, b"set": store.smembers}
    found: dict[str, Any] = {}
    for key in sorted([key async for key in store.scan_iter()]):
        kind = await store.type(key)
        if kind == b"stream":
            found[key.decode()] = await store.xrange(key)
        elif kind == b"zset":
            found[key.decode()] = await store.zrange(key, 0, -1)
        else:
            found[key.decode()] = await read[kind](key)
    return found


def families(found: Mapping[str, Any]) -> set[str]:
    return {family.name for key in found if (family := family_of(key, ALL_FAMILIES))}


def test_every_family_of_keys_says_how_a_tenants_share_is_found_or_why_there_is_none() -> None:
    assert {family.name for family in ALL_FAMILIES} == OF_FAMILIES.keys(), "declare a new family in bot/tenants"
    assert all(kind.how if isinstance(kind, PerTenant) else kind.why for kind in OF_FAMILIES.values())


async def test_all_of_one_tenant_goes_and_nothing_of_the_other(store: Store, clock: ManualClock) -> None:
    keys = Keyring()
    await seed(store, clock, OF_A, keys)
    before = await everything(store)
    await seed(store, clock, OF_B, keys)
    seeded = families(await everything(store))
    assert {name for name, kind in OF_FAMILIES.items() if isinstance(kind, PerTenant)} - seeded == {
        "rollouts",
        "rollout curves",
        "rollout decisions",
        "rollouts tracked",
        "reboots under way",
    }, "seed something of a new family, so that its rule is tried"
    await seed_shared(store, clock)
    assert families(await everything(store)) >= {"rollouts", "rollouts tracked"}

    about = await gathered(store, EU1, B, Known(OF_B.channel, {OF_A.channel}))
    assert (set(about.devices), set(about.incidents)) == ({OF_B.device}, {OF_B.incident})
    assert (set(about.rollouts), set(about.alone), set(about.active)) == ({"7", "8"}, {"7"}, {"7"})
    assert (await search(store, about)).left_count > 20
    taken = await take_out(store, about)
    assert {name for name, kind in OF_FAMILIES.items() if isinstance(kind, PerTenant)} - taken.keys() == set()
    proof = await search(store, about)
    assert (proof.left, proof.left_count) == ([], 0)

    after = await everything(store)
    others = {"cdm:link:T0/U0BOB", "cdm:yes:T0/U0BOTH", f"cdm:rollout:doc:{EU1}/{SPANNING}"}
    emptied = {f"cdm:rollout:{kind}:{EU1}/{ALONE}" for kind in ("past", "curve")}
    assert not any(after[key] for key in emptied)
    assert {key for key in after.keys() - before.keys() if "tell:" not in key} <= others | emptied
    for key, value in before.items():
        if ":audit" not in key and ":tell" not in key and ":lanes" not in key:
            assert after[key] == value, key
    assert (await AuditLog(store, clock, keys).verify())[1] is None
    rollout = orjson.loads(after[f"cdm:rollout:doc:{EU1}/{SPANNING}"])
    assert rollout["progress"]["bars"][0]["refuted_names"] == [OF_A.device]
    assert rollout["progress"]["reasons"] == ["removed-device did not boot"]
    assert orjson.loads(after["cdm:yes:T0/U0BOTH"])["view"] == [A]


async def test_a_removal_that_broke_off_anywhere_is_finished_by_the_next(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off after each single write in turn."""
    known, writes, real = Known(OF_B.channel, {OF_A.channel}), 0, store_data._carry_out
    await seed(store, clock, OF_B, Keyring())
    await seed_shared(store, clock)

    async def once(*given: Any) -> None:
        nonlocal writes
        await real(*given)
        writes += 1
        if given[1]:
            raise ConnectionError

    monkeypatch.setattr(store_data, "_carry_out", once)
    monkeypatch.setattr(store_data, "BATCH", 1)
    for run in range(1, 100):
        try:
            await take_out(store, await gathered(store, EU1, B, known))
            break
        except ConnectionError:
            assert writes == run
    assert writes > 20
    last = await gathered(store, EU1, B, known)
    whole = Marks(EU1, B, {OF_B.device, OF_B.incident, OF_B.channel}, shared=False)
    assert (await search(store, replace(last, marks=whole))).left == []


@pytest.fixture
def two_tenants(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    edit(config, "links:", SECOND)
    monkeypatch.setenv("CDM_HOOK_B", "hook-secret-b")
    return config


@pytest.fixture
async def at_rest(two_tenants: Path, data_dir: Path, clock: ManualClock, keys: Keyring) -> Path:
    """The settings, and a store at rest with both tenants' things."""
    server = EmbeddedStore(data_dir / "store")
    await server.start()
    async with connect(server.url) as store:
        await seed(store, clock, OF_A, keys)
        await seed(store, clock, OF_B, keys, cleared=True)
    await server.stop()
    return two_tenants


def text_of(config: Path) -> str:
    return config.read_text()


def tenants(config: Path) -> list[str]:
    return [tenant.id for tenant in load_settings(config).stacks[0].tenants]


async def test_the_command_exports_removes_proves_and_says_what_stays(
    run: Run, at_rest: Path, tmp_path: Path, keys: Keyring, data_dir: Path, clock: ManualClock
) -> None:
    out = tmp_path / "export"
    done = await run(app, "tenant", "remove", "customer-b", "--yes", "--export", out, "--config", at_rest)
    assert done.exit_code == 0, done.output
    assert tenants(at_rest) == ["customer-a"]
    assert "customer-b" not in text_of(at_rest)
    for said in ("none names customer-b", "audit (", "they are not the bot's to take back", "cdm.yaml.bak"):
        assert said in done.stdout
    assert "1 incidents (0 open), 1 devices" in done.stdout
    assert "hook-secret-b" not in done.output

    files = {path.name for path in out.iterdir()}
    assert {file_name("incidents"), file_name("outbox, wanted"), file_name("rollout evidence")} <= files
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    (line,) = (out / file_name("incidents")).read_text().splitlines()
    assert json.loads(line)["value"]["members"][0]["device"] == OF_B.device

    server = EmbeddedStore(data_dir / "store")
    await server.start()
    async with connect(server.url) as store:
        log = AuditLog(store, clock, keys)
        assert (await log.verify())[1] is None
        outcome, intent = await log.latest(2)
        assert (intent.action, intent.object) == ("remove_tenant", "tenant:eu1/customer-b")
        assert (intent.actor, intent.data["name"]) == ("subject-of-alice", "alice")
        assert outcome.data["left"] == 0
        assert outcome.data["taken"]["incidents"] == 1
    await server.stop()

    again = await run(app, "tenant", "remove", "customer-b", "--yes", "--config", at_rest)
    assert again.exit_code == 0, again.output
    assert "cdm.yaml has it no more" in again.stdout
    assert "none names customer-b" in again.stdout


async def test_what_the_settings_forget_first_is_found_by_the_second_run(run: Run, at_rest: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:

        async def killed(*_: Any) -> None:
            raise OSError("killed")

        patched.setattr(removing, "take_out", killed)
        assert (await run(app, "tenant", "remove", "customer-b", "--yes", "--config", at_rest)).exit_code == 1
    assert tenants(at_rest) == ["customer-a"]
    done = await run(app, "tenant", "remove", "customer-b", "--yes", "--config", at_rest)
    assert done.exit_code == 0, done.output
    assert "  outbox, lanes" in done.stdout, "its channel is known from the audit log"
    assert "none names customer-b" in done.stdout


async def test_a_question_answered_no_changes_nothing(run: Run, at_rest: Path) -> None:
    before = text_of(at_rest)
    done = await run(app, "tenant", "remove", "customer-b", "--config", at_rest)  # the end of input is a no
    assert done.exit_code == 1
    assert "Take it out?" in done.output
    assert text_of(at_rest) == before


@pytest.mark.parametrize(
    ("id", "said"),
    [("customer-x", "has no tenant customer-x"), ("customer-a", "1 open incidents")],
)
async def test_what_speaks_against_it_is_told_and_nothing_is_changed(
    run: Run, at_rest: Path, id: str, said: str
) -> None:
    before = text_of(at_rest)
    done = await run(app, "tenant", "remove", id, "--yes", "--config", at_rest)
    assert done.exit_code == 1
    assert said in done.stderr
    assert text_of(at_rest) == before
    if id == "customer-a":
        forced = await run(app, "tenant", "remove", id, "--yes", "--force", "--config", at_rest)
        assert forced.exit_code == 0, forced.output
        assert tenants(at_rest) == ["customer-b"]


async def test_the_last_tenant_of_a_stack_is_not_taken_out(run: Run, config: Path, data_dir: Path) -> None:
    done = await run(app, "tenant", "remove", "customer-a", "--yes", "--config", config)
    assert done.exit_code == 1
    assert "the last tenant of stack eu1" in done.stderr
    assert tenants(config) == ["customer-a"]


async def test_without_a_login_nothing_is_changed(run: Run, at_rest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # nobody has logged in, and no Keycloak is there
    monkeypatch.setenv("CDM_KEYCLOAK__URL", "http://127.0.0.1:9")
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    before = text_of(at_rest)
    for words in (("remove", "customer-b", "--yes"), ("add", "customer-c")):
        done = await run(app, "tenant", *words, "--config", at_rest)
        assert done.exit_code == 1
        assert "Keycloak" in done.stderr or "keycloak-client-secret" in done.stderr
    assert text_of(at_rest) == before


async def test_before_any_bot_has_run_only_the_settings_change(run: Run, two_tenants: Path) -> None:
    done = await run(app, "tenant", "remove", "customer-b", "--yes", "--config", two_tenants)
    assert done.exit_code == 0, done.output
    assert "no store yet" in done.stdout
    assert tenants(two_tenants) == ["customer-a"]


async def test_while_a_bot_is_at_work_nothing_is_removed(
    run: Run, two_tenants: Path, embedded: EmbeddedStore, store: Store, data_dir: Path
) -> None:
    held = EmbeddedStore(data_dir / "store")
    await held.start()
    done = await run(app, "tenant", "remove", "customer-b", "--yes", "--config", two_tenants)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(removing, "is_locked", lambda _: False)  # it starts right after that look
        late = await run(app, "tenant", "remove", "customer-b", "--yes", "--config", two_tenants)
    await held.stop()
    assert "A bot is at work on" in done.stderr
    assert "Another bot already uses" in late.stderr
    edit(two_tenants, "store: {}", f"store: {{url: '{embedded.url}'}}")
    await Replicas(store, "first").beat()
    done = await run(app, "tenant", "remove", "customer-b", "--yes", "--config", two_tenants)
    assert done.exit_code == 1
    assert "1 bot processes are at work on this store" in done.stderr
    assert "Stop every bot" in done.stderr
    assert tenants(two_tenants) == ["customer-a", "customer-b"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"tenant":"customer-b"}', True),
        (b"cdm:reconcile:eu1/customer-b", True),
        (b"w\neu1\ncustomer-b\n17\n{}", True),
        (b"about customer-b.", True),
        (b"bob@customer-b.example", False),
        (b"customer-b2 and x-customer-b", False),
        (b"eu2/customer-bb", False),
        (b"on b-gw-001, it failed", True),
        (b"on b-gw-0011", False),
        (b"sensor \xc3\xbc 1 is away", True),
    ],
)
def test_a_tenant_is_known_by_its_words_and_not_by_parts_of_others(text: bytes, named: bool) -> None:
    assert Marks(EU1, B, {"b-gw-001", "sensor ü 1"}, shared=False).stand_in(text) is named


def test_an_id_that_may_mean_something_else_is_only_looked_for_with_its_stack() -> None:
    assert not Marks(EU1, B, (), shared=True).stand_in(b'"tenant":"customer-b"')
    assert Marks(EU1, B, (), shared=True).stand_in(b"eu1/customer-b/alarm-1")
    everyday = Marks(EU1, Tenant("open"), (), shared=False)
    assert not everyday.stand_in(b'{"open":true,"text":"open since"}')
    assert everyday.stand_in(b'{"tenant":"open"}')
