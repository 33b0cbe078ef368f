"""A tenant goes and comes again on the real program: its alarms, its rollouts, its people, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from bot import logs
from bot.cli import app
from sandbox.cast import ROLLOUTS, STACK, TENANTS
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, office
from tests.scenario.program import WEBHOOK, bearer, raised, until
from tests.scenario.terminal import Ended, Terminal

A, B, C = TENANTS
pytestmark = ONE_LOOP


@pytest.fixture(autouse=True)
def _loggers_keep_their_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Office]:
    async with office() as house:
        house.world.realm.device_interval_s = 1
        yield house


async def tenant(house: Office, *words: str | Path) -> Result:
    given = ["tenant", *(str(word) for word in words), "--config", str(house.world.config)]
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, given))


async def tenant_by(account: str, house: Office, *words: str | Path) -> Ended:
    """A command that asks for a login, and somebody who logs in."""
    return await Terminal(house.world.config).log_in(account, "tenant", *(str(word) for word in words))


async def test_a_tenant_in_order_is_in_order_and_only_it_is_looked_at(house: Office) -> None:
    async def in_order() -> Result | None:
        done = await tenant(house, "check", B.id)
        return done if "0 failed, 0 warnings" in done.stdout else None

    done = await until(in_order, "the devices' first telemetry")
    assert done.exit_code == 0, done.output
    for said in (
        f"The webhook secret of {B.id} is there, and no other tenant's",
        f"a member of the channel {B.channel} (alarms of {B.id})",
        f"{B.group} has 2 admins",
        "sends alarms here, with the right secret",
        f"has its address inside {B.range}",
        f"Of {B.id} it holds 0 incidents",
    ):
        assert said in done.stdout
    assert A.id not in done.stdout
    assert "hawkBit" not in done.stdout


async def test_what_is_wrong_with_a_tenant_is_told_with_its_fix(house: Office) -> None:
    world = house.world
    heidi = world.realm.by_username("heidi")
    assert heidi is not None
    groups, secret = list(heidi.groups), world.directory / "secrets" / f"webhook-{B.id}"
    value = secret.read_text()
    heidi.groups = []
    world.slack.remove_bot(B.channel)
    secret.write_text((world.directory / "secrets" / f"webhook-{A.id}").read_text())
    try:
        done = await tenant(house, "check", B.id)
    finally:
        heidi.groups = groups
        secret.write_text(value)
        await world.people.change_channel(B.channel, "invite_bot")
    assert done.exit_code == 1
    for said in (
        f"The webhook secret of {B.id} is also that of {A.id}",
        f"not a member of the channel {B.channel}",
        f"{B.group} has only one admin (alice)",
        "The secret in its rule chain is not the tenant's webhook secret",
    ):
        assert said in done.stdout


async def test_a_tenant_goes_with_all_its_data_and_the_others_do_not_notice(house: Office, tmp_path: Path) -> None:
    world, bot = house.world, house.bot
    await world.login("U0ALICE", "alice")
    await house.starts_rollout("spring", "1.1.0", [B.device(1), C.device(1)])  # by hand: it stops after the first group
    mine, theirs = await house.alarm(A.device(2)), await house.alarm(B.device(2))
    alice = house.person("alice")
    await alice.clicks(theirs, "acknowledge", B.channel)
    await house.shows(B.channel, "acknowledged")

    async def knows_the_rollout() -> bool:
        return "1 rollouts (1 under way)" in (await tenant(house, "check", B.id)).stdout

    await until(knows_the_rollout, "evidence of its device")
    refused = await tenant(house, "remove", B.id, "--yes")
    assert "A bot is at work" in refused.stderr
    await bot.stop()
    no_right = await tenant_by("frank", house, "remove", B.id, "--yes")
    assert (no_right.code, "takes an admin of every tenant" in no_right.err) == (1, True)
    no_time = await tenant_by("alice", house, "remove", B.id, "--yes")
    assert "1 open incidents and 1 rollouts under way" in no_time.err
    done = await tenant_by("alice", house, "remove", B.id, "--yes", "--force", "--export", tmp_path / "b")
    assert done.code == 0, done.err
    assert f"none names {B.id}, its devices or its incidents" in done.out
    exported = "".join(path.read_text() for path in (tmp_path / "b").iterdir())
    assert B.device(2) in exported
    assert A.device(2) not in exported

    await bot.start()
    assert [m.text for m in await house.slack.messages(B.channel) if m.ts == theirs.ts], "Slack is left as it is"
    async with httpx.AsyncClient(base_url=world.bot_url, trust_env=False) as http:
        alarm = raised(world, B.id, B.device(3))
        assert (await http.post(WEBHOOK, content=alarm.body, headers=bearer(world, B.id))).status_code == 401
    await alice.clicks(mine, "acknowledge", A.channel)
    await house.shows(A.channel, A.device(2), "acknowledged")
    await alice.clicks(await house.shows(ROLLOUTS, "*spring*", button="hold"), "hold")
    await house.shows(ROLLOUTS, "*spring*", "on hold")
    shown = [m for m in await house.slack.messages(ROLLOUTS) if "*spring*" in m.shown]
    assert len(shown) == 1, "the rollout that goes on keeps its message"
    entries = await house.audit()  # whose chain holds
    subject = await StandInRealm(world.url("keycloak")).user_id("alice")
    removal = [(e.actor, e.kind) for e in entries if e.object == f"tenant:{STACK}/{B.id}"]
    assert removal == [(subject, "intent"), (subject, "outcome")]
    assert [e for e in entries if e.data.get("tenant") == B.id and e.action == "acknowledge"], "the audit log stays"


async def test_it_comes_again_by_a_command_and_its_alarms_are_shown(house: Office) -> None:
    world, bot = house.world, house.bot
    secrets = world.directory / "secrets"
    old = (secrets / f"webhook-{B.id}").read_text()
    words = ["--channel", B.channel, "--group", B.group, "--range", B.range, "--username", f"cdm-bot@{B.id}.example"]
    words += ["--password", f"file:secrets/thingsboard-{B.id}"]
    taken = await tenant_by("alice", house, "add", B.id, *words)
    assert "from a tenant of that name before" in taken.err
    (secrets / f"webhook-{B.id}").rename(secrets / "old")
    done = await tenant_by("alice", house, "add", B.id, *words)
    assert done.code == 1, "ThingsBoard does not know the new secret yet"
    assert "The secret in its rule chain is not the tenant's webhook secret" in done.out
    assert f"cdm thingsboard wiring --stack {STACK} --tenant {B.id}" in done.out
    assert "Noted in the audit log" in done.out
    (secrets / f"webhook-{B.id}").write_text(old)  # as if the new one stood in the rule chain
    assert (await tenant(house, "check", B.id)).exit_code == 0
    await bot.stop()
    await bot.start()
    message = await house.alarm(B.device(3))
    assert B.device(3) in message.shown
    tree = YAML(typ="safe").load(world.config.read_text())
    assert [t["id"] for t in tree["stacks"][0]["tenants"]][-1] == B.id
    assert await house.shows(ROLLOUTS, "spring")
