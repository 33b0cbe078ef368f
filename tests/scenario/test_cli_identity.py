"""`cdm` beside the bot: whoever changes something has proven who they are, and may what they may in Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from core.audit import Entry
from sandbox.cast import ROLLOUTS
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, office
from tests.scenario.terminal import Terminal

pytestmark = ONE_LOOP
SECRET = "a secret of the client that deploys"
A, B = ("a-gw-001", "a-gw-002"), ("b-gw-001", "b-gw-002")


@dataclass(frozen=True, slots=True)
class Scene:
    """`spring` runs on devices of customer-a, `summer` on those of customer-b; none of them ever finishes. In the
    settings of `shell` the client `deploy`, an operator of customer-a, may act."""

    office: Office
    realm: StandInRealm
    shell: Terminal
    spring: int
    deploy: str

    async def noted(self, actor: str, action: str) -> list[Entry]:
        return [e for e in await self.office.audit() if (e.actor, e.action) == (actor, action)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with office() as here:
        world, realm = here.world, StandInRealm(here.world.servers["keycloak"].url)
        world.realm.device_interval_s = 1
        deploy = await realm.create_service_account("deploy", SECRET, roles=["cdm-operator"], groups=["/customer-a"])
        secret = world.directory / "secrets" / "deploy"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        account = {"client_id": "deploy", "client_secret": {"file": "secrets/deploy"}}
        config = world.write_config(name="shell.yaml", cli={"service_account": account})
        world.cut_off([world.device(name) for name in (*A, *B)], True)
        spring = await here.starts_rollout("spring", "1.1.0", A)
        await here.starts_rollout("summer", "1.1.0", B)
        yield Scene(here, realm, Terminal(config), spring, deploy)


async def test_an_operator_pauses_from_the_command_line_and_slack_shows_it(scene: Scene) -> None:
    done = await scene.shell.log_in("bob", "rollout", "pause", "spring")
    assert done.code == 0, done.err
    assert "Logged in as bob." in done.err
    assert "Paused" in done.out
    assert await scene.office.status(scene.spring) == "paused"
    await scene.office.shows(ROLLOUTS, "*spring*", "PAUSED")
    bob = await scene.realm.user_id("bob")
    intent, outcome = await scene.noted(bob, "pause")
    assert (intent.kind, outcome.kind, outcome.ref) == ("intent", "outcome", str(intent.seq))
    assert intent.object == f"rollout:eu1/{scene.spring}"
    (login,) = await scene.noted(bob, "login")
    assert (login.object, login.data["by"]) == ("command:rollout pause", "login")


async def test_a_viewer_is_refused_as_in_slack_and_it_is_written_down(scene: Scene) -> None:
    done = await scene.shell.log_in("carol", "rollout", "hold", "spring")
    assert done.code == 1
    assert "needs the role `cdm-operator` in customer-a" in done.err
    (refused,) = await scene.noted(await scene.realm.user_id("carol"), "refused:hold")
    assert refused.object == f"rollout:eu1/{scene.spring}"


async def test_a_service_account_acts_in_its_own_name_within_its_own_tenants(scene: Scene) -> None:
    done = await scene.shell.run("rollout", "hold", "spring", "--service-account")
    assert done.code == 0, done.err
    await scene.office.shows(ROLLOUTS, "*spring*", "service-account-deploy", button="unhold")
    intent, _ = await scene.noted(scene.deploy, "hold")
    assert intent.data["name"] == "service-account-deploy"
    early = await scene.shell.run("rollout", "promote", "spring", "--service-account")
    assert early.code == 1, "on hold, and without proof from its devices"
    assert await scene.office.started(scene.spring) == 1
    elsewhere = await scene.shell.run("rollout", "hold", "summer", "--service-account")
    assert elsewhere.code == 1
    assert "no rollout 'summer' in your tenants" in elsewhere.err


async def test_without_keycloak_nobody_acts_and_the_refusal_says_why(scene: Scene) -> None:
    faults = scene.office.world.servers["keycloak"].faults
    faults.add("lost_request")
    try:
        for way in ((), ("--service-account",)):
            done = await scene.shell.run("rollout", "unhold", "spring", *way)
            assert done.code == 1
            assert "Keycloak was not reached" in done.err
    finally:
        faults.clear()
    await scene.office.shows(ROLLOUTS, "*spring*", button="unhold")
    refused = [e for e in await scene.office.audit() if e.action == "refused:login"]
    assert [(e.object, e.data) for e in refused] == [("command:rollout unhold", {"reason": "unavailable"})] * 2
    assert all(e.actor.startswith("shell:") for e in refused)


async def test_what_needs_a_second_person_is_not_done_by_one(scene: Scene) -> None:
    alone = await scene.shell.log_in("bob", "rollout", "stop", "spring")
    assert alone.code == 1
    assert "second person" in alone.err
    assert "--reason" in alone.err
    asked = await scene.shell.log_in("bob", "rollout", "stop", "spring", "--reason", "the bundle bricks slot B")
    assert asked.code == 1
    assert f"waits for approval in the channel {ROLLOUTS}" in asked.err
    assert await scene.office.status(scene.spring) == "paused"
    wanted = await scene.office.shows(ROLLOUTS, "APPROVAL WANTED", "spring", "slot B", "bob", button="approve")
    bob, alice = scene.office.person("bob"), scene.office.person("alice")
    await scene.office.links({bob: "bob", alice: "alice"})
    own = await bob.presses(wanted, "approve")
    assert "DONE" not in own.shown, "the same subject, by whatever way"
    assert "DONE" in (await alice.presses(wanted, "approve", within_s=30)).shown
    assert await scene.office.status(scene.spring) == "stopped"


async def test_an_admin_sees_links_and_ends_one(scene: Scene) -> None:
    listed = await scene.shell.log_in("alice", "links", "list")
    assert listed.code == 0, listed.err
    assert "`U0BOB` is *bob* (bob@customer-a" in listed.out.replace("\u200b", "")
    ended = await scene.shell.log_in("alice", "links", "revoke", "bob")
    assert ended.code == 0, ended.err
    assert "not linked" in (await scene.office.person("bob").types("alarms")).shown
    intent, _ = await scene.noted(await scene.realm.user_id("alice"), "unlink")
    assert intent.object == "slack:T0CDM/U0BOB"
