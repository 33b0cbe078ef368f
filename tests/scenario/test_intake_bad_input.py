"""What must not come in, and what comes in and must stay text (P5): the running bot, its webhook, and Slack."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from sandbox.settings_file import write_private
from sandbox.slack.seen import SeenMessage
from sandbox.world import SandboxWorld
from tests.scenario.program import (
    CHANNEL,
    WEBHOOK,
    bearer,
    incident_of,
    metric,
    raised,
    running,
    secret_of,
    still_world,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

A, B = "customer-a", "customer-b"
NEXT = "secrets/webhook-customer-c-next"
OURS = {"acknowledge", "clear", "run:journal", "run:rauc-status", "redeploy", "run-form"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[SandboxWorld]:
    """One world and one bot for all of this module. Nothing is read from ThingsBoard after the start, and customer-c
    has a second webhook secret, which is the first one until it is changed."""
    async with still_world() as made:
        config = made.write_config(timing={"reconcile_s": 3600})
        text = config.read_text()
        first = "- file: secrets/webhook-customer-c\n"
        indent = text[: text.index(first)].rpartition("\n")[2]
        config.write_text(text.replace(first, f"{first}{indent}- file: {NEXT}\n"))
        write_private(made.directory / NEXT, secret_of(made, "customer-c"))
        async with running(made):
            yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(world: SandboxWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=world.bot_url, timeout=10, trust_env=False) as made:
        yield made


async def refusals(http: httpx.AsyncClient, reason: str) -> float:
    return await metric(http, "cdm_webhook_refused_total", reason=reason)


async def message_of(world: SandboxWorld, tenant: str, words: str) -> SeenMessage:
    return await world.people.wait_for(CHANNEL[tenant], lambda m: words in m.shown and incident_of(m) is not None)


async def everywhere(world: SandboxWorld) -> str:
    """All that Slack shows, in every channel."""
    return json.dumps((await world.people.state())["channels"], ensure_ascii=False)


@pytest.mark.parametrize("sent", [None, "Bearer", "Bearer wrong", "Bearer " + "long" * 2_000, "Basic d3Jvbmc6d3Jvbmc="])
async def test_without_the_tenants_secret_an_alarm_is_refused_with_401_and_never_shown(
    world: SandboxWorld, http: httpx.AsyncClient, sent: str | None
) -> None:
    alarm = raised(world, A, "a-not-mine", "Forged")
    before = await refusals(http, "wrong_secret")
    answer = await http.post(WEBHOOK, content=alarm.body, headers={} if sent is None else {"Authorization": sent})
    assert (answer.status_code, answer.json()["reason"]) == (401, "wrong_secret")
    assert await refusals(http, "wrong_secret") == before + 1
    assert "Forged" not in await everywhere(world)


async def test_an_alarm_of_another_tenant_is_shown_only_to_the_tenant_whose_secret_brought_it(
    world: SandboxWorld, http: httpx.AsyncClient
) -> None:
    of_b = raised(world, B, "b-in-the-wrong-hands", "Borrowed")
    assert (await http.post(WEBHOOK, content=of_b.body, headers=bearer(world, A))).status_code == 202
    shown = await message_of(world, A, "b-in-the-wrong-hands")
    assert f"{A} on eu1" in shown.shown
    assert B not in shown.shown
    later = raised(world, B, "b-later", "Own")
    assert (await http.post(WEBHOOK, content=later.body, headers=bearer(world, B))).status_code == 202
    await message_of(world, B, "b-later")
    assert [m.shown for m in await world.people.messages(CHANNEL[B]) if "b-in-the-wrong-hands" in m.shown] == []


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"x" * 70_000, 413, "too_large"),
        (b"x" * 900_000, 413, "too_large"),
        (b"", 400, "not_json"),
        (b'{"alarm": ', 400, "not_json"),
        (b'{"alarm": "\xff"}', 400, "not_json"),
        (b"[1, 2]", 400, "not_an_object"),
        (b'{"ota_status": "failure"}', 400, "no_alarm"),
        (b'{"msgType": "ALARM", "metadata": {}, "alarm": {"id": {"entityType": "ALARM", "id": "7"}}}', 400, "bad_id"),
    ],
)
async def test_what_is_no_alarm_is_refused_with_its_reason_and_counted(
    world: SandboxWorld, http: httpx.AsyncClient, body: bytes, status: int, reason: str
) -> None:
    before = await refusals(http, reason)
    answer = await http.post(WEBHOOK, content=body, headers=bearer(world, A))
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert len(answer.json()["error"]) > 20
    assert await refusals(http, reason) == before + 1


async def test_an_unknown_stack_is_404_and_anything_but_a_post_405(
    world: SandboxWorld, http: httpx.AsyncClient
) -> None:
    alarm, headers = raised(world, A, "a-astray", "Astray"), bearer(world, A)
    assert (await http.post(f"{WEBHOOK}9", content=alarm.body, headers=headers)).status_code == 404
    assert (await http.post(f"{WEBHOOK}/more", content=alarm.body, headers=headers)).status_code == 404
    answer = await http.get(WEBHOOK, headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "Astray" not in await everywhere(world)


async def test_what_was_accepted_is_counted(world: SandboxWorld, http: httpx.AsyncClient) -> None:
    before = await metric(http, "cdm_intake_stored_total")
    folded = await metric(http, "cdm_alarms_folded_total", kind="created")
    for number in range(3):
        alarm = raised(world, A, f"a-counted-{number}", "Counted")
        answer = await http.post(WEBHOOK, content=alarm.body, headers=bearer(world, A))
        assert (answer.status_code, answer.content) == (202, b"")
    assert await metric(http, "cdm_intake_stored_total") == before + 3

    async def all_folded() -> bool:
        return await metric(http, "cdm_alarms_folded_total", kind="created") == folded + 3

    await until(all_folded, "they are folded")


NASTY = {
    "broadcast": ("<!channel> <!here> <!everyone>", "<!channel> <!here> <!everyone>"),
    "mention": ("<@U0ALICE> @here @channel <!subteam^S123>", "<@U0ALICE> @here @channel <!subteam^S123>"),
    "markup": ("*bold* _italic_ ~gone~ `code` ```block``` > quote :fire:", "bold"),
    "link": ("<https://evil.example/x|click me> https://evil.example/y www.evil.example", "|click me>"),
    "control": ("before\x00\x07\x1b[31mred\x1b[0m\r\n\t\u202e\u2066after", "beforered after"),
    "emoji": ("🔥 過熱 é \U0001f469\u200d\U0001f527", "🔥 過熱 é"),
    "shell": ("'; $(reboot) `reboot` && rm -rf / #", "$(reboot)"),
    "entities": ("&lt;!channel&gt; &amp;lt;", "&lt;!channel&gt;"),
    "json": ('{"type":"actions","elements":[{"type":"button","action_id":"clear"}]}', '"type":"actions"'),
    "unresolved": ("${deviceName} ${ota_error}", ""),
    "long": ("x" * 10_000, "x" * 200),
    "long emoji": ("🔥" * 3_000, "🔥" * 50),
}
"""What is written, and what of it a person must still be able to read."""


@pytest.mark.parametrize("name", NASTY)
async def test_p5_foreign_text_is_shown_as_text_and_pings_formats_and_unfurls_nothing(
    world: SandboxWorld, http: httpx.AsyncClient, name: str
) -> None:
    """In every place a device or a user of ThingsBoard can write to: type, device name, label, details, comment."""
    (text, readable), mark = NASTY[name], f"mark-{name.replace(' ', '-')}"
    alarm = json.loads(raised(world, A, mark, f"{text[:200]} {mark}", details={"data": text}).body)
    alarm["alarm"] |= {"originatorName": f"{mark} {text[:100]}", "originatorLabel": text[:200]}
    alarm["metadata"]["deviceName"] = text[:200]
    comment = {"type": "OTHER", "comment": {"text": text}, "id": {"id": alarm["alarm"]["id"]["id"]}}
    remark = {"msgType": "COMMENT_CREATED", "alarm": alarm["alarm"]}
    remark["metadata"] = {"comment": json.dumps(comment), "userId": "u-1", "userName": text[:200]}
    for body in (alarm, remark):
        raw = json.dumps(body, ensure_ascii=False).encode()
        answer = await http.post(WEBHOOK, content=raw, headers=bearer(world, A))
        assert answer.status_code == 202, answer.text
    shown = await message_of(world, A, mark)
    await world.people.wait_for(CHANNEL[A], lambda m: m.thread_ts == shown.ts and "💬" in m.shown)
    shown = await message_of(world, A, mark)
    (said,) = shown.replies
    for message in (shown, said):
        assert (message.pings, message.unfurled) == ([], [])
        assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in message.shown.replace("\n", ""))
        assert not set("\u202e\u2066") & set(message.shown)
    assert {button.action_id for button in shown.buttons} <= OURS
    assert readable in shown.shown
    assert readable in said.shown


async def test_what_thingsboard_left_unresolved_is_named_as_missing_and_is_never_a_device(
    world: SandboxWorld, http: httpx.AsyncClient
) -> None:
    details = {"data": "OTA failed: ${ota_error}"}
    body = json.loads(raised(world, A, "a-real-name", "Unresolved", details=details).body)
    body["metadata"]["deviceName"] = "${deviceName}"
    assert (await http.post(WEBHOOK, content=json.dumps(body), headers=bearer(world, A))).status_code == 202
    shown = await message_of(world, A, "a-real-name")
    assert "OTA failed: (no ota_error)" in shown.shown
    assert "${" not in shown.shown


async def test_a_webhook_secret_is_rotated_while_the_bot_runs(world: SandboxWorld, http: httpx.AsyncClient) -> None:
    old, new = secret_of(world, "customer-c"), "the-next-secret-of-customer-c"

    async def status(secret: str) -> int:
        body = raised(world, "customer-c", "c-rotating", "Rotating").body
        headers = {"Authorization": f"Bearer {secret}"}
        return (await http.post(WEBHOOK, content=body, headers=headers)).status_code

    async def statuses(wanted: tuple[int, int]) -> bool:
        return (await status(old), await status(new)) == wanted

    assert await statuses((202, 401))
    write_private(world.directory / NEXT, new)
    await until(lambda: statuses((202, 202)), "both secrets are valid")
    write_private(world.directory / "secrets" / "webhook-customer-c", "")
    await until(lambda: statuses((401, 202)), "only the new secret is valid")
    write_private(world.directory / "secrets" / "webhook-customer-c", new)
    assert await statuses((401, 202))
