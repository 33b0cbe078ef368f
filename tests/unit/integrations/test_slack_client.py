"""Slack's Web API over the wire: one call is one request, nothing unfurls, each failure has its class."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from core.errors import OutsideError
from core.ids import Channel
from core.members import Member
from core.messages.blocks import Message, compose, section
from core.messages.text import literal
from integrations.slack.client import SlackPosts
from integrations.slack.errors import (
    BlocksRefused,
    ChannelGone,
    MessageGone,
    NotEditable,
    ScopeMissing,
    SlackRateLimited,
    SlackRefused,
    SlackUnavailable,
    SlackUnknown,
    ThreadGone,
    TokenRefused,
    TooLong,
    UrlSpent,
    UserUnreachable,
)
from sandbox.slack import SlackSandbox
from sandbox.slack.response_urls import new_response_url
from sandbox.wire import WireServer, free_port

OPS = Channel("C0OPS")
HELLO = compose("hello", section("hello"))


@pytest.fixture
def slack() -> SlackSandbox:
    sandbox = SlackSandbox()
    sandbox.workspace.add_user("anna", email="anna@example.org")
    sandbox.workspace.add_channel("ops", members=("U0ANNA",))
    return sandbox


@pytest.fixture
async def server(slack: SlackSandbox) -> AsyncIterator[WireServer]:
    async with WireServer(slack.app) as running:
        yield running


@pytest.fixture
async def posts(server: WireServer, slack: SlackSandbox) -> AsyncIterator[SlackPosts]:
    client = SlackPosts(lambda: slack.bot_token, base_url=f"{server.url}/api/", timeout_s=1.0)
    yield client
    await client.aclose()


def state(slack: SlackSandbox, channel: str = OPS) -> list[dict[str, Any]]:
    found: list[Mapping[str, Any]] = slack.workspace.state()["channels"]
    return next(list(c["messages"]) for c in found if c["id"] == channel)


async def say(posts: SlackPosts, message: Message = HELLO, **more: Any) -> str:
    given: dict[str, Any] = {"thread_ts": None, "outbox_id": "id-1", **more}
    return await posts.post(OPS, text=message.text, blocks=message.blocks, **given)


async def test_a_post_is_found_again_by_its_id(slack: SlackSandbox, posts: SlackPosts) -> None:
    first = await say(posts)
    other = await say(posts, outbox_id="id-2")
    reply = await say(posts, outbox_id="id-3", thread_ts=first)
    assert await posts.find(OPS, "id-1", oldest="0", thread_ts=None) == [first]
    assert await posts.find(OPS, "id-2", oldest=other[:-3] + "000", thread_ts=None) == [other]
    assert await posts.find(OPS, "id-3", oldest="0", thread_ts=first) == [reply]
    assert await posts.find(OPS, "id-3", oldest="0", thread_ts="1.000000") == []


async def test_a_message_of_somebody_else_with_our_id_is_not_taken_for_ours(
    slack: SlackSandbox, posts: SlackPosts
) -> None:
    ours = await say(posts)
    theirs = await say(posts)
    slack.workspace.messages[OPS][theirs].bot_id = "B0OTHER"
    slack.workspace.messages[OPS][theirs].user = "U0OTHER"
    assert await posts.find(OPS, "id-1", oldest="0", thread_ts=None) == [ours]


async def test_the_look_up_reads_on_past_the_first_page(slack: SlackSandbox, posts: SlackPosts) -> None:
    slack.rates.enabled = False
    oldest = slack.workspace.next_ts()
    for number in range(210):
        slack.people.post("U0ANNA", OPS, f"chatter {number}")
    ts = await say(posts)
    assert await posts.find(OPS, "id-1", oldest=oldest, thread_ts=None) == [ts]


async def test_foreign_text_pings_nobody_and_fetches_nothing(slack: SlackSandbox, posts: SlackPosts) -> None:
    evil = "<!channel> @here <@U0ANNA> https://evil.example/x <https://evil.example|Approve> ${deviceName}"
    await say(posts, compose(literal(evil, 500), section(literal(evil, 500))))
    (seen,) = state(slack)
    assert seen["pings"] == []
    assert seen["unfurled"] == []
    assert "<!channel> @here" in seen["shown"]
    assert "${deviceName}" in seen["shown"]


async def test_an_update_replaces_text_and_blocks(slack: SlackSandbox, posts: SlackPosts) -> None:
    ts = await say(posts)
    await posts.update(OPS, ts, text="only text", blocks=(), outbox_id="id-1")
    (seen,) = state(slack)
    assert (seen["text"], seen["blocks"]) == ("only text", [])
    assert await posts.find(OPS, "id-1", oldest="0", thread_ts=None) == [ts]
    await posts.delete(OPS, ts)
    assert [m["deleted"] for m in state(slack)] == [True]


async def test_a_lost_answer_leaves_one_message_and_says_that_the_outcome_is_unknown(
    slack: SlackSandbox, server: WireServer, posts: SlackPosts
) -> None:
    server.faults.add("lost_answer", "chat.postMessage")
    with pytest.raises(SlackUnknown) as caught:
        await say(posts)
    assert caught.value.unknown_outcome
    assert len(state(slack)) == 1


@pytest.mark.parametrize(("kind", "more"), [("late_answer", {"delay_s": 3.0}), ("status_after", {"status": 502})])
async def test_a_time_out_and_a_server_error_of_a_post_are_of_unknown_outcome(
    server: WireServer, posts: SlackPosts, kind: Any, more: dict[str, Any]
) -> None:
    server.faults.add(kind, "chat.postMessage", **more)
    with pytest.raises(SlackUnknown):
        await say(posts)


async def test_where_nothing_was_sent_nothing_can_have_happened(slack: SlackSandbox) -> None:
    nobody = SlackPosts(lambda: "xoxb", base_url=f"http://127.0.0.1:{free_port()}/api/")
    with pytest.raises(SlackUnavailable):
        await say(nobody)
    await nobody.aclose()


async def test_a_read_that_fails_is_only_unavailable(server: WireServer, posts: SlackPosts) -> None:
    await posts.auth_test()
    server.faults.add("status", "conversations.history", status=500)
    with pytest.raises(SlackUnavailable):
        await posts.find(OPS, "id-1", oldest="0", thread_ts=None)


async def test_an_internal_error_of_slack_is_of_unknown_outcome(server: WireServer, posts: SlackPosts) -> None:
    server.faults.add("status", "chat.postMessage", status=200, body={"ok": False, "error": "internal_error"})
    with pytest.raises(SlackUnknown):
        await say(posts)


async def test_a_refused_thread_is_told_from_a_refused_message(server: WireServer, posts: SlackPosts) -> None:
    server.faults.add("status", "chat.post", status=200, body={"ok": False, "error": "cannot_reply_to_message"})
    with pytest.raises(ThreadGone):
        await say(posts, thread_ts="1.000000")


async def test_a_rate_limit_says_how_long_to_wait(slack: SlackSandbox, posts: SlackPosts) -> None:
    for _ in range(slack.rates.post_burst):
        await say(posts)
    with pytest.raises(SlackRateLimited) as caught:
        await say(posts)
    assert caught.value.retry_after_s == 1.0
    assert len(state(slack)) == slack.rates.post_burst


async def test_refusals_about_the_channel(slack: SlackSandbox, posts: SlackPosts) -> None:
    ts = await say(posts)
    slack.archive(OPS)
    with pytest.raises(ChannelGone) as caught:
        await say(posts)
    assert "is_archived" in caught.value.user_text
    with pytest.raises(ChannelGone):
        await posts.update(OPS, ts, text="x", blocks=(), outbox_id="id-1")
    slack.archive(OPS, False)
    slack.remove_bot(OPS)
    with pytest.raises(ChannelGone):
        await say(posts)
    with pytest.raises(ChannelGone):
        await posts.post(Channel("C0NONE"), text="x", blocks=(), thread_ts=None, outbox_id="id-1")


async def test_refusals_about_the_message(slack: SlackSandbox, posts: SlackPosts) -> None:
    slack.rates.enabled = False
    ts = await say(posts)
    theirs = slack.people.post("U0ANNA", OPS, "mine").ts
    with pytest.raises(NotEditable):
        await posts.update(OPS, theirs, text="x", blocks=(), outbox_id="id-1")
    await posts.delete(OPS, ts)
    with pytest.raises(MessageGone):
        await posts.update(OPS, ts, text="x", blocks=(), outbox_id="id-1")
    slack.refused_blocks = frozenset({"section"})
    with pytest.raises(BlocksRefused):
        await say(posts)
    slack.refused_blocks = frozenset()
    with pytest.raises(TooLong):
        await say(posts, Message("t", tuple(section("x" * 2_900) for _ in range(4))))
    with pytest.raises(SlackRefused) as caught:
        await say(posts, Message(""))
    assert caught.value.code == "no_text"


async def test_refusals_about_the_app(slack: SlackSandbox, posts: SlackPosts) -> None:
    slack.scopes.discard("channels:history")
    with pytest.raises(ScopeMissing):
        await posts.find(OPS, "id-1", oldest="0", thread_ts=None)
    slack.refuse_token("token_revoked")
    with pytest.raises(TokenRefused):
        await say(posts)


async def test_a_new_token_is_taken_up_at_the_next_call(slack: SlackSandbox, server: WireServer) -> None:
    tokens = ["xoxb-old", slack.bot_token]
    client = SlackPosts(lambda: tokens.pop(0), base_url=f"{server.url}/api/")
    with pytest.raises(TokenRefused):
        await client.auth_test()
    me = await client.auth_test()
    await client.aclose()
    assert (me.team, me.user) == ("T0CDM", "U0CDMBOT")
    assert {"chat:write", "channels:history"} <= me.scopes


async def test_a_file_goes_into_the_thread_and_is_found_by_its_name(slack: SlackSandbox, posts: SlackPosts) -> None:
    slack.file_processing_s = 0
    ts = await say(posts)
    await posts.upload(OPS, thread_ts=ts, filename="journal-id-9.txt", content=b"line\n" * 3, comment="The journal")
    for _ in range(100):
        if found := await posts.find(OPS, "id-9", oldest="0", thread_ts=ts):
            break
    assert len(found) == 1
    (file,) = slack.workspace.state()["files"]
    assert file["content"] == "line\n" * 3
    await posts.upload(OPS, thread_ts=ts, filename="empty.txt", content=b"", comment="Nothing")


async def test_private_answers(slack: SlackSandbox, posts: SlackPosts) -> None:
    await posts.auth_test()  # so that the sandbox knows where it is
    url = new_response_url(slack, "commands", OPS, "U0ANNA")
    slack.rates.enabled = False
    await posts.tell(OPS, "U0ANNA", text="for you", blocks=())
    for _ in range(5):
        await posts.respond(url, text="also for you", blocks=HELLO.blocks)
    assert [e.text for e in slack.workspace.ephemerals] == ["for you"] + ["also for you"] * 5
    with pytest.raises(UrlSpent):
        await posts.respond(url, text="once more", blocks=())
    with pytest.raises(UrlSpent):
        await posts.respond(url + "x", text="elsewhere", blocks=())
    slack.workspace.add_user("ben")
    with pytest.raises(UserUnreachable):
        await posts.tell(OPS, "U0BEN", text="not here", blocks=())


async def test_what_slack_says_of_a_person(slack: SlackSandbox, posts: SlackPosts) -> None:
    async def anna() -> Member:
        found = await posts.member("U0ANNA", timeout_s=2)
        assert found is not None
        return found

    here = frozenset({slack.workspace.team_id})
    assert await anna() == Member("anna@example.org", here)
    slack.people.change("U0ANNA", is_restricted=True, is_ultra_restricted=True)
    assert await anna() == Member("anna@example.org", here, guest=True)
    slack.people.change("U0ANNA", is_restricted=False, is_ultra_restricted=False, team="T0OTHER")
    assert await anna() == Member("anna@example.org", frozenset({"T0OTHER"}), stranger=True)
    slack.people.change("U0ANNA", team="", deleted=True)
    assert (await anna()).deactivated
    bot = await posts.member("U0CDMBOT", timeout_s=2)
    assert bot is not None
    assert bot.bot
    assert bot.email == ""
    assert await posts.member("U0NOBODY", timeout_s=2) is None


async def test_a_person_is_not_waited_for_longer_than_asked(server: WireServer, posts: SlackPosts) -> None:
    server.faults.add("late_answer", "users.info", delay_s=5)
    with pytest.raises(OutsideError):
        await posts.member("U0ANNA", timeout_s=0.1)


async def test_no_error_shows_the_token(slack: SlackSandbox, server: WireServer, posts: SlackPosts) -> None:
    server.faults.add("lost_answer")
    with pytest.raises(OutsideError) as caught:
        await say(posts)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert slack.bot_token not in repr(chain)
        chain = chain.__cause__
