"""Linking as people do it, in a browser, against the Keycloak stand-in; and as a phisher would like it to go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from core.access import Link
from core.ids import Subject
from core.members import Member
from flows.linking.browser import STATE_LIFE_S
from sandbox.keycloak.app import create_app
from sandbox.wire import WireServer
from tests.conftest import ManualClock
from tests.keycloak.browser import Browser
from tests.keycloak.standin import StandInRealm
from tests.unit.handlers.link_lab import ALICE, BOB, MALLORY, Bot, bot_at

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGAIN = "Type /cdm link in Slack to start again."


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keycloak_server() -> AsyncIterator[WireServer]:
    async with WireServer(create_app()) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def keycloak(keycloak_server: WireServer) -> AsyncIterator[WireServer]:
    yield keycloak_server
    keycloak_server.faults.clear()


@pytest_asyncio.fixture(loop_scope="session")
async def bot(keycloak: WireServer, clock: ManualClock) -> AsyncIterator[Bot]:
    async with bot_at(keycloak, clock) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as opened:
        yield opened


async def refused(bot: Bot, browser: Browser, told: str, status: int = 403) -> None:
    assert browser.page.status_code == status
    assert browser.sees("Not linked")
    assert browser.sees(told), browser.page.text
    assert bot.links.written == {}


async def test_a_person_links_both_accounts_by_logging_in_and_confirming(
    bot: Bot, browser: Browser, keycloak: WireServer
) -> None:
    await browser.open(await bot.link_for(BOB))
    await browser.log_in("bob")
    assert browser.sees("Link these two accounts?")
    assert browser.sees("UBOB (bob@customer-a.example)")
    assert browser.sees("bob (bob@customer-a.example)")
    assert bot.links.written == {}, "nothing is linked before the person says so"
    await browser.submit()
    assert browser.sees("Your Slack user is now linked with the Keycloak account bob.")
    link = bot.links.written[BOB]
    assert link.subject == await StandInRealm(keycloak.url).user_id("bob")
    assert (link.username, link.email, link.linked_at) == ("bob", "bob@customer-a.example", bot.clock.now())
    assert bot.audit.lines == [
        ("intent", "link", "slack:T1/UBOB", {"proof": "email"}),
        ("outcome", "link", "slack:T1/UBOB", {"linked": True}),
    ]


async def test_addresses_are_compared_without_regard_to_case(bot: Bot, browser: Browser) -> None:
    await browser.open(await bot.link_for(ALICE))
    await browser.log_in("alice")
    await browser.submit()
    assert browser.sees("now linked with the Keycloak account alice")


async def test_a_second_link_names_and_replaces_the_first(bot: Bot, browser: Browser) -> None:
    for _ in range(2):
        await browser.open(await bot.link_for(BOB))
        await browser.log_in("bob")
        await browser.submit()
    assert "is linked with the Keycloak account `bob`" in await bot.begins(BOB)
    assert "replaces" in [data for kind, _, _, data in bot.audit.lines if kind == "intent"][1]


async def test_the_slack_message_holds_our_own_address_only(bot: Bot, keycloak: WireServer) -> None:
    shown = await bot.begins(BOB)
    assert keycloak.url not in shown
    assert "bob@" not in shown


async def test_a_phisher_who_lures_an_administrator_links_nothing(bot: Bot, browser: Browser) -> None:
    """Mallory starts the linking and sends the address to Alice, who logs in, even with a session at hand."""
    await browser.open(await bot.link_for(ALICE))
    await browser.log_in("alice")
    await browser.open(await bot.link_for(MALLORY))
    assert browser.sees("Please re-authenticate to continue"), "an old session completes nothing silently"
    await browser.log_in("alice")
    assert browser.sees("UMALLORY (mallory@evil.example)"), "alice sees whose Slack user would act with her rights"
    assert browser.sees("If you did not type /cdm link in Slack yourself, close this page.")
    assert bot.links.written == {}


async def test_a_phisher_cannot_finish_a_login_the_victim_began(bot: Bot) -> None:
    """Alice leaves for Keycloak in her browser; the callback is opened in Mallory's."""
    async with Browser(stop_at=f"{bot.url}/oidc") as alices, Browser() as mallorys:
        await alices.open(await bot.link_for(ALICE))
        await alices.log_in("alice")
        await mallorys.open(alices.sent_to)
        await refused(bot, mallorys, "not the browser in which the linking was opened")
        await alices.open(alices.sent_to)
        assert bot.refusals == ["other_browser"]


async def test_the_confirmation_works_only_in_the_browser_that_logged_in(bot: Bot, browser: Browser) -> None:
    await browser.open(await bot.link_for(ALICE))
    await browser.log_in("alice")
    browser.http.cookies.clear()
    await browser.submit()
    await refused(bot, browser, "not the browser in which the linking was opened")


