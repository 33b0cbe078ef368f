"""Linking where no browser reaches the bot: the login at Keycloak alone, the confirmation in Slack."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest_asyncio

from sandbox.browser import Browser
from sandbox.cast import PASSWORD, ROLLOUTS
from sandbox.slack.seen import SeenEphemeral
from tests.keycloak.standin import StandInRealm
from tests.scenario.people import ONE_LOOP, Office, Person, office

pytestmark = ONE_LOOP
URL = re.compile(r"<(http[^|>]+)\|Log in to Keycloak>")


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    realm: StandInRealm

    async def person(self, name: str, *, slack_email: str = "") -> Person:
        """Somebody with an account, and a Slack user that shows its address unless another is given."""
        await self.realm.create_user(name, email=f"{name}@cdm.example", groups=["/customer-a"], roles=["cdm-operator"])
        return await self.office.newcomer(name, slack_email or f"{name}@cdm.example")

    async def refusals(self, person: Person) -> list[tuple[str, str]]:
        about = f"slack:T0CDM/{person.id}"
        found = [e for e in await self.office.audit() if (e.action, e.object) == ("refused:link", about)]
        return [(e.actor, e.data["reason"]) for e in found]

    async def then_told(self, person: Person, *words: str) -> SeenEphemeral:
        """What the bot says of its own accord, once Keycloak has answered."""
        return await self.office.slack.wait_for_ephemeral(
            person.id, lambda said: all(word in said.shown.replace("\u200b", "") for word in words), 30.0
        )

    async def is_linked(self, person: Person) -> bool:
        return "not linked" not in (await person.types("whoami")).shown


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(start=False) as here:
        keycloak = {"link_by": "device"}
        here.world.write_config(keycloak=keycloak)
        await here.bot.start()
        yield Cast(here, StandInRealm(here.world.servers["keycloak"].url))


async def asked(person: Person) -> str:
    """The person types `/cdm link`; the address of Keycloak's page."""
    said = await person.types("link")
    found = URL.search(said.text)
    assert found, said.text
    return found[1].replace("&amp;", "&")


async def approves(url: str, username: str, *, yes: bool = True) -> None:
    async with Browser() as browser:
        await browser.open(url)
        await browser.log_in(username, PASSWORD)
        await browser.submit(**({} if yes else {"cancel": "No"}))


async def presses(person: Person, said: SeenEphemeral, action: str) -> str:
    return (await person.presses(said, action, ROLLOUTS)).shown  # type: ignore[arg-type]


async def test_a_person_logs_in_at_keycloak_and_confirms_in_slack_also_when_the_bot_was_killed_between(
    cast: Cast,
) -> None:
    person = await cast.person("dan")
    url = await asked(person)
    assert url.startswith(cast.office.world.servers["keycloak"].url)
    await cast.office.bot.kill()
    await approves(url, "dan")
    await cast.office.bot.start()
    question = await cast.then_told(person, "Link these two accounts?", person.id, "`dan` (dan@cdm.example)")
    assert not await cast.is_linked(person), "nothing is linked before the person says so"
    assert "now linked with the Keycloak account `dan`" in await presses(person, question, "link_confirm")
    assert "proven by the same e-mail address" in (await person.types("whoami")).shown
    assert "answered before" in await presses(person, question, "link_decline")
    assert await cast.is_linked(person)
    proofs = [e.data for e in await cast.office.audit() if e.action == "link" and e.kind == "intent"]
    assert proofs[-1]["proof"] == "email"


async def test_a_victim_lured_to_approve_the_attackers_code_links_nothing(cast: Cast) -> None:
    mallory = cast.office.person("mallory")
    await cast.person("vera")
    await approves(await asked(mallory), "vera")
    told = await cast.then_told(mallory, "another e-mail address")
    assert "vera" not in told.shown
    assert not told.buttons
    assert await cast.refusals(mallory) == [(await cast.realm.user_id("vera"), "email_mismatch")]
    assert not await cast.is_linked(mallory)


async def test_not_me_links_nothing_and_is_written_down(cast: Cast) -> None:
    person = await cast.person("nora")
    await approves(await asked(person), "nora")
    question = await cast.then_told(person, "Link these two accounts?")
    assert "tell an administrator" in await presses(person, question, "link_decline")
    assert "answered before" in await presses(person, question, "link_confirm")
    assert not await cast.is_linked(person)
    assert (await cast.refusals(person))[0] == (await cast.realm.user_id("nora"), "declined")


async def test_a_login_declined_at_keycloak_is_told(cast: Cast) -> None:
    person = await cast.person("rolf")
    await approves(await asked(person), "rolf", yes=False)
    await cast.then_told(person, "declined in the browser", "Type /cdm link in Slack to start again")
    assert not await cast.is_linked(person)


async def test_an_address_changed_in_slack_before_the_answer_is_noticed(cast: Cast) -> None:
    person = await cast.person("max")
    await approves(await asked(person), "max")
    question = await cast.then_told(person, "Link these two accounts?")
    await cast.office.slack.change_user(person.id, email="other@cdm.example")
    assert "another e-mail address" in await presses(person, question, "link_confirm")
    assert not await cast.is_linked(person)


async def test_there_is_no_code_to_type_and_no_link_of_ours(cast: Cast) -> None:
    assert "without a code" in (await cast.office.person("carol").types("link ABCD-EFGH")).shown
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{cast.office.world.bot_url}/link/x")).status_code == 410
