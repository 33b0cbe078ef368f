"""`cdm config check --probe` on the wire: what is wrong in a system is said with its consequence and its fix."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bot import logs
from bot.commands import config as config_command
from bot.commands import policy as policy_command
from bot.config_file import load_settings
from bot.probe import Finding, Verdict, bounded, looks, probe
from bot.secrets import Secret
from bot.settings import Settings
from integrations.store.connection import connect
from integrations.store.embedded import EmbeddedStore
from sandbox.cast import ADMINS, ROLLOUTS, TENANTS
from sandbox.fleet import Pace
from sandbox.hawkbit import Account
from sandbox.hawkbit.accounts import BRAKE, EVERYDAY, READS
from sandbox.world import SandboxWorld
from tests.keycloak.standin import StandInRealm

BOT, BRAKE_BOT, RELEASE_BOT = "cdm-bot", "cdm-bot-brake", "cdm-bot-release"
CALM = Pace(poll_s=10.0, telemetry_s=1.0)


@pytest.fixture
async def world() -> AsyncIterator[SandboxWorld]:
    """A small world in which little happens: it is only looked at."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    async with SandboxWorld(directory, devices=6, pace=CALM, thingsboard_pace=0.2, slack_rate=20.0) as world:
        yield world
    shutil.rmtree(directory, ignore_errors=True)


async def found(world: SandboxWorld, system: str, **overrides: Any) -> list[Finding]:
    """What is not in order in one system."""
    return await found_by(load_settings(world.write_config(name="probed.yaml", **overrides)), system)


async def found_by(settings: Settings, system: str) -> list[Finding]:
    return troubles(await bounded(system, looks(settings)[system]), system)


def troubles(findings: list[Finding], system: str) -> list[Finding]:
    return [f for f in findings if f.system == system and f.verdict is not Verdict.OK]


def only(findings: list[Finding], says: str) -> Finding:
    (one,) = [f for f in findings if says in f.text]
    return one


def rights(world: SandboxWorld, account: str, permissions: frozenset[str], roles: frozenset[str] = frozenset()) -> None:
    password = world.hawkbit.accounts[account].password
    world.hawkbit.accounts[account] = Account(password, permissions=permissions, roles=roles)


def with_tenant(settings: Settings, **changes: Any) -> Settings:
    """The same settings with the first tenant changed."""
    stack = settings.stacks[0]
    first, *others = stack.tenants
    tenants = [first.model_copy(update=changes), *others]
    return settings.model_copy(update={"stacks": [stack.model_copy(update={"tenants": tenants})]})