async def test_two_linkings_in_one_browser_do_not_disturb_each_other(bot: Bot) -> None:
    async with Browser(stop_at=f"{bot.url}/oidc") as browser:
        await browser.open(await bot.link_for(BOB))
        await browser.log_in("bob")
        first = browser.sent_to
        await browser.open(await bot.link_for(BOB))
        browser.page = await browser.http.get(first)
        await browser.submit()
        assert browser.sees("now linked with the Keycloak account bob")


@pytest.mark.parametrize("step", ["leave", "arrive", "confirm"])
async def test_each_step_works_once(bot: Bot, step: str) -> None:
    async with Browser(stop_at=f"{bot.url}/oidc") as browser:
        start = await bot.link_for(BOB)
        await browser.open(start)
        if step == "leave":
            await browser.open(start)
        else:
            await browser.log_in("bob")
            callback = browser.sent_to
            browser.page = form = await browser.http.get(callback)
            if step == "arrive":
                browser.page = await browser.http.get(callback)
            else:
                await browser.submit()
                assert browser.sees("Linked")
                bot.links.written.clear()
                browser.page = form
                await browser.submit()
        await refused(bot, browser, "This link was used before, or its ten minutes are over.", status=410)


@pytest.mark.parametrize("step", ["leave", "arrive", "confirm"])
async def test_each_step_is_over_after_ten_minutes(bot: Bot, step: str) -> None:
    late = STATE_LIFE_S + 1
    async with Browser(stop_at=f"{bot.url}/oidc") as browser:
        start = await bot.link_for(BOB)
        if step == "leave":
            await bot.clock.forward(late)
        await browser.open(start)
        if step != "leave":
            await browser.log_in("bob")
            if step == "arrive":
                await bot.clock.forward(late)
            browser.page = await browser.http.get(browser.sent_to)
            if step == "confirm":
                await bot.clock.forward(late)
                await browser.submit()
        await refused(bot, browser, AGAIN, status=410)


async def test_a_state_of_one_step_is_no_state_of_another(bot: Bot, browser: Browser) -> None:
    begun = (await bot.link_for(BOB)).rsplit("/", 1)[1]
    await browser.open(f"{bot.url}/oidc/callback?state={begun}&code=x&iss={bot.login.issuer}")
    await refused(bot, browser, AGAIN, status=410)


@pytest.mark.parametrize("path", ["/link/unknown", "/link/confirm", "/oidc/callback", "/oidc/callback?state=x&code=y"])
async def test_made_up_addresses_lead_nowhere(bot: Bot, browser: Browser, path: str) -> None:
    await browser.open(bot.url + path)
    await refused(bot, browser, AGAIN, status=410)


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token": "x" * 10_000}])
async def test_a_made_up_confirmation_links_nothing(bot: Bot, browser: Browser, form: dict[str, str]) -> None:
    browser.page = await browser.http.post(f"{bot.url}/link/confirm", data=form)
    await refused(bot, browser, AGAIN, status=410)


async def test_an_answer_of_another_issuer_is_refused(bot: Bot) -> None:
    async with Browser(stop_at=f"{bot.url}/oidc") as browser:
        for change in (("iss=http", "iss=https"), ("iss=", "xiss=")):
            await browser.open(await bot.link_for(BOB))
            await browser.log_in("bob")
            browser.page = await browser.http.get(browser.sent_to.replace(*change))
            await refused(bot, browser, "did not come from the configured Keycloak")


async def test_a_token_of_another_login_is_refused(bot: Bot, browser: Browser) -> None:
    """The nonce in the ID token must be the one this linking was begun with."""
    state = (await bot.link_for(BOB)).rsplit("/", 1)[1]
    departure = await bot.linking.leave(state)
    browser.http.cookies.set(departure.cookie, departure.value, domain="127.0.0.1", path="/")
    await browser.open(str(httpx.URL(departure.url).copy_set_param("nonce", "another")))
    await browser.log_in("bob")
    await refused(bot, browser, "belongs to another login")


async def test_a_code_of_another_browsers_login_is_refused(bot: Bot) -> None:
    """A code injected into somebody's callback was made for another PKCE challenge."""
    async with Browser(stop_at=f"{bot.url}/oidc") as alices, Browser(stop_at=f"{bot.url}/oidc") as mallorys:
        await alices.open(await bot.link_for(ALICE))
        await alices.log_in("alice")
        await mallorys.open(await bot.link_for(MALLORY))
        await mallorys.log_in("bob")
        injected = httpx.URL(mallorys.sent_to).copy_set_param("code", alices.query["code"])
        mallorys.page = await mallorys.http.get(str(injected))
        await refused(bot, mallorys, "did not accept this login")


async def test_an_unverified_address_is_refused(bot: Bot, browser: Browser) -> None:
    bot.emails[MALLORY] = "grace@customer-c.example"
    await browser.open(await bot.link_for(MALLORY))
    await browser.log_in("grace")
    await refused(bot, browser, "is not verified")
    assert bot.refusals == ["email_unverified"]


