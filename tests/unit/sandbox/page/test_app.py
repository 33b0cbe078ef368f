"""The page's HTTP: what a person gets to see of the workspace, and what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sandbox.controls import Misunderstood
from sandbox.page.app import STATIC, page_app
from sandbox.slack import SlackSandbox
from sandbox.slack.records import File, Message

OPS, SECRET, BOB, MALLORY = "C0OPS", "C0SECRET", "U0BOB", "U0MALLORY"
OURS = {"X-Requested-With": "cdm"}


class World:
    def __init__(self) -> None:
        self.keycloak = "up"

    def view(self) -> dict[str, Any]:
        return {"systems": [{"name": "keycloak", "state": self.keycloak}]}

    async def run(self, words: list[str]) -> str:
        if words != ["break", "keycloak", "down"]:
            raise Misunderstood("Type help for what there is.")
        self.keycloak = "down"
        return "keycloak is down"


@pytest.fixture
def slack() -> SlackSandbox:
    """Bob is in #ops and #secret, mallory in #ops alone."""
    sandbox = SlackSandbox()
    for name in ("bob", "mallory"):
        sandbox.workspace.add_user(name)
    sandbox.workspace.add_channel("ops", id=OPS, members=(BOB, MALLORY))
    sandbox.workspace.add_channel("secret", id=SECRET, private=True, members=(BOB,))
    return sandbox


@pytest.fixture
async def page(slack: SlackSandbox) -> AsyncIterator[httpx.AsyncClient]:
    app = page_app(slack, World(), [("/cdm help", "this list")])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8750") as client:
        yield client


def say(slack: SlackSandbox, text: str, channel: str = OPS, **more: Any) -> Message:
    workspace = slack.workspace
    message = Message(channel, workspace.next_ts(), workspace.bot_user, text, [], bot_id=workspace.bot_id, **more)
    return workspace.store(message)


