"""P3: one message per incident, rollout and run, updated in place, whatever Slack and the network do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from core.budgets import Priority
from core.ids import Channel
from core.messages.blocks import Button, actions, code, compose, section
from core.outbox import Timing
from flows.outbox import Exits
from integrations.store.connection import Store
from sandbox.wire import WireServer
from tests.scenario.outbox_world import (
    ADMIN,
    FALLBACK,
    OPS,
    QUICK,
    FastClock,
    World,
    running,
    until,
    workspace,
)


@pytest.fixture
async def world(store: Store) -> AsyncIterator[World]:
    clock = FastClock()
    slack = workspace(clock, "east", "west")
    async with WireServer(slack.app) as server:
        here = World(store, clock, slack, server)
        yield here
        await here.close()


async def test_one_message_per_key_with_lost_answers_and_late_history(world: World) -> None:
    world.slack.workspace.history_delay_s = 10.0
    world.slack.file_processing_s = 0.0
    world.server.faults.add("lost_answer", "chat.postMessage|completeUpload", share=0.2)
    channels = (OPS, Channel("C0EAST"), Channel("C0WEST"))
    worker = world.worker()
    async with running(worker):
        for state in ("active", "acknowledged", "cleared"):
            for channel in channels:
                for number in range(6):
                    key = f"incident:{channel}:{number}"
                    await world.want(key, f"{key} is {state}", channel, open=state != "cleared")
            await world.clock.sleep(5)
        for channel in channels:
            parent = f"incident:{channel}:0"
            await world.want(f"{parent}:note", f"reply to {parent}", channel, parent=parent, priority=Priority.NOTE)
            await world.outbox.put_file(f"{parent}:log", parent, "journal.txt", b"a line", "The journal")
        await world.settled(worker, 18.0)
    assert world.server.faults.active[0].hits >= 3
    for channel in channels:
        assert sorted(world.texts(channel)) == [f"incident:{channel}:{n} is cleared" for n in range(6)]
        threads = {m["shown"]: m["replies"] for m in world.seen(channel) if m["replies"]}
        replies = threads.pop(f"incident:{channel}:0 is cleared")
        assert sorted(r["shown"] for r in replies) == ["The journal", f"reply to incident:{channel}:0"]
        assert threads == {}


async def test_two_replicas_share_the_work_and_double_nothing(world: World) -> None:
    world.slack.workspace.history_delay_s = 5.0
    world.server.faults.add("lost_answer", "chat.postMessage", share=0.2)
    one, two = world.worker(), world.worker()
    channels = (OPS, Channel("C0EAST"), Channel("C0WEST"), FALLBACK)
    async with running(one, two):
        for number in range(20):
            await world.want(f"incident:{number}", f"incident {number}", channels[number % 4])
        await world.settled(one)
    shown = [text for channel in channels for text in world.texts(channel)]
    assert sorted(shown) == sorted(f"incident {number}" for number in range(20))


async def test_a_twin_that_history_hid_for_too_long_is_deleted(world: World) -> None:
    world.server.faults.add("lost_answer", "chat.postMessage", times=1)
    worker = world.worker(timing=Timing(recheck_s=30.0))
    async with running(worker):
        await world.want("incident:1", "OTA Failure")
        await until(lambda: len(world.ever()) == 1)
        (first,) = world.slack.workspace.messages[OPS].values()
        first.visible_at = world.clock.now().timestamp() + 25
        await until(lambda: len(world.seen()) == 2)
        await world.settled(worker)
    assert world.texts() == ["OTA Failure"]
    assert [m["deleted_by"] for m in world.ever() if m["deleted"]] == ["U0CDMBOT"]


async def test_where_it_cannot_look_only_what_is_critical_goes_out_again_and_says_so(world: World) -> None:
    world.slack.scopes.discard("channels:history")
    world.server.faults.add("lost_answer", "chat.postMessage", times=2)
    worker = world.worker()
    async with running(worker):
        await world.want("incident:1", "critical alarm", critical=True)
        await world.want("incident:2", "minor alarm")
        await until(lambda: len(world.seen()) == 3)
        repeated = [text for text in world.texts() if "possible repeat" in text]
        assert len(repeated) == 1
        assert repeated[0].startswith("critical alarm")
        world.slack.scopes.add("channels:history")
        await world.settled(worker)
    assert sorted(world.texts()) == ["critical alarm", "minor alarm"]


async def test_a_message_deleted_by_a_person_comes_back_once_while_open_and_its_thread_goes_on(world: World) -> None:
    worker = world.worker()
    async with running(worker):
        await world.want("incident:1", "active")
        await world.settled(worker)
        (first,) = world.seen()
        await world.want("incident:1:a", "first reply", parent="incident:1")
        await world.settled(worker)
        world.slack.people.delete("U0ANNA", OPS, first["ts"])
        await world.want("incident:1", "acknowledged")
        await world.settled(worker)
        assert world.texts() == ["acknowledged"]
        await world.want("incident:1:b", "second reply", parent="incident:1")
        await world.settled(worker)
        (old,) = [m for m in world.ever() if m["ts"] == first["ts"]]
        assert [r["shown"] for r in old["replies"]] == ["first reply", "second reply"]

        world.slack.people.delete("U0ANNA", OPS, world.seen()[0]["ts"])
        await world.want("incident:1", "cleared", open=False)
        await world.settled(worker)
    assert world.texts() == []


async def test_an_archived_channel_sends_its_messages_to_the_fallback_and_tells_the_admins_once(world: World) -> None:
    worker = world.worker()
    async with running(worker):
        await world.want("incident:1", "one is active")
        await world.settled(worker)
        world.slack.archive(OPS)
        await world.want("incident:1", "one is cleared", open=False)
        await world.want("incident:2", "two is active")
        await world.want("incident:2:a", "a reply", parent="incident:2")
        await world.want("incident:3", "three is active", Channel("C0EAST"))
        await world.settled(worker)
    assert world.texts(Channel("C0EAST")) == ["three is active"]
    moved = world.seen(FALLBACK)
    assert sorted(m["shown"].split("\n")[0] for m in moved) == ["one is cleared", "two is active"]
    assert all("meant for `C0OPS`" in m["shown"] for m in moved)
    assert [r["shown"] for m in moved for r in m["replies"]] == ["a reply"]
    notices = {text.partition(": Slack")[0] for text in world.texts(ADMIN)}
    assert notices == {"The bot cannot post to `C0OPS`"}
    assert len({m["text"] for m in world.seen(ADMIN)}) == len(world.seen(ADMIN)) <= 2  # two hours may be touched


async def test_where_there_is_no_fallback_messages_wait_until_the_bot_is_invited_again(world: World) -> None:
    world.slack.remove_bot(OPS)
    worker = world.worker(exits=Exits())
    async with running(worker):
        await world.want("incident:1", "OTA Failure")
        await world.want("incident:2", "elsewhere", Channel("C0EAST"))
        await until(lambda: world.texts(Channel("C0EAST")) == ["elsewhere"])
        assert world.texts() == []
        world.slack.invite_bot(OPS)
        await world.settled(worker)
    assert [text.split("\n")[0] for text in world.texts()] == ["OTA Failure"]


async def test_refused_blocks_leave_the_plain_text_and_the_next_state_tries_blocks_again(world: World) -> None:
    world.slack.refused_blocks = frozenset({"section"})
    worker = world.worker()
    async with running(worker):
        await world.want("incident:1", "", message=compose("OTA Failure", section("all `the` details")))
        await world.settled(worker)
        (seen,) = world.seen()
        assert seen["blocks"] == []
        assert seen["text"] == "OTA Failure\nall `the` details"
        world.slack.refused_blocks = frozenset()
        await world.want("incident:1", "cleared")
        await world.settled(worker)
    (seen,) = world.seen()
    assert [b["type"] for b in seen["blocks"]] == ["section"]


async def test_a_message_too_long_goes_out_shorter_with_the_full_text_in_its_thread(world: World) -> None:
    world.slack.limits.message_block_text = 4_600
    world.slack.file_processing_s = 0.0
    long = compose("Run finished", code("\n".join(f"line {n}" for n in range(700))), *[section("x" * 2_900)] * 2)
    worker = world.worker()
    async with running(worker):
        await world.want("run:1", "", message=long)
        await world.settled(worker)
    (seen,) = world.seen()
    assert seen["shown"].startswith("```\nline 0\n")
    (file,) = world.slack.workspace.state()["files"]
    assert file["content"].startswith("Run finished\n```\nline 0\nline 1\n")
    assert [share["ts"] for share in file["shares"]] == [reply["ts"] for reply in seen["replies"]]


async def test_a_rate_limited_channel_waits_and_the_others_go_on(world: World) -> None:
    limited = {"status": 429, "headers": {"retry-after": "20"}, "body": {"ok": False, "error": "ratelimited"}}
    world.server.faults.add("status", "chat.postMessage", times=1, **limited)
    worker = world.worker()
    async with running(worker):
        start = world.clock.monotonic()
        await world.want("incident:1", "limited")
        await until(lambda: bool(world.server.faults.active[0].hits))
        await world.want("incident:2", "elsewhere", Channel("C0EAST"))
        await until(lambda: world.texts(Channel("C0EAST")) == ["elsewhere"])
        assert world.texts() == []
        await world.settled(worker)
        assert world.clock.monotonic() - start >= 20
    assert world.texts() == ["limited"]


def rate_limited() -> float:
    kinds = ("post", "update", "look_up")
    name = "cdm_outbox_calls_total"
    return sum(REGISTRY.get_sample_value(name, {"kind": k, "result": "rate_limited"}) or 0 for k in kinds)


async def test_slacks_own_limits_are_never_reached_by_a_storm(world: World) -> None:
    before = rate_limited()
    worker = world.worker()
    async with running(worker):
        for number in range(40):
            await world.want(f"incident:{number}", f"incident {number} is active")
        await world.settled(worker)
        for number in range(40):
            await world.want(f"incident:{number}", f"incident {number} is cleared", open=False)
        await world.settled(worker)
    assert len(world.seen()) == 40
    assert all("is cleared" in m["shown"] for m in world.seen())
    assert rate_limited() == before


async def test_updates_are_coalesced_and_made_only_where_something_changed(world: World) -> None:
    worker = world.worker()
    async with running(worker):
        await world.want("rollout:eu1/17", "0 of 100")
        await world.settled(worker)
        for percent in range(1, 101):
            await world.want("rollout:eu1/17", f"{percent} of 100", priority=Priority.UPDATE)
        await world.settled(worker)
        for _ in range(5):
            await world.want("rollout:eu1/17", "100 of 100", priority=Priority.UPDATE)
        await world.settled(worker)
    (seen,) = world.seen()
    assert seen["shown"] == "100 of 100"
    assert 1 <= seen["revisions"] < 50


async def test_a_revoked_token_makes_it_not_ready_and_everything_goes_out_once_it_works(world: World) -> None:
    world.slack.refuse_token("token_revoked")
    worker = world.worker()
    async with running(worker):
        for number in range(3):
            await world.want(f"incident:{number}", f"incident {number}")

        async def not_ready() -> bool:
            return not (await worker.status()).ready

        await until(not_ready)
        status = await worker.status()
        assert "token_revoked" in status.reason
        assert status.pending == 3
        world.slack.bot_token = "xoxb-renewed"
        world.slack.refuse_token("")
        await world.settled(worker)
        assert (await worker.status()).ready
    assert sorted(world.texts()) == ["incident 0", "incident 1", "incident 2"]


async def test_one_message_slack_never_takes_blocks_nobody_and_is_shown_as_given_up(world: World) -> None:
    bad = compose("bad", section("bad"), actions(Button("stop", "Stop", "eu1/17")))
    world.server.faults.add("status", "chat.update", status=200, body={"ok": False, "error": "as_yet_unknown"})
    worker = world.worker(timing=QUICK)
    async with running(worker):
        await world.want("incident:bad", "was good")
        await world.settled(worker)
        await world.want("incident:bad", "", message=bad)
        await world.want("incident:good", "good")
        await until(lambda: "good" in world.texts())

        async def given_up() -> bool:
            return (await worker.status()).dead == 1

        await until(given_up)
        world.server.faults.clear()
        await world.want("incident:bad", "good again")
        await world.settled(worker)
        assert (await worker.status()).dead == 0
    assert sorted(world.texts()) == ["good", "good again"]


async def test_a_late_incident_says_how_late_it_is(world: World) -> None:
    await world.want("incident:1", "OTA Failure")
    await world.want("rollout:1", "rollout", priority=Priority.UPDATE)
    world.clock.skip(75)
    worker = world.worker()
    assert 74 < (await worker.status()).oldest_s < 90
    async with running(worker):
        await world.settled(worker)
    late, update = sorted(world.texts())
    assert late.startswith("OTA Failure\nshown 7")
    assert late.endswith(" s late")
    assert update == "rollout"


async def test_approvals_go_before_incidents_before_updates_before_notes(world: World) -> None:
    for priority in (Priority.NOTE, Priority.UPDATE, Priority.INCIDENT, Priority.APPROVAL):
        for number in range(2):
            await world.want(f"{priority.name}:{number}", priority.name, priority=priority)
    worker = world.worker()
    async with running(worker):
        await world.settled(worker)
    posted = [m["shown"] for m in sorted(world.seen(), key=lambda m: m["ts"])]
    assert posted == ["APPROVAL"] * 2 + ["INCIDENT"] * 2 + ["UPDATE"] * 2 + ["NOTE"] * 2


async def test_a_reply_waits_for_its_parent(world: World) -> None:
    worker = world.worker()
    async with running(worker):
        await world.want("incident:1:a", "reply", parent="incident:1", priority=Priority.APPROVAL)
        await world.want("other", "other")
        await until(lambda: world.texts() == ["other"])
        await world.want("incident:1", "parent")
        await world.settled(worker)
    assert [(m["shown"], [r["shown"] for r in m["replies"]]) for m in world.seen()] == [
        ("other", []),
        ("parent", ["reply"]),
    ]
