"""A release from its bundle to its first group: on the command line and in Slack, by right, and by a second person."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from core.audit import Entry
from sandbox.cast import ROLLOUTS
from sandbox.hawkbit.model import Rollout
from sandbox.settings_file import write_private
from sandbox.slack.inputs import elements
from sandbox.slack.seen import SeenEphemeral, SeenView
from tests.keycloak.standin import StandInRealm
from tests.scenario.approving import asks_for, set_policy
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.terminal import Terminal

pytestmark = ONE_LOOP
SECRET = "a secret of the client that releases"
ALL = ("/customer-a", "/customer-b", "/customer-c")


@dataclass(frozen=True, slots=True)
class Scene:
    """In Slack a second person agrees to every release; `shell` has no such rule, and there the client `deploy` may
    release to every tenant. In `small` the client `deploy-a` is an operator of customer-a alone."""

    office: Office
    shell: Terminal
    small: Terminal
    deploy: str
    bundle: Path
    alice: Person
    bob: Person
    carol: Person

    def rollout(self, name: str) -> Rollout | None:
        rollouts = self.office.world.hawkbit.tenant().repo.rollouts.values()
        return next((one for one in rollouts if one.name.startswith(name)), None)

    async def noted(self, action: str, object: str) -> list[Entry]:
        return [e for e in await self.office.audit() if e.action == action and e.object == object]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with office(devices=20, start=False) as here:
        world, realm = here.world, StandInRealm(here.world.servers["keycloak"].url)
        deploy = await realm.create_service_account("deploy", SECRET, roles=["cdm-operator"], groups=list(ALL))
        await realm.create_service_account("deploy-a", SECRET, roles=["cdm-operator"], groups=["/customer-a"])
        write_private(world.directory / "secrets" / "deploy", SECRET)
        shells = []
        for client in ("deploy", "deploy-a"):
            account = {"client_id": client, "client_secret": {"file": "secrets/deploy"}}
            config = world.write_config(name=f"{client}.yaml", cli={"service_account": account})
            shells.append(Terminal(config))
        set_policy(world.config, create={"always": True})
        await here.bot.start()
        people = {name: here.person(name) for name in ("alice", "bob", "carol")}
        await here.links({person: name for name, person in people.items()})
        bundle = world.directory / "edge-2.0.0.raucb"
        bundle.write_bytes(os.urandom(3 << 20))
        yield Scene(here, *shells, deploy, bundle, **people)


# the bundle


async def test_a_bundle_becomes_a_locked_set_and_a_repeat_finds_it(scene: Scene) -> None:
    words = ("bundle", "upload", str(scene.bundle), "--name", "edge", "--version", "2.0.0", "--service-account")
    done = await scene.shell.run(*words)
    assert done.code == 0, done.err
    sha256 = hashlib.sha256(scene.bundle.read_bytes()).hexdigest()
    assert f"3,145,728 bytes, sha256 {sha256}" in done.out
    assert "Set edge:2.0.0 is made, and is locked" in done.out
    assert "rauc is not installed here" in done.err
    repo = scene.office.world.hawkbit.tenant().repo
    (made,) = [one for one in repo.sets.values() if one.version == "2.0.0"]
    (artifact,) = made.modules[0].artifacts
    assert (made.locked, artifact.filename, artifact.hashes["sha256"]) == (True, "edge-2.0.0.raucb", sha256)
    again = await scene.shell.run(*words)
    assert again.code == 0, again.err
    assert "is there already, with the same checksum" in again.out
    assert "Set edge:2.0.0 was there" in again.out
    assert len([one for one in repo.sets.values() if one.version == "2.0.0"]) == 1
    lines = await scene.noted("upload", "set:eu1/edge:2.0.0")
    assert [(e.kind, e.actor, e.data.get("outcome")) for e in lines] == [
        ("intent", scene.deploy, None),
        ("outcome", scene.deploy, "uploaded"),
        ("intent", scene.deploy, None),
        ("outcome", scene.deploy, "found"),
    ]
    assert lines[0].data["sha256"] == sha256


async def test_other_bytes_under_the_name_of_a_file_that_is_there_are_refused(scene: Scene, tmp_path: Path) -> None:
    other = tmp_path / "edge-9.0.0.raucb"
    words = ("bundle", "upload", str(other), "--name", "edge", "--version", "9.0.0", "--service-account")
    other.write_bytes(b"one")
    assert (await scene.shell.run(*words)).code == 0
    other.write_bytes(b"two")
    refused = await scene.shell.run(*words)
    assert refused.code == 1
    assert "another checksum" in refused.err
    assert (await scene.noted("upload", "set:eu1/edge:9.0.0"))[-1].data["outcome"] == "failed"


async def test_a_set_serves_every_tenant_so_an_operator_of_one_uploads_none(scene: Scene) -> None:
    words = ("bundle", "upload", str(scene.bundle), "--name", "mine", "--version", "1.0.0", "--service-account")
    refused = await scene.small.run(*words)
    assert refused.code == 1
    assert "customer-b" in refused.err
    assert [one for one in scene.office.world.hawkbit.tenant().repo.sets.values() if one.name == "mine"] == []


# the command line


async def test_a_release_is_shown_then_made_then_started_by_hand(scene: Scene) -> None:
    words = ("rollout", "create", "--set", "edge:1.1.0", "--tenant", "customer-c", "--groups", "34/66")
    dry = await scene.shell.run(*words, "--dry-run", "--service-account")
    assert dry.code == 0, dry.err
    assert "6 devices in 2 groups of 2/4" in dry.out.replace("*", "")
    assert "now on `edge:1.0.0` 6" in dry.out
    assert "dry run" in dry.out
    assert scene.rollout("edge-1.1.0") is None
    done = await scene.shell.run(*words, "--service-account")
    assert done.code == 0, done.err
    made = scene.rollout("edge-1.1.0")
    assert made is not None
    shown = await scene.office.shows(ROLLOUTS, made.name, "NOT STARTED", button="start")
    assert "Start group 1 (2 devices)" in shown.button("start").label
    told = await scene.alice.presses(shown, "start")
    async with asyncio.timeout(20):
        while "looked at" in told.shown:  # the bot has not seen all of them as they are before it
            told = await scene.alice.presses(shown, "start")
    assert "Group 1 is started: 2 devices" in told.shown
    await scene.office.shows(ROLLOUTS, made.name, "2/2 verified", within_s=60)
    await scene.office.shows(ROLLOUTS, made.name, "DONE", within_s=60)
    assert [start.index for start in scene.office.world.hawkbit.starts if start.rollout == made.id] == [0, 1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--filter", "bad=="), "hawkBit eu1 refused"),
        (("--policy", "brave", "--groups", "1/99"), "no policy 'brave'"),
    ],
)
async def test_what_cannot_be_made_says_why_and_makes_nothing(scene: Scene, more: tuple[str, ...], said: str) -> None:
    before = len(scene.office.world.hawkbit.tenant().repo.rollouts)
    given = ("rollout", "create", "--set", "edge:1.2.0", *more, "--service-account")
    done = await scene.shell.run(*given)
    assert done.code == 1
    assert said in done.out + done.err
    assert len(scene.office.world.hawkbit.tenant().repo.rollouts) == before


async def test_without_the_right_everywhere_a_filter_is_not_even_tried(scene: Scene) -> None:
    """Else its answer would tell which devices others have."""
    given = ("--set", "edge:1.2.0", "--filter", "controllerId==b-*", "--service-account")
    refused = await scene.small.run("rollout", "create", *given)
    assert refused.code == 1
    assert "customer-b" in refused.err
    assert "devices" not in refused.out


# Slack


async def opens(person: Person) -> SeenView:
    assert (await person.office.slack.slash(person.id, ROLLOUTS, "/cdm", "rollout create")).acked
    return await person.office.slack.wait_for_modal(person.id, lambda v: "Distribution set" in v.shown, 15)


def offered(form: SeenView, name: str) -> list[str]:
    """The values that a menu of the form offers."""
    (menu,) = [part for _, part in elements(form.blocks) if part["action_id"] == name]
    return [option["value"] for option in menu["options"]]


async def sends(person: Person, **filled: Any) -> SeenEphemeral:
    """Send the form; what is told then."""
    before = {said.ts for said in await person.private()}
    given = {"set": "eu1/edge:1.2.0", "where": "eu1/customer-a", "groups": "25/75", "kind": "forced"}
    sent = await person.office.slack.submit_view(person.id, given | filled)
    assert sent.acked, sent.error
    return await person.office.slack.wait_for_ephemeral(person.id, lambda said: said.ts not in before, 20)


async def test_from_the_form_to_the_rollout_with_a_second_person(scene: Scene) -> None:
    form = await opens(scene.bob)
    assert offered(form, "where") == ["eu1/customer-a"]
    assert offered(form, "set")[0] == "eu1/edge:9.0.0", "the newest first"
    preview = await sends(scene.bob, filter="controllerId==a-gw-00*")
    assert "PREVIEW" in preview.shown
    assert "8 devices in 2 groups of 2/6" in preview.shown.replace("*", "")
    assert scene.rollout("edge-1.2.0") is None
    asked = await asks_for(scene.bob, preview, "create", "release 1.2.0")
    assert "waits for approval" in asked.shown
    wanted = await scene.office.shows(ROLLOUTS, "APPROVAL WANTED", "edge-1.2.0", "8 devices", button="approve")
    assert "DONE" not in (await scene.bob.presses(wanted, "approve")).shown
    told = await scene.alice.presses(wanted, "approve", within_s=30)
    assert "Made as rollout" in told.shown
    made = scene.rollout("edge-1.2.0")
    assert made is not None
    assert made.filter == "(attribute.tenant==customer-a);(controllerId==a-gw-00*)"
    await scene.office.shows(ROLLOUTS, made.name, "NOT STARTED", button="start")
    intent, outcome = await scene.noted("create", f"release:eu1/{made.name}")
    assert (intent.kind, intent.data["name"], outcome.data["rollout"]) == ("intent", "bob", made.id)
    again = await sends_again(scene)
    assert "made before" in again


async def sends_again(scene: Scene) -> str:
    """The same wish once more, agreed to once more: it is found."""
    await opens(scene.bob)
    preview = await sends(scene.bob, filter="controllerId==a-gw-00*")
    await asks_for(scene.bob, preview, "create", "release 1.2.0 again")
    wanted = await scene.office.shows(ROLLOUTS, "APPROVAL WANTED", "edge-1.2.0", "again", button="approve")
    return (await scene.alice.presses(wanted, "approve", within_s=30)).shown


async def test_a_form_with_mistakes_stays_open_and_says_where(scene: Scene) -> None:
    await opens(scene.alice)
    for wrong, block in (({"groups": "5/5"}, "take 10 %"), ({"label": "two words"}, "no label")):
        given = {"set": "eu1/edge:1.2.0", "where": "eu1/customer-b", "groups": "25/75", "kind": "soft"}
        sent = await scene.office.slack.submit_view(scene.alice.id, given | wrong)
        assert sent.acked
        form = await scene.office.slack.modal(scene.alice.id)
        assert form is not None
        assert block in str(sent) + form.shown
    await scene.office.slack.close_view(scene.alice.id)


async def test_an_admin_may_choose_every_device_and_a_time(scene: Scene) -> None:
    form = await opens(scene.alice)
    assert offered(form, "where") == ["eu1/customer-a", "eu1/customer-b", "eu1/customer-c", "eu1/"]
    preview = await sends(scene.alice, where="eu1/", start=2_000_000_000, kind="soft")
    assert "20 devices in 2 groups" in preview.shown.replace("*", "")
    assert "soft, starts" in preview.shown


async def test_a_viewer_gets_no_form(scene: Scene) -> None:
    assert (await scene.office.slack.slash(scene.carol.id, ROLLOUTS, "/cdm", "rollout create")).acked
    told = await scene.office.slack.wait_for_modal(scene.carol.id, lambda v: "needs the role" in v.shown, 15)
    assert "cdm-operator" in told.shown
    assert told.title == "Make a release"
    await scene.office.slack.close_view(scene.carol.id)
