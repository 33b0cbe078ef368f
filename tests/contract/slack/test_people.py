"""The door for other processes: the stream of changes, waiting, switches, and acts that are impossible."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from sandbox.slack.inputs import NotOnScreen
from tests.contract.slack.conftest import BOB, OPS, QUIET, Stand, actions, button, refused_as

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_changes_are_numbered_and_arrive_as_they_happen(slack: Stand) -> None:
    seen: list[tuple[int, str, str | None]] = []
    start = (await slack.people.state())["seq"]

    async def watch() -> None:
        async for change in slack.people.changes(start):
            seen.append((change["seq"] - start, change["kind"], change["ts"]))
            if len(seen) == 4:
                return

    watching = asyncio.create_task(watch())
    ts = await slack.post("one")
    await slack.web().chat_update(channel=OPS, ts=ts, text="two")
    said = await slack.web().chat_postEphemeral(channel=OPS, user=BOB, text="psst")
    await slack.people.delete(BOB, OPS, ts)
    await asyncio.wait_for(watching, 5)

    assert seen == [
        (1, "message_posted", ts),
        (2, "message_updated", ts),
        (3, "ephemeral", said["message_ts"]),
        (4, "message_deleted", ts),
    ]


async def test_waiting_ends_with_the_message_or_says_what_there_is_instead(slack: Stand) -> None:
    waiting = asyncio.create_task(slack.people.wait_for(OPS, lambda m: "green" in m.shown))
    ts = await slack.post("red")
    await slack.post("the reply is green", thread_ts=ts)

    assert (await waiting).thread_ts == ts
    with pytest.raises(AssertionError, match="red"):
        await slack.people.wait_for(OPS, lambda m: "blue" in m.shown, timeout_s=0.05)


async def test_people_can_only_press_what_they_see(slack: Stand) -> None:
    ts = await slack.post("x", blocks=[actions(button(value="7"))])
    said = await slack.web().chat_postEphemeral(channel=OPS, user=BOB, text="x", blocks=[actions(button("mine"))])

    for act in (
        slack.people.click(BOB, OPS, ts, "stop"),
        slack.people.click(BOB, OPS, ts, "promote", "8"),
        slack.people.click("U0ALICE", OPS, said["message_ts"], "mine"),
        slack.people.click("U0NOBODY", OPS, ts, "promote"),
        slack.people.submit_view(BOB),
    ):
        with pytest.raises(NotOnScreen):
            await act
    assert await slack.people.deliveries() == []


async def test_an_unknown_switch_is_an_error(slack: Stand) -> None:
    with pytest.raises(ValueError, match="histroy_delay_s"):
        await slack.people.set(histroy_delay_s=1)
    with pytest.raises(ValueError, match="blocks_per_massage"):
        await slack.people.set(limits={"blocks_per_massage": 1})


async def test_switches_and_faults_work_from_another_process(slack: Stand) -> None:
    await slack.people.set(scopes=["chat:write"], limits={"text": 10})
    assert await refused_as(slack.web().users_info(user=BOB)) == "missing_scope"
    assert await refused_as(slack.post(blocks=[actions(button()), {"type": "section", "text": {
        "type": "mrkdwn", "text": "x" * 11,
    }}])) == "invalid_blocks"  # fmt: skip

    async with httpx.AsyncClient(base_url=slack.server.url, trust_env=False) as http:
        fault = {"kind": "status", "match": "chat.postMessage", "status": 503, "times": 1}
        await http.post("/_sandbox/faults", json=fault)
        answer = await http.post("/api/chat.postMessage", headers={"authorization": "Bearer xoxb-sandbox"})
    assert answer.status_code == 503
    await slack.people.change_channel(QUIET, "invite_bot")
    assert (await slack.web().chat_postMessage(channel=QUIET, text="invited"))["ok"]


async def test_a_form_a_query_and_a_json_body_mean_the_same(slack: Stand) -> None:
    headers = {"authorization": "Bearer xoxb-sandbox"}
    async with httpx.AsyncClient(base_url=f"{slack.server.url}/api/", trust_env=False, headers=headers) as http:
        given = {"channel": OPS, "text": "x", "blocks": '[{"type": "divider"}]'}
        answers = [
            await http.post("chat.postMessage", data=given),
            await http.post("chat.postMessage", json=given),
            await http.get("chat.postMessage", params=given),
            await http.post("chat.postMessage", content=b"[", headers={"content-type": "application/json"}),
            await http.post("chat.postMessage", content=b"x", headers={"content-type": "image/png"}),
        ]

    assert [a.json().get("error") for a in answers] == [None, None, None, "invalid_json", "invalid_post_type"]
    assert {a.status_code for a in answers} == {200}