async def test_a_good_installation_is_in_order_and_the_command_says_so(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    async with asyncio.timeout(10):
        while any([await found(world, f"ThingsBoard eu1/{tenant.id}") for tenant in TENANTS]):
            await asyncio.sleep(0.1)  # until each device has sent its first telemetry
    words = ["check", "--config", str(world.config), "--probe"]
    done = await asyncio.to_thread(lambda: CliRunner().invoke(config_command.app, words))
    assert done.exit_code == 0, done.output
    assert "0 failed, 0 warnings" in done.stdout
    for system in ("store", "Slack", "Keycloak", "hawkBit eu1", "ThingsBoard eu1/customer-b", "relay eu1"):
        assert f"ok    {system} " in done.stdout


async def test_policies_are_checked_with_the_fleet_that_there_is_and_devices_without_a_version_are_told(
    world: SandboxWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    mute = world.write_config(name="probed.yaml", promotion={"confidence_pct": 95, "keys": {"version": "never_sent"}})
    words = ["check", "--config", str(mute), "--probe", "--groups", "50/25/25"]
    done = await asyncio.to_thread(lambda: CliRunner().invoke(policy_command.app, words))
    assert done.exit_code == 1
    assert "eu1: checked with 6 devices in groups of 3/1/2" in done.stdout
    assert "sampled devices reports a version (telemetry key never_sent)" in done.stdout
    assert "promotion.confidence_pct: policy default in stack eu1: 1 of 1 verified devices give a lower" in done.stderr


async def test_nothing_is_changed_anywhere_and_no_connection_to_slack_is_opened(world: SandboxWorld) -> None:
    before = len(world.slack.workspace.changes)
    await probe(load_settings(world.config))
    assert len(world.slack.workspace.changes) == before
    assert world.slack.sockets.opened == 0
    assert world.relay.devices.ran == []
    assert not (world.directory / "data").exists()


async def test_a_hawkbit_account_without_rights_is_told_each_right_and_what_it_is_for(world: SandboxWorld) -> None:
    rights(world, BOT, frozenset())
    rights(world, BRAKE_BOT, READS)
    findings = await found(world, "hawkBit eu1")
    assert [f.verdict for f in findings] == [Verdict.FAIL] * 7
    handle = only(findings, "HANDLE_ROLLOUT")
    assert "The everyday account cdm-bot lacks HANDLE_ROLLOUT" in handle.text
    assert "nothing is promoted" in handle.text
    assert "hawkbit.security.user.cdm-bot.permissions" in handle.fix
    assert "cannot stop a rollout" in only(findings, "lacks UPDATE_ROLLOUT").text


async def test_hawkbit_rights_given_as_roles_are_named_as_the_mistake(world: SandboxWorld) -> None:
    rights(world, BOT, frozenset(), roles=EVERYDAY)
    one = only(await found(world, "hawkBit eu1"), "lacks READ_ROLLOUT")
    assert "READ_ROLLOUT stands under `roles`, where it is no right" in one.fix


async def test_an_everyday_account_that_may_skip_groups_is_a_warning(world: SandboxWorld) -> None:
    rights(world, BOT, EVERYDAY | BRAKE)
    findings = await found(world, "hawkBit eu1")
    assert [f.verdict for f in findings] == [Verdict.WARN] * 2
    one = only(findings, "holds UPDATE_ROLLOUT")
    assert "start the next group without any check" in one.text
    assert "give it to the brake account alone" in one.fix
    assert "assign any set to any device" in only(findings, "holds UPDATE_TARGET").text


async def test_a_refused_hawkbit_login_hides_nothing_of_the_other_account(world: SandboxWorld) -> None:
    (world.directory / "secrets" / "wrong").write_text("not-the-password")
    settings = load_settings(world.config)
    stack = settings.stacks[0]
    hawkbit = stack.hawkbit.model_copy(update={"password": Secret(file=world.directory / "secrets" / "wrong")})
    changed = settings.model_copy(update={"stacks": [stack.model_copy(update={"hawkbit": hawkbit})]})
    findings = await bounded("hawkBit eu1", looks(changed)["hawkBit eu1"])
    assert [f.verdict for f in findings] == [Verdict.FAIL, Verdict.OK, Verdict.OK]
    assert "refuses the login of the everyday account cdm-bot" in findings[0].text
    assert "secrets/wrong" in findings[0].fix
    assert "not-the-password" not in str(findings)


async def test_without_a_brake_account_it_is_said_what_cannot_be_done(world: SandboxWorld) -> None:
    settings = load_settings(world.config)
    stack = settings.stacks[0]
    hawkbit = stack.hawkbit.model_copy(update={"brake_username": None, "brake_password": None})
    changed = settings.model_copy(update={"stacks": [stack.model_copy(update={"hawkbit": hawkbit})]})
    one = only(await found_by(changed, "hawkBit eu1"), "no brake account")
    assert "`redeploy` are refused" in one.text


async def test_a_release_account_is_told_its_missing_rights_and_may_be_left_out(world: SandboxWorld) -> None:
    rights(world, RELEASE_BOT, READS)
    findings = await found(world, "hawkBit eu1")
    assert [f.verdict for f in findings] == [Verdict.FAIL] * 5
    assert "lock no set" in only(findings, "The release account cdm-bot-release lacks UPDATE_DISTRIBUTION_SET").text
    settings = load_settings(world.config)
    stack = settings.stacks[0]
    hawkbit = stack.hawkbit.model_copy(update={"release_username": None, "release_password": None})
    changed = settings.model_copy(update={"stacks": [stack.model_copy(update={"hawkbit": hawkbit})]})
    one = only(await bounded("hawkBit eu1", looks(changed)["hawkBit eu1"]), "no release account")
    assert one.verdict is Verdict.OK


async def test_an_everyday_account_that_may_change_sets_is_a_warning(world: SandboxWorld) -> None:
    rights(world, BOT, EVERYDAY | {"UPDATE_DISTRIBUTION_SET"})
    (one,) = await found(world, "hawkBit eu1")
    assert one.verdict is Verdict.WARN
    assert "unusable for ever" in one.text
    assert "give it to the release account alone" in one.fix


async def test_a_rollout_that_hawkbit_promotes_itself_is_pointed_out(world: SandboxWorld) -> None:
    paused = await world.pipeline.release("1.1.0", groups=(25, 75))
    assert await found(world, "hawkBit eu1") == []
    repo = world.hawkbit.tenant().repo
    for group in repo.rollout(paused).groups:
        group.conditions = replace(group.conditions, success_action="NEXTGROUP")
    (one,) = await found(world, "hawkBit eu1")
    assert one.verdict is Verdict.WARN
    assert "by itself" in one.text
    assert "PAUSE on each group" in one.fix


async def test_keycloak_with_query_users_only_is_not_taken_for_a_realm_without_people(world: SandboxWorld) -> None:
    world.realm.service_account(BOT).rights = {"query-users"}
    (one,) = await found(world, "Keycloak")
    assert one.verdict is Verdict.FAIL
    assert "everybody for a stranger" in one.text
    assert "Give service-account-cdm-bot the role view-users" in one.fix


async def test_rights_the_bot_must_not_have_and_scopes_it_lacks_are_named_with_what_follows(
    world: SandboxWorld,
) -> None:
    world.realm.service_account(BOT).rights |= {"view-clients", "manage-users", "view-authorization"}
    world.realm.clients[BOT].scopes = {"basic"}
    findings = await found(world, "Keycloak")
    assert {f.verdict for f in findings} == {Verdict.WARN}
    clients = only(findings, "holds view-clients")
    assert "could read the secrets of every client" in clients.text
    assert "Take view-clients from service-account-cdm-bot" in clients.fix
    assert "give itself or anybody any role" in only(findings, "holds manage-users").text
    assert "nothing the bot does needs it" in only(findings, "holds view-authorization").text
    scopes = only(findings, "lacks the client scope acr:")
    assert "does not say how the person logged in" in scopes.text
    assert "deploy/keycloak/apply.py" in scopes.fix


async def test_a_wrong_client_secret_and_a_wrong_realm_are_told_apart(world: SandboxWorld) -> None:
    (refused,) = await found(world, "Keycloak", keycloak={"client_secret": {"file": "secrets/hawkbit"}})
    assert "secret" in refused.text
    (unknown,) = await found(world, "Keycloak", keycloak={"realm": "elsewhere"})
    assert "does not know the configured realm" in unknown.text


async def test_a_tenant_without_its_group_or_with_one_admin_is_named(world: SandboxWorld) -> None:
    assert await found(world, "Keycloak") == []
    heidi = world.realm.by_username("heidi")
    assert heidi is not None
    heidi.groups = []
    findings = await found_by(with_tenant(load_settings(world.config), keycloak_group="/customer-x"), "Keycloak")
    missing = only(findings, "no group /customer-x")
    assert (missing.verdict, "correct keycloak_group" in missing.fix) == (Verdict.FAIL, True)
    lonely = only(findings, "/customer-b has only one admin (alice)")
    assert lonely.verdict is Verdict.WARN
    assert "wait there for a platform-admin" in lonely.text


async def test_the_command_lines_ways_in_are_tried(world: SandboxWorld) -> None:
    account = {"client_id": "deploy", "client_secret": {"file": "secrets/keycloak"}}
    await StandInRealm(world.url("keycloak")).create_service_account("deploy", world.realm.clients[BOT].secret)
    assert await found(world, "Keycloak", cli={"service_account": account}) == []
    world.realm.clients[BOT].device_grant = False
    world.realm.clients["deploy"].enabled = False
    closed, refused = await found(world, "Keycloak", cli={"service_account": account})
    assert (closed.verdict, refused.verdict) == (Verdict.WARN, Verdict.FAIL)
    assert "Device Authorization Grant of the client cdm-bot" in closed.fix
    assert "the client deploy" in refused.fix


async def test_a_missing_scope_says_which_feature_is_lost(world: SandboxWorld) -> None:
    world.slack.scopes -= {"files:write", "chat:write", "groups:read"}
    findings = await found(world, "Slack")
    assert {f.text.split()[5]: f.verdict for f in findings} == {
        "chat:write": Verdict.FAIL,
        "files:write": Verdict.WARN,
        "groups:read": Verdict.WARN,
    }
    assert "no file is shown" in only(findings, "files:write").text
    assert all("install the app again" in f.fix for f in findings)


async def test_a_channel_the_bot_cannot_post_to_is_named_with_its_use(world: SandboxWorld) -> None:
    world.slack.remove_bot(ROLLOUTS)
    world.slack.archive(ADMINS)
    findings = await found(world, "Slack", slack={"fallback_channel": "C0NOWHERE"})
    assert "/invite" in only(findings, f"not a member of the channel {ROLLOUTS} (rollouts of eu1)").fix
    assert "Unarchive" in only(findings, f"{ADMINS} (slack.admin_channel) is archived").fix
    assert "correct the id" in only(findings, "no channel C0NOWHERE (slack.fallback_channel)").fix
    assert [f.verdict for f in findings] == [Verdict.FAIL] * 3


async def test_channels_that_may_not_be_asked_for_are_no_failure(world: SandboxWorld) -> None:
    world.slack.scopes.discard("channels:read")
    findings = await found(world, "Slack")
    assert {f.verdict for f in findings} == {Verdict.WARN}
    assert "could not be asked" in only(findings, ROLLOUTS).text


async def test_the_wrong_workspace_a_wrong_app_token_and_a_revoked_token(world: SandboxWorld) -> None:
    wrong = {"team": "T0OTHER", "app_token": {"file": "secrets/slack-bot-token"}}
    findings = await found(world, "Slack", slack=wrong)
    assert "Set slack.team to T0CDM" in only(findings, "belongs to workspace T0CDM").fix
    assert "connections:write" in only(findings, "refuses the app token (not_allowed_token_type)").fix
    world.slack.refuse_token("token_revoked")
    (revoked,) = await found(world, "Slack")
    assert "Install the app again" in revoked.text


@pytest.fixture
async def running_store(world: SandboxWorld) -> AsyncIterator[EmbeddedStore]:
    """What a bot would be running on the world's data directory."""
    server = EmbeddedStore(world.directory / "data" / "store")
    await server.start()
    yield server
    await server.stop()


async def test_a_store_without_an_append_only_file_is_refused(
    world: SandboxWorld, running_store: EmbeddedStore
) -> None:
    store = connect(running_store.url)
    at = {"url": running_store.url}
    assert await found(world, "store", store=at) == []
    await store.config_set("appendfsync", "everysec")
    (late,) = await found(world, "store", store=at)
    assert late.verdict is Verdict.WARN
    assert "a power cut may lose a second" in late.text
    await store.config_set("appendonly", "no")
    await store.set("cdm:schema", 9)
    losing, newer = await found(world, "store", store=at)
    assert losing.verdict is newer.verdict is Verdict.FAIL
    assert "is gone after a crash. Set 'appendonly yes'" in losing.text
    assert "A newer bot wrote it (schema 9" in newer.text
    (trusted, _) = await found(world, "store", store={**at, "trust_persistence": True})
    assert "was not checked" in trusted.text
    await store.aclose()


async def test_the_store_of_a_running_bot_is_asked_and_left_running(
    world: SandboxWorld, running_store: EmbeddedStore
) -> None:
    findings = await bounded("store", looks(load_settings(world.config))["store"])
    assert [f.verdict for f in findings] == [Verdict.OK, Verdict.OK]
    assert "A bot is running" in findings[0].text
    assert "fsync at every write" in findings[1].text
    assert running_store.pid is not None


async def test_a_store_that_is_away_and_a_data_directory_that_cannot_be_one(world: SandboxWorld) -> None:
    (away,) = await found(world, "store", store={"url": "redis://127.0.0.1:1/0"})
    assert "correct store.url" in away.text
    (file,) = await found(world, "store", data_dir=str(world.config))
    assert (file.verdict, "set data_dir" in file.fix) == (Verdict.FAIL, True)


async def test_a_data_directory_that_another_bot_holds_is_not_called_free(world: SandboxWorld) -> None:
    directory = world.directory / "data" / "store"
    directory.mkdir(parents=True)
    with hold(directory / "store.lock"):
        (one,) = await found(world, "store")
    assert "held by another bot" in one.text
    assert "data_dir of its own" in one.fix
    assert await found(world, "store") == []


def hold(path: Path) -> Any:
    """As a bot that is just starting does: the lock alone."""
    lock = path.open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


async def test_devices_without_a_version_would_hold_the_gate_for_ever(world: SandboxWorld) -> None:
    fresh = world.thingsboard.add_tenant("fresh")
    login = await account(world, lambda email: world.thingsboard.add_user(fresh, email, "tb-password"))
    profile = world.thingsboard.add_profile(fresh, "p")
    for number in range(30):
        world.thingsboard.add_device(
            fresh, f"old-{number:02}", profile=profile, attributes={"wireguard_ip": f"10.66.1.{number}"}
        )
    (one,) = await found_by(login, "ThingsBoard eu1/customer-a")
    assert one.verdict is Verdict.WARN
    assert "None of 15 sampled devices" in one.text
    assert "the gate would hold for ever" in one.text
    assert "Let the devices send sw_version" in one.fix


async def test_a_device_without_version_or_address_and_one_outside_the_tunnel_are_named(world: SandboxWorld) -> None:
    tenant = next(t for t in world.thingsboard.world.tenants.values() if t.title == "customer-a")
    profile = world.thingsboard.add_profile(tenant, "p")
    world.thingsboard.add_device(tenant, "z-bare", profile=profile)
    world.thingsboard.add_device(tenant, "z-astray", profile=profile, attributes={"wireguard_ip": "10.99.0.1"})
    async with httpx.AsyncClient(base_url=world.url("thingsboard"), trust_env=False) as http:
        (await http.post("/api/v1/token-a-gw-001/telemetry", json={"sw_version": "1.0.0"})).raise_for_status()
    findings = await found(world, "ThingsBoard eu1/customer-a")
    assert only(findings, "report no version").verdict is Verdict.WARN
    bare = only(findings, "no server attribute wireguard_ip")
    assert ("z-bare" in bare.text, bare.verdict) == (True, Verdict.WARN)
    astray = only(findings, "outside 10.66.1.0/24")
    assert ("z-astray" in astray.text, astray.verdict) == (True, Verdict.FAIL)
    assert "Correct wireguard_range of customer-a" in astray.fix


async def test_an_account_of_no_tenant_and_a_refused_login(world: SandboxWorld) -> None:
    fresh = world.thingsboard.add_tenant("fresh")
    system = "ThingsBoard eu1/customer-a"

    def add(email: str) -> None:
        world.thingsboard.add_user(fresh, email, "tb-password").authority = "SYS_ADMIN"

    (useless,) = await found_by(await account(world, add), system)
    assert "SYS_ADMIN, which sees no device" in useless.text
    (empty,) = await found_by(
        await account(world, lambda email: world.thingsboard.add_user(fresh, email, "tb-password"), "e@x.example"),
        system,
    )
    assert "sees no device" in empty.text
    (refused,) = await found_by(await account(world, lambda _: None, "nobody@x.example"), system)
    assert "Check the account and its secret" in refused.text
    assert "tb-password" not in str(refused)


async def account(world: SandboxWorld, add: Callable[[str], Any], email: str = "bot@fresh.example") -> Settings:
    """Settings whose first tenant logs in as the account that `add` makes."""
    add(email)
    file = world.directory / "secrets" / "tb-fresh"
    file.write_text("tb-password")
    settings = load_settings(world.config)
    given = settings.stacks[0].tenants[0].thingsboard
    login = given.model_copy(update={"username": email, "password": Secret(file=file)})
    return with_tenant(settings, thingsboard=login)


async def test_an_unknown_or_changed_relay_key_is_told_apart_from_a_relay_that_is_down(world: SandboxWorld) -> None:
    known = world.directory / "known_hosts"
    text = known.read_text()
    known.write_text("".join(line for line in text.splitlines(True) if not line.startswith("relay-eu1 ")))
    (unknown,) = await found(world, "relay eu1")
    assert "No host key of relay-eu1 is known. Check its key and add it to known_hosts" in unknown.text
    known.write_text(text)
    await world.relay.misbehave(wrong_key=True)
    (changed,) = await found(world, "relay eu1")
    assert "shows another host key than the known one" in changed.text
    await world.relay.misbehave(wrong_key=False, down=True)
    (down,) = await found(world, "relay eu1")
    assert "takes no SSH connection" in down.text
    assert "whether it runs" in down.fix


async def test_a_relay_key_others_can_read_is_refused(world: SandboxWorld) -> None:
    (world.directory / "relay-ed25519").chmod(0o644)
    (one,) = await found(world, "relay eu1")
    assert "chmod 600" in one.text


async def test_a_system_that_hangs_costs_its_own_time_only_and_the_others_are_told(world: SandboxWorld) -> None:
    world.servers["keycloak"].faults.add("late_request", delay_s=60)
    findings = await probe(load_settings(world.config), timeout_s=2)
    (late,) = troubles(findings, "Keycloak")
    assert "did not answer within 2 s" in late.text
    assert "--timeout" in late.fix
    assert troubles(findings, "Slack") == troubles(findings, "relay eu1") == []


async def test_no_secret_is_ever_printed(world: SandboxWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    values = {file.name: file.read_text() for file in (world.directory / "secrets").iterdir()}
    for file in values:
        (world.directory / "secrets" / file).write_text(f"{values[file]}-but-wrong")
        (world.directory / "secrets" / file).chmod(0o640)
    words = ["check", "--config", str(world.config), "--probe"]
    done = await asyncio.to_thread(lambda: CliRunner().invoke(config_command.app, words))
    assert done.exit_code == 1
    assert done.stderr.count("chmod 600") == len(values)
    for system in ("Slack", "Keycloak", "hawkBit eu1", "ThingsBoard eu1/customer-a"):
        assert f"fail  {system} " in done.stdout
    assert [name for name, value in values.items() if value in done.output] == []
