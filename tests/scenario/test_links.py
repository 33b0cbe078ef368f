"""Links once made: who ends them, who sees them, and that nothing else replaces them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from bot import logs
from bot.commands import access
from core.audit import Entry
from sandbox.cast import ROLLOUTS
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, Person, office

pytestmark = ONE_LOOP
PEOPLE = ("alice", "bob", "carol", "frank")


@dataclass(frozen=True, slots=True)
class Cast:
    """`anna` is an admin of customer-a alone, `carol` a viewer of customer-a and customer-b."""

    office: Office
    realm: StandInRealm
    alice: Person
    anna: Person
    bob: Person
    carol: Person
    frank: Person

    async def ends(self, person: Person) -> list[Entry]:
        return [e for e in await self.office.audit() if (e.action, e.object) == ("unlink", f"slack:T0CDM/{person.id}")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office() as here:
        realm = StandInRealm(here.world.servers["keycloak"].url)
        await realm.create_user("anna", email="anna@cdm.example", roles=["cdm-admin"], groups=["/customer-a"])
        people = {name: here.person(name) for name in PEOPLE}
        people["anna"] = await here.newcomer("anna", "anna@cdm.example")
        await here.links({person: name for name, person in people.items()})
        yield Cast(here, realm, **people)


async def test_an_own_link_is_ended_at_once_also_without_keycloak_and_what_went_is_said(cast: Cast) -> None:
    dark = cast.office.world.servers["keycloak"].faults
    dark.add("lost_request", ".*")
    try:
        told = (await cast.frank.types("unlink")).shown
        assert "not linked with the Keycloak account `frank` any more" in told
        assert "rollouts, runbooks" in told
        assert "not linked" in (await cast.frank.types("alarms")).shown, "no last yes may outlive the link"
    finally:
        dark.clear()
    assert "not linked" in (await cast.frank.types("unlink")).shown
    subject = await cast.realm.user_id("frank")
    assert [(e.kind, e.actor) for e in await cast.ends(cast.frank)] == [("intent", subject), ("outcome", subject)]
    await cast.office.links({cast.frank: "frank"})


async def test_an_admin_sees_the_links_of_the_own_tenants_people_only(cast: Cast) -> None:
    told = (await cast.anna.types("links")).shown
    for name, person in (("bob", cast.bob), ("carol", cast.carol), ("anna", cast.anna)):
        assert f"`{person.id}` is *{name}*" in told
    assert "frank" not in told
    assert "frank" in (await cast.alice.types("links")).shown


async def test_who_is_no_admin_sees_and_ends_nothing(cast: Cast) -> None:
    for command in ("links", "links revoke carol"):
        told = (await cast.bob.types(command)).shown
        assert "needs the role `cdm-admin` in customer-a" in told
        assert "frank" not in told
    assert await cast.ends(cast.carol) == []
    refused = [e for e in await cast.office.audit() if e.action == "refused:link_others"]
    assert {e.actor for e in refused} == {await cast.realm.user_id("bob")}


async def test_a_person_of_other_tenants_does_not_exist_and_one_of_more_tenants_needs_the_right_in_all(
    cast: Cast,
) -> None:
    before = await cast.ends(cast.frank)
    for unknown in ("frank", cast.frank.id, "nobody", "U0NOBODY"):
        assert "There is no link of" in (await cast.anna.types(f"links revoke {unknown}")).shown
    assert "needs the role `cdm-admin` in customer-b" in (await cast.anna.types("links revoke carol")).shown
    assert await cast.ends(cast.frank) == before
    assert await cast.ends(cast.carol) == []


async def test_an_admin_revokes_a_link_and_the_person_may_nothing_from_then_on(cast: Cast) -> None:
    assert "online" in (await cast.bob.types("device a-gw-001")).shown
    told = (await cast.anna.types(f"links revoke <@{cast.bob.id}|bob>")).shown
    assert "not linked with the Keycloak account `bob` any more" in told
    for command in ("device a-gw-001", "alarms", "whoami"):
        refused = (await cast.bob.types(command)).shown
        assert "not linked" in refused
        assert "/cdm link" in refused
    anna, bob = await cast.realm.user_id("anna"), await cast.realm.user_id("bob")
    intent, outcome = await cast.ends(cast.bob)
    assert (intent.kind, intent.actor) == ("intent", anna)
    assert intent.data.items() >= {"name": "anna", "subject": bob}.items()
    assert (outcome.kind, outcome.ref) == ("outcome", str(intent.seq))
    await cast.office.links({cast.bob: "bob"})
    assert "revoke" in (await cast.alice.types("links")).shown
    assert "any more" in (await cast.alice.types("links revoke carol")).shown
    await cast.office.links({cast.carol: "carol"})


async def test_links_of_disabled_and_deleted_accounts_are_marked_and_can_be_ended(cast: Cast) -> None:
    gone = await cast.realm.create_user("gone", email="gone@cdm.example", groups=["/customer-a"])
    person = await cast.office.newcomer("gone", "gone@cdm.example")
    await cast.office.links({person: "gone"})
    await cast.realm.set_enabled(gone, False)
    assert "the account is disabled" in (await cast.anna.types("links")).shown
    await cast.realm.delete_user(gone)
    assert "`/cdm unlink`" in (await person.types("alarms")).shown
    assert "the account is deleted" in (await cast.alice.types("links")).shown
    assert "gone" not in (await cast.anna.types("links")).shown
    assert "any more" in (await cast.alice.types("links revoke gone")).shown


async def test_a_linked_slack_user_takes_no_second_account_before_the_first_is_let_go(cast: Cast) -> None:
    await cast.realm.create_user("second", email="second@cdm.example", roles=["cdm-admin"], groups=["/customer-a"])
    person = await cast.office.newcomer("mover", "mover@cdm.example")
    await cast.realm.create_user("mover", email="mover@cdm.example", groups=["/customer-a"])
    await cast.office.links({person: "mover"})
    await cast.office.slack.change_user(person.id, email="second@cdm.example")
    page = await cast.office.world.login(person.id, "second")
    assert "linked with another Keycloak account" in page
    assert "/cdm unlink" in page
    links = (await cast.alice.types("links")).shown
    assert "*mover*" in links
    assert "*second*" not in links
    refusals = [e for e in await cast.office.audit() if e.action == "refused:link"]
    assert refusals[-1].data == {"reason": "linked_already"}
    assert "any more" in (await person.types("unlink", ROLLOUTS)).shown
    assert "now linked with the Keycloak account second" in await cast.office.world.login(person.id, "second")


async def test_whoami_says_by_which_steps_a_person_may_what(cast: Cast) -> None:
    told = (await cast.bob.types("whoami")).shown.replace("\u200b", "")
    for step in (
        f"link: Slack user T0CDM/{cast.bob.id} is bob ({await cast.realm.user_id('bob')}) since",
        "enabled",
        "bob@customer-a.example, verified",
        "groups: /customer-a (tenant customer-a)",
        "cdm-operator (operator)",
        "role scope: realm x group",
        "roles that count: customer-a: cdm-operator",
    ):
        assert step in told
    assert "customer-b" not in told


async def test_the_command_explains_each_step_to_the_verdict(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda **_: None)

    async def explained(*words: str) -> tuple[int, str]:
        given = ["explain", *words, "--config", str(cast.office.world.config)]
        told = await asyncio.to_thread(lambda: CliRunner().invoke(access.app, given))
        return told.exit_code, told.output

    code, told = await explained("bob", "promote", "tenant:customer-b")
    assert code == 0, told
    assert f"link: Slack user T0CDM/{cast.bob.id} is bob" in told
    assert "object: tenant:customer-b belongs to customer-b" in told
    assert "table: promote: viewer no, operator yes" in told
    assert "verdict: refuse (not_a_member, needs cdm-operator in customer-b)" in told
    assert "verdict: allow (granted)" in (await explained(cast.bob.id, "promote", "tenant:customer-a"))[1]
    alice = await cast.realm.user_id("alice")
    assert "needs_second_person" in (await explained(alice, "rollback", "tenant:customer-a"))[1]
    mallory = cast.office.person("mallory").id
    assert "is not linked" in (await explained(mallory, "view", "tenant:customer-a"))[1]

    rollout = await cast.office.starts_rollout("explained", "1.1.0", ["a-gw-001", "b-gw-001"])
    told = (await explained("carol", "view", f"rollout:eu1/{rollout}"))[1]
    assert f"object: rollout:eu1/{rollout} belongs to customer-a, customer-b" in told
    assert "verdict: allow" in told

    for words, why in (
        (("nobody", "view", "tenant:customer-a"), "Nobody linked is called"),
        (("bob", "fly", "tenant:customer-a"), "There is no action"),
        (("bob", "view", "tenant:customer-x"), "Tenants: customer-a, customer-b, customer-c"),
        (("bob", "view", "incident:none"), "There is no incident"),
    ):
        code, told = await explained(*words)
        assert code == 1
        assert why in told
