"""Private answers: by their URL while it lasts, then as ephemeral messages; never behind a channel's posts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from core.messages.blocks import compose, section
from integrations.store.connection import Store
from sandbox.slack.response_urls import new_response_url
from sandbox.wire import WireServer
from tests.scenario.outbox_world import OPS, FastClock, World, running, until, workspace

NO = compose("You need cdm-operator", section("You need `cdm-operator`"))


@pytest.fixture
async def world(store: Store) -> AsyncIterator[World]:
    clock = FastClock()
    slack = workspace(clock)
    slack.rates.enabled = False
    async with WireServer(slack.app) as server:
        slack.host = server.url.removeprefix("http://")
        here = World(store, clock, slack, server)
        yield here
        await here.close()


def whispers(world: World) -> list[str]:
    return [e.text for e in world.slack.workspace.ephemerals if e.user == "U0ANNA"]


async def nothing_left(world: World) -> bool:
    return not await world.store.keys("cdm:outbox:tell*")


async def test_answers_use_their_url_and_go_on_when_it_is_used_up(world: World) -> None:
    url = new_response_url(world.slack, "commands", OPS, "U0ANNA")
    async with running(world.worker()):
        for _ in range(7):
            await world.outbox.tell(OPS, "U0ANNA", NO, url)
        await until(lambda: len(whispers(world)) == 7)
        await until(lambda: nothing_left(world))
    assert world.slack.response_urls[url.removeprefix(f"http://{world.slack.host}")].posts == 5
    assert set(whispers(world)) == {NO.text}
    assert world.seen() == []


async def test_an_answer_does_not_wait_behind_the_posts_of_its_channel(world: World) -> None:
    limited = {"status": 429, "headers": {"retry-after": "300"}, "body": {"ok": False, "error": "ratelimited"}}
    world.server.faults.add("status", "chat.postMessage", **limited)
    async with running(world.worker()):
        for number in range(10):
            await world.want(f"incident:{number}", "alarm")
        await until(lambda: bool(world.server.faults.active[0].hits))
        await world.outbox.tell(OPS, "U0ANNA", NO)
        await until(lambda: whispers(world) == [NO.text], 2.0)
    assert world.seen() == []


async def test_an_answer_nobody_waits_for_any_more_is_dropped_and_logged(world: World) -> None:
    await world.outbox.tell(OPS, "U0ANNA", NO)
    world.clock.skip(1801)
    with capture_logs() as logs:
        async with running(world.worker()):
            await until(lambda: nothing_left(world))
    assert whispers(world) == []
    assert [(e["reason"], e["user"]) for e in logs if e["event"] == "private_answer_dropped"] == [("too_old", "U0ANNA")]


async def test_an_answer_to_somebody_who_left_is_dropped_and_refused_blocks_become_text(world: World) -> None:
    world.slack.refused_blocks = frozenset({"section"})
    world.slack.workspace.add_user("ben")
    async with running(world.worker()):
        await world.outbox.tell(OPS, "U0BEN", NO)
        await world.outbox.tell(OPS, "U0ANNA", NO)
        await until(lambda: nothing_left(world))
    (said,) = world.slack.workspace.ephemerals
    assert (said.user, said.text, said.blocks) == ("U0ANNA", NO.text, [])


async def test_with_a_revoked_token_urls_still_work_and_the_rest_waits_for_the_new_token(world: World) -> None:
    world.slack.refuse_token("token_revoked")
    url = new_response_url(world.slack, "commands", OPS, "U0ANNA")
    worker = world.worker()

    async def not_ready() -> bool:
        return not (await worker.status()).ready

    async with running(worker):
        await world.outbox.tell(OPS, "U0ANNA", compose("by token"))
        await until(not_ready)
        await world.outbox.tell(OPS, "U0ANNA", compose("by url"), url)
        await until(lambda: whispers(world) == ["by url"])
        world.slack.refuse_token("")
        await until(lambda: whispers(world) == ["by url", "by token"])
        assert (await worker.status()).ready