async def read(page: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await page.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(found: dict[str, Any]) -> list[str]:
    return [message["html"].split('bk-text">')[1].split("<")[0] for message in found["messages"]]


async def test_the_page_and_all_it_loads_come_from_here(page: httpx.AsyncClient) -> None:
    html = (await page.get("/")).text
    parts = [piece.split('"')[0] for piece in html.split('="/')[1:]]

    assert {"static/page.css", "static/blocks.css", "static/js/main.js"} <= set(parts)
    assert all([(await page.get(f"/{part}")).status_code == 200 for part in parts])
    assert "//" not in html.replace("<!doctype html>", "")


async def test_no_part_of_the_page_names_another_place_and_every_module_is_there(page: httpx.AsyncClient) -> None:
    files = [file for file in STATIC.rglob("*") if file.suffix in (".js", ".css", ".html")]
    assert len(files) > 10
    for file in files:
        text = file.read_text()
        assert not re.search(r"https?:|//\w+\.\w+/|@import|url\(", text), file.name
        for module in re.findall(r"from \"\./([\w-]+\.js)\"", text):
            assert (await page.get(f"/static/js/{module}")).headers["content-type"].startswith("text/javascript")


async def test_a_page_begins_with_the_people_their_channels_and_the_commands(page: httpx.AsyncClient) -> None:
    found = await read(page, "workspace", user="bob")

    assert found["user"] == BOB
    assert found["people"][0] == {"id": BOB, "name": "bob", "role": "operator of customer-a"}
    assert [(c["name"], c["private"], c["im"]) for c in found["channels"]] == [
        ("ops", False, False),
        ("secret", True, False),
    ]
    assert found["completions"] == [{"usage": "/cdm help", "does": "this list"}]
    assert found["world"] is True


async def test_who_is_nobody_becomes_the_first_person(page: httpx.AsyncClient) -> None:
    assert (await read(page, "workspace"))["user"] == BOB
    assert (await read(page, "workspace", user="nobody"))["user"] == BOB


async def test_a_stranger_sees_their_channels_and_nothing_of_others(
    page: httpx.AsyncClient, slack: SlackSandbox
) -> None:
    secret = say(slack, "psst", SECRET)
    file = File("F1", "a.txt", "a.txt", 4, b"psst", True, [(SECRET, secret.ts)])
    slack.workspace.files[file.id] = file

    found = await read(page, "workspace", user=MALLORY)
    assert [c["id"] for c in found["channels"]] == [OPS]
    for path, query in (
        ("messages", {"channel": SECRET}),
        ("thread", {"channel": SECRET, "ts": secret.ts}),
        ("file/F1", {}),
        ("messages", {"channel": "C0NOWHERE"}),
    ):
        refused = await page.get(f"/api/{path}", params={"user": MALLORY, **query})
        assert refused.status_code == 404
        assert "psst" not in refused.text
    assert (await page.get("/api/file/F1", params={"user": BOB})).text == "psst"


async def test_a_message_has_its_author_its_marks_and_its_replies(page: httpx.AsyncClient, slack: SlackSandbox) -> None:
    parent = say(slack, "*red*")
    replies = [say(slack, f"reply {number}", thread_ts=parent.ts) for number in range(3)]
    parent.edited += 1

    [message] = (await read(page, "messages", user=BOB, channel=OPS))["messages"]
    assert "<strong>red</strong>" in message["html"]
    assert message["author"] == {"id": slack.workspace.bot_user, "name": "CDM ChatOps", "bot": True}
    assert message["edited"] is True
    assert message["replies"] == {"count": 3, "last": replies[-1].ts}

    thread = await read(page, "thread", user=BOB, channel=OPS, ts=parent.ts)
    assert thread["parent"]["ts"] == parent.ts
    assert texts(thread) == ["reply 0", "reply 1", "reply 2"]


async def test_a_reply_sent_to_the_channel_too_is_in_both(page: httpx.AsyncClient, slack: SlackSandbox) -> None:
    parent = say(slack, "parent")
    say(slack, "done", thread_ts=parent.ts, broadcast=True)

    assert texts(await read(page, "messages", user=BOB, channel=OPS)) == ["parent", "done"]
    assert texts(await read(page, "thread", user=BOB, channel=OPS, ts=parent.ts)) == ["done"]


async def test_ephemerals_stand_among_the_messages_of_their_owner_alone(
    page: httpx.AsyncClient, slack: SlackSandbox
) -> None:
    say(slack, "before")
    slack.workspace.whisper(OPS, BOB, "only you")
    say(slack, "after")

    mine = await read(page, "messages", user=BOB, channel=OPS)
    assert texts(mine) == ["before", "only you", "after"]
    assert [message["ephemeral"] for message in mine["messages"]] == [False, True, False]
    assert texts(await read(page, "messages", user=MALLORY, channel=OPS)) == ["before", "after"]


async def test_a_deleted_message_goes_unless_it_heads_a_thread(page: httpx.AsyncClient, slack: SlackSandbox) -> None:
    alone, parent = say(slack, "alone"), say(slack, "parent")
    reply = say(slack, "reply", thread_ts=parent.ts)
    for message in (alone, parent):
        slack.workspace.delete(message, BOB)

    [left] = (await read(page, "messages", user=BOB, channel=OPS))["messages"]
    assert (left["ts"], left["deleted"], left["html"]) == (parent.ts, True, "")

    slack.workspace.delete(reply, BOB)
    assert (await read(page, "messages", user=BOB, channel=OPS))["messages"] == []


async def test_ten_thousand_messages_are_read_page_by_page_both_ways(
    page: httpx.AsyncClient, slack: SlackSandbox
) -> None:
    stamps = [say(slack, f"m{number}").ts for number in range(10_000)]

    newest = await read(page, "messages", user=BOB, channel=OPS)
    assert [message["ts"] for message in newest["messages"]] == stamps[-50:]
    assert (newest["more_before"], newest["more_after"]) == (True, False)
    middle = await read(page, "messages", user=BOB, channel=OPS, before=stamps[5_000])
    assert [message["ts"] for message in middle["messages"]] == stamps[4_950:5_000]
    assert (middle["more_before"], middle["more_after"]) == (True, True)
    down = await read(page, "messages", user=BOB, channel=OPS, after=stamps[5_000], limit=20)
    assert [message["ts"] for message in down["messages"]] == stamps[5_001:5_021]
    first = await read(page, "messages", user=BOB, channel=OPS, before=stamps[10])
    assert [message["ts"] for message in first["messages"]] == stamps[:10]
    assert first["more_before"] is False
    assert (await page.get("/api/messages", params={"user": BOB, "channel": OPS, "limit": 5_000})).status_code == 400


async def test_a_page_renders_no_more_messages_than_it_shows(
    page: httpx.AsyncClient, slack: SlackSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    def counting(text: str, blocks: object, names: object) -> str:
        rendered.append(text)
        return text

    monkeypatch.setattr("sandbox.page.views.message_html", counting)
    for number in range(1_000):
        say(slack, f"m{number}")
    await read(page, "messages", user=BOB, channel=OPS)
    await read(page, "messages", user=MALLORY, channel=OPS)

    assert rendered == [f"m{number}" for number in range(950, 1_000)]


async def test_what_is_no_ts_is_refused(page: httpx.AsyncClient) -> None:
    asked = {"user": BOB, "channel": OPS, "before": "yesterday"}
    assert (await page.get("/api/messages", params=asked)).status_code == 400


async def test_a_file_comes_with_its_beginning_and_where_to_fetch_it_whole(
    page: httpx.AsyncClient, slack: SlackSandbox
) -> None:
    content = b"a-gw-001\n" * 1_000
    message = say(slack, "all devices", files=["F1", "F2"])
    for id, held in (("F1", content), ("F2", b"\x89PNG\0\0")):
        slack.workspace.files[id] = File(id, f"{id}.txt", "Devices", len(held), held, True, [(OPS, message.ts)])

    [found] = (await read(page, "messages", user=BOB, channel=OPS))["messages"]
    text, picture = found["files"]
    assert (text["size"], len(text["preview"]), text["cut"]) == (9_000, 4_000, True)
    assert (picture["preview"], picture["cut"]) == (None, False)
    whole = await page.get(text["url"])
    assert whole.content == content
    assert whole.headers["content-disposition"].startswith("attachment")


async def test_unread_is_what_was_posted_and_not_what_was_changed(page: httpx.AsyncClient, slack: SlackSandbox) -> None:
    message = say(slack, "one")
    say(slack, "two")
    say(slack, "a reply", thread_ts=message.ts)
    slack.workspace.changed(message)
    slack.workspace.delete(message, BOB)

    ops = (await read(page, "workspace", user=BOB))["channels"][0]
    assert ops["posted"] == 2


async def test_the_world_is_shown_and_told(page: httpx.AsyncClient) -> None:
    said = await page.post("/api/world", json={"words": ["break", "keycloak", "down"]}, headers=OURS)
    assert said.json() == {"said": "keycloak is down"}
    assert (await read(page, "world"))["systems"] == [{"name": "keycloak", "state": "down"}]

    wrong = await page.post("/api/world", json={"words": ["break", "everything"]}, headers=OURS)
    assert (wrong.status_code, wrong.json()) == (400, {"error": "Type help for what there is."})


async def test_without_a_world_there_is_only_slack(slack: SlackSandbox) -> None:
    transport = httpx.ASGITransport(page_app(slack, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as page:
        assert (await read(page, "workspace", user=BOB))["world"] is False
        assert (await page.get("/api/world")).status_code == 404
        assert (await page.post("/api/world", json={"words": []}, headers=OURS)).status_code == 404


async def test_a_name_somebody_else_pointed_here_is_refused(page: httpx.AsyncClient) -> None:
    for host in ("evil.example", "evil.example:8750", "127.0.0.1.evil.example", ""):
        assert (await page.get("/api/workspace", headers={"host": host})).status_code == 403
    for host in ("127.0.0.1:8750", "localhost", "localhost:1", "[::1]:8750"):
        assert (await page.get("/api/workspace", headers={"host": host})).status_code == 200


async def test_a_post_from_another_site_does_nothing(page: httpx.AsyncClient, slack: SlackSandbox) -> None:
    body = {"user": BOB, "channel": OPS, "text": "forged"}
    assert (await page.post("/api/act/post", json=body)).status_code == 403
    assert slack.workspace.messages[OPS] == {}

    assert (await page.post("/api/act/post", json=body, headers=OURS)).status_code == 200
    assert [message.text for message in slack.workspace.messages[OPS].values()] == ["forged"]


async def test_the_browser_is_told_to_load_nothing_from_elsewhere(page: httpx.AsyncClient) -> None:
    for path in ("/", "/static/page.css", "/api/workspace"):
        headers = (await page.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


async def test_acts_that_cannot_be_are_told_in_words(page: httpx.AsyncClient, slack: SlackSandbox) -> None:
    async def act(name: str, **body: Any) -> httpx.Response:
        return await page.post(f"/api/act/{name}", json=body, headers=OURS)

    gone = await act("click", user=BOB, channel=OPS, ts="1.000000", action_id="promote")
    assert gone.status_code == 409
    assert gone.json()["why"] == f"no message 1.000000 in {OPS} for {BOB}."
    assert gone.json()["cure"].startswith("Look at what is on the screen now")
    slack.archive(OPS)
    assert (await act("post", user=BOB, channel=OPS, text="x")).json()["why"] == f"{OPS} is archived."
    assert (await act("submit_view", user=BOB)).status_code == 409
    assert (await act("delete", user=MALLORY, channel=SECRET, ts="1.000000")).status_code == 404
    assert (await act("post", user=slack.workspace.bot_user, channel=OPS, text="x")).status_code == 404
    assert (await act("replay", user=BOB)).status_code == 404
    assert (await act("post", user=BOB, channel=OPS)).status_code == 400
    assert (await act("post", user=BOB, channel=OPS, text="x" * 300_000)).status_code == 413
