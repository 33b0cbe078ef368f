"""Where Slack's address and the account's are not one: a code from the browser, typed in Slack, by who began; and what
a phisher makes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.access import Proof
from core.errors import Unavailable
from core.ids import SlackUser
from core.members import Member
from flows.gate import Denied
from flows.linking.codes import ALPHABET, CODE_LIFE_S, LENGTH, MOST_TRIES
from sandbox.keycloak.app import create_app
from sandbox.wire import WireServer
from tests.conftest import ManualClock
from tests.keycloak.browser import Browser
from tests.keycloak.standin import StandInRealm
from tests.unit.handlers.link_lab import ALICE, BOB, MALLORY, PLACE, Bot, bot_at

pytestmark = pytest.mark.asyncio(loop_scope="session")

CODE = re.compile(r"/cdm link ([0-9A-Z]{4}-[0-9A-Z]{4})")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keycloak_server() -> AsyncIterator[WireServer]:
    async with WireServer(create_app()) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def bot(keycloak_server: WireServer, clock: ManualClock) -> AsyncIterator[Bot]:
    async with bot_at(keycloak_server, clock) as made:
        yield made


async def code_for(bot: Bot, user: SlackUser, account: str) -> str:
    """`user` began, and whoever owns `account` goes through with it in a browser."""
    async with Browser() as browser:
        await browser.open(await bot.link_for(user))
        await browser.log_in(account)
        assert browser.sees("The two e-mail addresses are not the same")
        await browser.submit()
        assert browser.sees("Not linked yet")
        found = CODE.search(browser.page.text)
        assert found, browser.page.text
        assert bot.links.written.get(user) is None
        return found[1]


async def typed(bot: Bot, user: SlackUser, code: str) -> str:
    try:
        return (await bot.door.link(user, code, PLACE)).text
    except Denied as denied:
        return denied.text


@pytest.mark.parametrize(
    "address", ["", "b.ob@private.example", "bob@customer-a.example.evil.example", "xbob@customer-a.example", "bob"]
)
async def test_another_address_in_slack_or_none_is_linked_by_the_code_alone(
    bot: Bot, keycloak_server: WireServer, address: str
) -> None:
    bot.emails[BOB] = address
    code = await code_for(bot, BOB, "bob")
    assert bot.links.written == {}
    told = await typed(bot, BOB, code)
    assert "now linked with the Keycloak account `bob`" in told
    link = bot.links.written[BOB]
    assert (link.subject, link.proof) == (await StandInRealm(keycloak_server.url).user_id("bob"), Proof.CODE)
    assert bot.audit.lines == [
        ("note", "link_code_shown", "slack:T1/UBOB", {}),
        ("intent", "link", "slack:T1/UBOB", {"proof": "code"}),
        ("outcome", "link", "slack:T1/UBOB", {"linked": True}),
    ]


@pytest.mark.parametrize("write", [str.lower, lambda c: c.replace("-", ""), lambda c: c.replace("0", "o")])
async def test_a_code_is_read_as_people_write_it(bot: Bot, write: object) -> None:
    assert callable(write)
    bot.emails[BOB] = ""
    assert "now linked" in await typed(bot, BOB, write(await code_for(bot, BOB, "bob")))


async def test_the_page_names_both_accounts_and_warns_of_who_asks_for_the_code(bot: Bot) -> None:
    async with Browser() as browser:
        await browser.open(await bot.link_for(MALLORY))
        await browser.log_in("alice")
        await browser.submit()
        assert browser.sees("UMALLORY (mallory@evil.example)")
        assert browser.sees("alice (alice@cdm.example)")
        assert browser.sees("Type it only if you yourself typed /cdm link in Slack. Tell it to nobody")
        assert browser.sees("whoever asks you for it is attacking you")


async def test_the_code_is_shown_only_to_the_browser_that_logged_in_and_nowhere_kept_in_clear(bot: Bot) -> None:
    code = (await code_for(bot, MALLORY, "alice")).replace("-", "")
    assert code not in await bot.begins(MALLORY)
    assert code not in f"{bot.codes.kept}{bot.states.kept}{bot.audit.lines}"
    async with Browser() as alices, Browser() as mallorys:
        await alices.open(await bot.link_for(MALLORY))
        await alices.log_in("alice")
        mallorys.page = alices.page
        await mallorys.submit()
        assert mallorys.sees("not the browser in which the linking was opened")
        assert not CODE.search(mallorys.page.text)


async def test_a_phisher_who_lured_an_administrator_has_no_code_and_guessing_ends_after_five(bot: Bot) -> None:
    code = await code_for(bot, MALLORY, "alice")
    for guess in range(MOST_TRIES):
        assert "No linking waits for this code" in await typed(bot, MALLORY, f"0000-000{guess}")
    assert "Too many wrong codes" in await typed(bot, MALLORY, code), "and then the right one comes too late"
    await bot.clock.forward(CODE_LIFE_S + 1)
    assert "No linking waits" in await typed(bot, MALLORY, code), "so it does when tries are taken again"
    assert bot.links.written == {}
    assert bot.refusals == [*["code_unknown"] * MOST_TRIES, "tries_over", "code_unknown"]


async def test_tries_before_the_code_was_made_count_too(bot: Bot) -> None:
    for _ in range(MOST_TRIES):
        await typed(bot, MALLORY, "0000-0000")
        await bot.clock.forward(CODE_LIFE_S / 2)
    code = await code_for(bot, MALLORY, "alice")
    assert "Too many wrong codes" in await typed(bot, MALLORY, code)


async def test_a_victim_who_types_the_phishers_code_links_nothing_and_makes_it_void(bot: Bot) -> None:
    code = await code_for(bot, MALLORY, "alice")
    told = await typed(bot, ALICE, code)
    assert "another Slack user began" in told
    assert "tell an administrator" in told
    assert "No linking waits" in await typed(bot, MALLORY, code)
    assert bot.links.written == {}
    assert ("note", "refused:link", "slack:T1/UALICE", {"reason": "code_foreign", "begun_by": "T1/UMALLORY"}) in (
        bot.audit.lines
    )


async def test_the_same_user_id_of_another_workspace_is_somebody_else(bot: Bot) -> None:
    bot.emails[BOB] = ""
    code = await code_for(bot, BOB, "bob")
    assert "not a full member" in await typed(bot, SlackUser("T2", "UBOB"), code)
    assert bot.links.written == {}


async def test_a_code_works_once_also_when_typed_twice_at_once(bot: Bot) -> None:
    bot.emails[BOB] = ""
    code = await code_for(bot, BOB, "bob")
    told = sorted(await asyncio.gather(typed(bot, BOB, code), typed(bot, BOB, code)))
    assert told[0].startswith("No linking waits")
    assert "now linked" in told[1]
    assert [kind for kind, _, _, _ in bot.audit.lines].count("intent") == 1


async def test_a_code_is_over_after_ten_minutes(bot: Bot) -> None:
    bot.emails[BOB] = ""
    code = await code_for(bot, BOB, "bob")
    await bot.clock.forward(CODE_LIFE_S + 1)
    assert "ten minutes are over" in await typed(bot, BOB, code)
    assert bot.links.written == {}


async def test_an_unverified_address_gets_no_code(bot: Bot) -> None:
    async with Browser() as browser:
        await browser.open(await bot.link_for(MALLORY))
        await browser.log_in("grace")
        assert browser.sees("is not verified")
        assert not browser.sees("a code")
    assert bot.refusals == ["email_unverified"]


async def test_an_address_changed_in_slack_before_the_confirmation_asks_for_a_code(bot: Bot) -> None:
    async with Browser() as browser:
        await browser.open(await bot.link_for(BOB))
        await browser.log_in("bob")
        assert not browser.sees("a code")
        bot.emails[BOB] = "other@cdm.example"
        await browser.submit()
        assert browser.sees("Not linked yet")
    assert bot.links.written == {}


async def test_who_is_no_full_member_any_more_or_is_not_known_to_be_types_in_vain_and_the_code_holds(bot: Bot) -> None:
    bot.emails[BOB] = ""
    code = await code_for(bot, BOB, "bob")
    bot.outside["UBOB"] = Member("", frozenset({"T1"}), guest=True)
    assert "not a full member" in await typed(bot, BOB, code)
    bot.slack_away = True
    with pytest.raises(Unavailable):
        await typed(bot, BOB, code)
    assert bot.links.written == {}
    bot.slack_away = False
    bot.outside.clear()
    assert "now linked" in await typed(bot, BOB, code)


async def test_an_account_linked_meanwhile_is_not_linked_by_a_code_of_before(bot: Bot) -> None:
    bot.emails[BOB] = ""
    first, second = await code_for(bot, BOB, "alice"), await code_for(bot, MALLORY, "alice")
    assert "now linked" in await typed(bot, BOB, first)
    assert "linked with another Slack user" in await typed(bot, MALLORY, second)
    assert bot.links.written.keys() == {BOB}


async def test_a_code_is_forty_random_bits_of_letters_that_cannot_be_mistaken(bot: Bot) -> None:
    codes = {(await code_for(bot, MALLORY, "alice")).replace("-", "") for _ in range(3)}
    assert len(codes) == 3
    assert len(ALPHABET) ** LENGTH >= 2**40
    assert not set("ILOU") & set("".join(codes))