async def test_who_is_no_full_member_any_more_when_confirming_is_not_linked(bot: Bot, browser: Browser) -> None:
    await browser.open(await bot.link_for(BOB))
    await browser.log_in("bob")
    bot.outside["UBOB"] = Member("bob@customer-a.example", frozenset({"T1"}), guest=True)
    await browser.submit()
    await refused(bot, browser, "not a full member of the Slack workspace")
    assert bot.refusals == ["no_member"]


async def test_an_account_is_linked_with_one_slack_user_only_however_close_the_second_comes(
    bot: Bot, keycloak: WireServer
) -> None:
    """Both have logged in with bob's account before either confirms."""
    bot.emails[MALLORY] = bot.emails[BOB]
    async with Browser() as bobs, Browser() as mallorys:
        for browser, user in ((bobs, BOB), (mallorys, MALLORY)):
            await browser.open(await bot.link_for(user))
            await browser.log_in("bob")
            assert browser.sees("Link these two accounts?")
        await bobs.submit()
        await mallorys.submit()
        assert mallorys.sees("This Keycloak account is linked with another Slack user.")
    assert bot.links.written.keys() == {BOB}
    assert bot.refusals == ["account_taken"]


async def test_a_link_written_between_the_last_look_and_ours_is_looked_at_again(bot: Bot, browser: Browser) -> None:
    bot.emails[MALLORY] = bot.emails[BOB]
    await browser.open(await bot.link_for(MALLORY))
    await browser.log_in("bob")
    subject = await StandInRealm(bot.login.issuer.partition("/realms")[0]).user_id("bob")
    bot.links.meanwhile = (BOB, Link(Subject(subject), "bob", "bob@customer-a.example", bot.clock.now()))
    await browser.submit()
    assert browser.sees("This Keycloak account is linked with another Slack user.")
    assert bot.links.written.keys() == {BOB}
    assert bot.audit.lines[-1] == ("outcome", "link", "slack:T1/UMALLORY", {"linked": False})


async def test_a_cancelled_login_is_told(bot: Bot) -> None:
    async with Browser(stop_at=f"{bot.url}/oidc") as browser:
        await browser.open(await bot.link_for(BOB))
        await browser.log_in("bob")
        state, issuer = browser.query["state"], browser.query["iss"]
        browser.page = await browser.http.get(
            f"{bot.url}/oidc/callback", params={"state": state, "iss": issuer, "error": "access_denied"}
        )
        await refused(bot, browser, "The login at Keycloak was not completed.")


async def test_a_keycloak_that_does_not_answer_is_told(bot: Bot, browser: Browser, keycloak: WireServer) -> None:
    await browser.open(await bot.link_for(BOB))
    keycloak.faults.add("lost_request", "POST .*/token")
    await browser.log_in("bob")
    await refused(bot, browser, "Keycloak was not reached", status=503)


async def test_names_from_outside_are_shown_as_text(bot: Bot, browser: Browser, keycloak: WireServer) -> None:
    hostile = "<script>alert(1)</script>\"'&@cdm.example"
    bot.emails[BOB] = hostile
    await StandInRealm(keycloak.url).create_user("hostile", email=hostile)
    await browser.open(await bot.link_for(BOB))
    await browser.log_in("hostile")
    assert "<script" not in browser.page.text
    assert browser.sees(hostile)


async def test_every_page_forbids_caching_framing_and_scripts(bot: Bot) -> None:
    async with Browser(stop_at="http") as browser:
        pages = [await browser.open(await bot.link_for(BOB)), await browser.open(f"{bot.url}/link/unknown")]
    async with Browser() as browser:
        await browser.open(await bot.link_for(BOB))
        await browser.log_in("bob")
        pages += [browser.page, await browser.submit()]
    assert [page.status_code for page in pages] == [303, 410, 200, 200]
    for page in pages:
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("public_url", "name", "secure"), [("https://bot.example/", "__Host-cdm-link-", True), ("", "cdm-link-", False)]
)
async def test_the_browsers_cookie_is_unreadable_to_scripts_and_bound_to_https(
    keycloak: WireServer, clock: ManualClock, public_url: str, name: str, secure: bool
) -> None:
    bot = Bot(keycloak, clock, public_url.rstrip("/"))
    path = httpx.URL(await bot.link_for(BOB)).path
    async with httpx.AsyncClient(transport=httpx.ASGITransport(bot.app), base_url="https://bot.example") as http:
        (cookie,) = (await http.get(path)).headers.get_list("set-cookie")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert cookie.startswith(name)
    assert {"httponly", "path=/", "samesite=lax"} <= flags
    assert ("secure" in flags) is secure
    assert not any(flag.startswith("domain=") for flag in flags)
    await bot.login.aclose()


async def test_states_are_long_random_and_short_lived(bot: Bot) -> None:
    first, second = await bot.link_for(BOB), await bot.link_for(BOB)
    assert first != second
    assert len(first.rsplit("/", 1)[1]) >= 43
    assert [until - bot.clock.monotonic() for until, _ in bot.states.kept.values()] == [STATE_LIFE_S, STATE_LIFE_S]
