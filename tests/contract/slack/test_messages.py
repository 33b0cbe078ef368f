"""Posts, updates and deletions, and what people see of them, under the faults Slack is known for."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from sandbox.slack.inputs import NotOnScreen
from tests.contract.slack.conftest import (
    ALICE,
    BOB,
    OPS,
    QUIET,
    Stand,
    actions,
    button,
    modal,
    refusal,
    refused_as,
    section,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_default_client_posts_twice_when_the_answer_is_lost(slack: Stand) -> None:
    slack.server.faults.add("lost_answer", "chat.postMessage", times=1)

    await slack.web(retries=True).chat_postMessage(channel=OPS, text="once")

    assert await slack.people.channel_texts(OPS) == ["once", "once"]


async def test_without_retry_handlers_a_lost_answer_leaves_one_message_and_an_error(slack: Stand) -> None:
    slack.server.faults.add("lost_answer", "chat.postMessage", times=1)

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await slack.web().chat_postMessage(channel=OPS, text="once")

    assert await slack.people.channel_texts(OPS) == ["once"]


async def test_a_post_can_appear_after_its_client_gave_up(slack: Stand) -> None:
    slack.sandbox.late_posts = [1.5]

    with pytest.raises(asyncio.TimeoutError):
        await slack.web(timeout=1).chat_postMessage(channel=OPS, text="late")

    assert await slack.people.channel_texts(OPS) == []
    assert (await slack.people.wait_for(OPS, lambda m: m.text == "late", 5)).revisions == 0


async def test_history_may_lag_behind_what_people_see(slack: Stand) -> None:
    slack.sandbox.workspace.history_delay_s = 60
    slack.sandbox.workspace.rng.seed(3)
    ts = await slack.post("seen at once")

    before = await slack.web().conversations_history(channel=OPS)
    slack.clock.turn(60)
    after = await slack.web().conversations_history(channel=OPS)

    assert await slack.people.channel_texts(OPS) == ["seen at once"]
    assert before["messages"] == []
    assert [m["ts"] for m in after["messages"]] == [ts]


async def test_with_oldest_alone_a_page_holds_the_messages_closest_to_it_newest_first(slack: Stand) -> None:
    slack.sandbox.rates.enabled = False
    sent = [await slack.post(f"m{n}") for n in range(5)]

    page = await slack.web().conversations_history(channel=OPS, oldest=sent[0], limit=2)
    following = await slack.web().conversations_history(
        channel=OPS, oldest=sent[0], limit=2, cursor=page["response_metadata"]["next_cursor"]
    )
    newest = await slack.web().conversations_history(channel=OPS, limit=2)

    assert [m["text"] for m in page["messages"]] == ["m2", "m1"]
    assert page["has_more"] is True
    assert [m["text"] for m in following["messages"]] == ["m4", "m3"]
    assert following["has_more"] is False
    assert [m["text"] for m in newest["messages"]] == ["m4", "m3"]


@pytest.mark.filterwarnings("ignore:The top-level")
async def test_text_without_blocks_drops_the_blocks_and_blocks_without_text_keep_the_old_text(slack: Stand) -> None:
    ts = await slack.post("first", blocks=[section("*blocks*")])

    await slack.web().chat_update(channel=OPS, ts=ts, blocks=[section("newer")])
    (kept,) = await slack.people.messages(OPS)
    await slack.web().chat_update(channel=OPS, ts=ts, text="only text")
    (dropped,) = await slack.people.messages(OPS)

    assert (kept.text, kept.shown, kept.edited) == ("first", "newer", 0)
    assert (dropped.shown, dropped.blocks, dropped.edited, dropped.revisions) == ("only text", [], 1, 2)


async def test_the_bot_cannot_change_what_a_person_wrote(slack: Stand) -> None:
    ts = await slack.people.post(BOB, OPS, "mine")

    assert await refused_as(slack.web().chat_update(channel=OPS, ts=ts, text="x")) == "cant_update_message"
    assert await refused_as(slack.web().chat_delete(channel=OPS, ts=ts)) == "cant_delete_message"


async def test_an_update_takes_a_channel_id_not_a_name(slack: Stand) -> None:
    ts = await slack.post("x")

    posted = await slack.web().chat_postMessage(channel="#ops", text="by name")

    assert posted["channel"] == OPS
    assert await refused_as(slack.web().chat_update(channel="#ops", ts=ts, text="y")) == "channel_not_found"


async def test_uninvited_a_public_channel_needs_chat_write_public_and_a_private_one_does_not_exist(
    slack: Stand,
) -> None:
    secret = await slack.people.add_channel("secret", members=[BOB], private=True, bot_in=False)

    assert await refused_as(slack.web().chat_postMessage(channel=QUIET, text="x")) == "not_in_channel"
    assert await refused_as(slack.web().chat_postMessage(channel=secret, text="x")) == "channel_not_found"
    slack.sandbox.scopes.add("chat:write.public")
    await slack.web().chat_postMessage(channel=QUIET, text="uninvited")
    assert await slack.people.channel_texts(QUIET) == ["uninvited"]


async def test_an_archived_channel_takes_no_posts_and_freezes_its_messages(slack: Stand) -> None:
    ts = await slack.post("x")
    await slack.people.change_channel(OPS, "archive")

    assert await refused_as(slack.web().chat_postMessage(channel=OPS, text="y")) == "is_archived"
    assert await refused_as(slack.web().chat_update(channel=OPS, ts=ts, text="y")) == "is_inactive"
    with pytest.raises(NotOnScreen):
        await slack.people.slash(BOB, OPS, "/cdm", "status")


async def test_a_bot_that_was_removed_is_told_so(slack: Stand) -> None:
    await slack.people.change_channel(OPS, "remove_bot")

    assert await refused_as(slack.web().chat_postMessage(channel=OPS, text="x")) == "not_in_channel"
    assert await refused_as(slack.web().conversations_history(channel=OPS)) == "not_in_channel"


@pytest.mark.parametrize("error", ["token_revoked", "account_inactive"])
async def test_a_dead_token_is_refused_by_every_method(slack: Stand, error: str) -> None:
    await slack.people.set(token_error=error)

    assert await refused_as(slack.web().chat_postMessage(channel=OPS, text="x")) == error
    assert await refused_as(slack.web().users_info(user=BOB)) == error

    await slack.people.set(token_error="")
    assert (await slack.web().auth_test())["ok"]


async def test_a_missing_scope_is_named_with_those_provided(slack: Stand) -> None:
    slack.sandbox.scopes = {"chat:write", "channels:read"}

    answer = await refusal(slack.web().users_lookupByEmail(email="bob@example.org"))

    assert answer["error"] == "missing_scope"
    assert answer["needed"] == "users:read.email"
    assert answer["provided"] == "channels:read,chat:write"
    assert (await refusal(slack.web().conversations_history(channel=OPS)))["needed"] == "channels:history"


async def test_a_message_deleted_by_a_person_is_gone_for_the_bot(slack: Stand) -> None:
    ts = await slack.post("x", blocks=[actions(button())])
    await slack.people.delete(ALICE, OPS, ts)

    assert await slack.people.messages(OPS) == []
    assert [m.deleted for m in await slack.people.messages(OPS, deleted=True)] == [True]
    assert await refused_as(slack.web().chat_update(channel=OPS, ts=ts, text="y")) == "message_not_found"
    assert (await slack.web().conversations_history(channel=OPS))["messages"] == []
    with pytest.raises(NotOnScreen):
        await slack.people.click(BOB, OPS, ts, "promote")


async def test_replies_to_a_deleted_parent_go_through_and_leave_a_tombstone(slack: Stand) -> None:
    ts = await slack.post("parent")
    await slack.post("before", thread_ts=ts)
    await slack.people.delete(BOB, OPS, ts)

    await slack.post("after", thread_ts=ts)

    history = await slack.web().conversations_history(channel=OPS)
    assert [m["subtype"] for m in history["messages"]] == ["tombstone"]
    (parent,) = await slack.people.messages(OPS, deleted=True)
    assert [reply.text for reply in parent.replies] == ["before", "after"]


async def test_a_reply_to_a_reply_is_stored_where_no_thread_shows_it(slack: Stand) -> None:
    parent = await slack.post("parent")
    reply = await slack.post("reply", thread_ts=parent)

    lost = await slack.post("lost", thread_ts=reply)

    (seen,) = await slack.people.messages(OPS)
    assert [r.text for r in seen.replies] == ["reply"]
    state = await slack.people.state()
    assert [m["ts"] for c in state["channels"] if c["id"] == OPS for m in c["orphans"]] == [lost]


async def test_only_control_sequences_ping_and_escaped_ones_are_plain_text(slack: Stand) -> None:
    slack.sandbox.rates.enabled = False
    await slack.post("<!channel> <@U0BOB> see https://example.org/x", unfurl_links=False, unfurl_media=False)
    await slack.post("&lt;!channel&gt; @here 5 < 6", blocks=[section("&lt;!here&gt;")])
    await slack.post("quiet", blocks=[section("<!subteam^S0ONCALL>")])
    await slack.post("@here", link_names=True)

    live, escaped, block, named = await slack.people.messages(OPS)

    assert (live.pings, live.unfurled) == (["!channel", "@U0BOB"], [])
    assert (escaped.pings, escaped.shown, escaped.text) == ([], "<!here>", "&lt;!channel&gt; @here 5 &lt; 6")
    assert block.pings == ["!subteam^S0ONCALL"]
    assert named.pings == ["!here"]


async def test_links_are_fetched_unless_both_unfurl_switches_are_off(slack: Stand) -> None:
    await slack.post("https://example.org/a")
    await slack.post("https://example.org/b", unfurl_links=False)
    await slack.post("https://example.org/c", unfurl_links=False, unfurl_media=False)

    assert [m.unfurled for m in await slack.people.messages(OPS)] == [
        ["https://example.org/a"],
        ["https://example.org/b"],
        [],
    ]


async def test_text_beyond_40000_characters_is_cut_with_a_warning(slack: Stand) -> None:
    answer = await slack.web().chat_postMessage(channel=OPS, text="x" * 40_001)

    assert answer["warning"] == "message_truncated"
    assert len((await slack.people.messages(OPS))[0].text) == 40_000


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ("not json", "invalid_metadata_format"),
        ({"event_type": "x"}, "invalid_metadata_schema"),
        ({"event_type": "x", "event_payload": {"a": "b" * 9_000}}, "metadata_too_large"),
    ],
)
async def test_bad_metadata_is_refused(slack: Stand, metadata: object, error: str) -> None:
    call = slack.web().api_call("chat.postMessage", json={"channel": OPS, "text": "x", "metadata": metadata})

    assert await refused_as(call) == error


async def test_an_ephemeral_is_seen_by_one_member_and_cannot_be_updated(slack: Stand) -> None:
    answer = await slack.web().chat_postEphemeral(channel=OPS, user=BOB, text="psst")

    assert [e.text for e in await slack.people.ephemerals(BOB)] == ["psst"]
    assert await slack.people.ephemerals(ALICE) == []
    assert await slack.people.messages(OPS) == []
    update = slack.web().chat_update(channel=OPS, ts=answer["message_ts"], text="x")
    assert await refused_as(update) == "message_not_found"
    stranger = slack.web().chat_postEphemeral(channel=OPS, user="U0NOBODY", text="x")
    assert await refused_as(stranger) == "user_not_in_channel"


async def test_a_reaction_is_added_once(slack: Stand) -> None:
    slack.sandbox.scopes.add("reactions:write")
    ts = await slack.post("x")

    await slack.web().reactions_add(channel=OPS, timestamp=ts, name="eyes")

    again = slack.web().reactions_add(channel=OPS, timestamp=ts, name="eyes")
    assert await refused_as(again) == "already_reacted"
    (shown,) = (await slack.web().conversations_history(channel=OPS))["messages"]
    assert shown["reactions"] == [{"name": "eyes", "users": ["U0CDMBOT"], "count": 1}]


async def test_people_are_found_by_email_only_with_the_scope_for_it(slack: Stand) -> None:
    found = await slack.web().users_lookupByEmail(email="Bob@example.org")
    slack.sandbox.scopes.discard("users:read.email")
    hidden = await slack.web().users_info(user=BOB)

    assert found["user"]["id"] == BOB
    assert "email" not in hidden["user"]["profile"]
    assert await refused_as(slack.web().users_info(user="U0NOBODY")) == "user_not_found"


async def test_channels_are_listed_joined_and_opened_as_far_as_the_bot_may(slack: Stand) -> None:
    web = slack.web()
    await slack.people.add_channel("secret", members=[BOB], private=True, bot_in=False)
    listed = await web.conversations_list(types="public_channel,private_channel")
    direct = await web.conversations_open(users=BOB)
    await web.chat_postMessage(channel=BOB, text="to you")

    assert [(c["name"], c["is_member"]) for c in listed["channels"]] == [("ops", True), ("quiet", False)]
    assert await refused_as(web.conversations_join(channel=QUIET)) == "missing_scope"
    slack.sandbox.scopes.add("channels:join")
    assert (await web.conversations_join(channel=QUIET))["channel"]["is_member"] is True
    assert (await web.conversations_members(channel=QUIET))["members"] == [ALICE, BOB, "U0CDMBOT"]
    assert direct["channel"]["id"] == slack.people.direct_channel(BOB)
    assert await slack.people.channel_texts(direct["channel"]["id"]) == ["to you"]


async def test_an_uploaded_file_shows_up_in_the_channel_some_time_after_the_answer(slack: Stand) -> None:
    parent = await slack.post("incident")
    slack.sandbox.file_processing_s = 0.3

    await slack.web().files_upload_v2(
        channel=OPS, thread_ts=parent, filename="journal.txt", content="line\n", initial_comment="the journal"
    )

    assert await slack.people.files() == []
    shown = await slack.people.wait_for(OPS, lambda m: m.text == "the journal")
    (file,) = await slack.people.files()
    assert (shown.thread_ts, shown.files) == (parent, [file.id])
    assert (file.name, file.content, file.shares) == ("journal.txt", "line\n", [(OPS, shown.ts)])


async def test_a_file_needs_a_channel_the_bot_is_in(slack: Stand) -> None:
    slack.sandbox.scopes.add("chat:write.public")
    slack.sandbox.rates.enabled = False

    async def upload(channel: str) -> str:
        return await refused_as(slack.web().files_upload_v2(channel=channel, filename="a.txt", content="x"))

    assert await upload(QUIET) == "not_in_channel"
    assert await upload("#ops") == "channel_not_found"


async def test_a_token_of_the_wrong_kind_and_an_unknown_method_are_named(slack: Stand) -> None:
    wrong_kind = slack.web().api_call("apps.connections.open")
    unknown = slack.web().api_call("chat.shout")

    assert await refused_as(wrong_kind) == "not_allowed_token_type"
    assert await refused_as(unknown) == "unknown_method"
    assert await refused_as(slack.web(token="").auth_test()) == "not_authed"
    opening = slack.web().views_open(trigger_id="1.2.abc", view=modal())
    assert await refused_as(opening) == "invalid_trigger_id"
