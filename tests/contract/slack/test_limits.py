"""Slack's rates and Block Kit's limits, as far as they are published or measured."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.contract.slack.conftest import OPS, Stand, actions, button, refusal, refused_as, section

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_channel_takes_a_small_burst_and_then_one_post_a_second(slack: Stand) -> None:
    for n in range(3):
        await slack.post(f"burst {n}")

    with pytest.raises(SlackApiError) as refused:
        await slack.post("too much")
    other = await slack.web().chat_postMessage(channel="U0BOB", text="another channel")
    slack.clock.turn(1)
    await slack.post("a second later")

    assert refused.value.response.status_code == 429
    assert refused.value.response["error"] == "ratelimited"
    assert refused.value.response.headers["Retry-After"] == "1"
    assert other["ok"]
    assert [m.text for m in await slack.people.messages(OPS)][-1] == "a second later"
    assert len(await slack.people.messages(OPS)) == 4


async def test_updates_share_fifty_a_minute_over_the_whole_workspace(slack: Stand) -> None:
    ts = await slack.post("x")
    for n in range(50):
        await slack.web().chat_update(channel=OPS, ts=ts, text=f"{n}")
    slack.clock.turn(20)

    with pytest.raises(SlackApiError) as refused:
        await slack.web().chat_update(channel=OPS, ts=ts, text="the 51st")
    await slack.post("posts go on")
    slack.clock.turn(40)
    await slack.web().chat_update(channel=OPS, ts=ts, text="a minute later")

    assert refused.value.response.headers["Retry-After"] == "40"
    assert (await slack.people.messages(OPS))[0].text == "a minute later"


async def test_rates_can_be_scaled_and_switched_off_over_the_wire(slack: Stand) -> None:
    await slack.people.set(rate_scale=0.1)
    ts = await slack.post("x")
    slack.clock.turn(60)
    for n in range(5):
        await slack.web().chat_update(channel=OPS, ts=ts, text=f"{n}")
    assert await refused_as(slack.web().chat_update(channel=OPS, ts=ts, text="6th")) == "ratelimited"

    await slack.people.set(rates_enabled=False)
    for n in range(20):
        await slack.post(f"{n}")
    assert len(await slack.people.messages(OPS)) == 21


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def _table(rows: int, columns: int = 2) -> dict[str, Any]:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * columns for _ in range(rows)]}


def _data_table(*rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"type": "data_table", "caption": "fleet", "rows": list(rows), **more}


def _chart(points: int = 2, categories: int = 2) -> dict[str, Any]:
    data = [{"label": str(n), "value": n} for n in range(points)]
    axis = {"categories": [str(n) for n in range(categories)]}
    chart = {"type": "line", "series": [{"name": "failed", "data": data}], "axis_config": axis}
    return {"type": "data_visualization", "title": "Alarms", "chart": chart}


def _container(*children: dict[str, Any]) -> dict[str, Any]:
    return {"type": "container", "title": _plain("log"), "child_blocks": list(children)}


CELL = {"type": "raw_text", "text": "x"}
RICH = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}]}
CONFIRM = {"title": _plain("Sure?"), "text": _plain("x"), "confirm": _plain("Yes"), "deny": _plain("No")}

REFUSED: dict[str, list[dict[str, Any]]] = {
    "no more than 50 items allowed [json-pointer:/blocks]": [{"type": "divider"}] * 51,
    "unsupported type: hologram [json-pointer:/blocks/0/type]": [{"type": "hologram"}],
    "unsupported type: alert [json-pointer:/blocks/0/type]": [{"type": "alert", "text": _plain("x")}],
    "must be less than 3001 characters [json-pointer:/blocks/0/text/text]": [section("x" * 3_001)],
    "must be more than 0 characters [json-pointer:/blocks/0/text/text]": [section("")],
    "must define either `text` or `fields` [json-pointer:/blocks/0]": [{"type": "section"}],
    "no more than 10 items allowed [json-pointer:/blocks/0/fields]": [
        {"type": "section", "fields": [_plain("x")] * 11}
    ],
    "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]": [
        {"type": "section", "fields": [_plain("x" * 2_001)]}
    ],
    "must be less than 151 characters [json-pointer:/blocks/0/text/text]": [
        {"type": "header", "text": _plain("x" * 151)}
    ],
    "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]": [
        {"type": "header", "text": {"type": "mrkdwn", "text": "x"}}
    ],
    "must provide an object [json-pointer:/blocks/0/text]": [{"type": "section", "text": "bare"}],
    "no more than 10 items allowed [json-pointer:/blocks/0/elements]": [
        {"type": "context", "elements": [_plain("x")] * 11}
    ],
    "no more than 25 items allowed [json-pointer:/blocks/0/elements]": [
        actions(*[button(action_id=f"a{n}") for n in range(26)])
    ],
    "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]": [actions(button(label="x" * 76))],
    "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]": [actions(button(value="x" * 2_001))],
    "must be a valid enum value: primary, danger [json-pointer:/blocks/0/elements/0/style]": [
        actions(button(style="green"))
    ],
    "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]": [
        actions(button(action_id="x" * 256))
    ],
    '`action_id` "promote" already exists [json-pointer:/blocks/0/elements/1/action_id]': [actions(button(), button())],
    '`block_id` "b" already exists [json-pointer:/blocks/1/block_id]': [
        {"type": "divider", "block_id": "b"},
        {"type": "divider", "block_id": "b"},
    ],
    "must be less than 101 characters [json-pointer:/blocks/0/elements/0/confirm/title/text]": [
        actions(button(confirm=CONFIRM | {"title": _plain("x" * 101)}))
    ],
    "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]": [
        actions(
            {
                "type": "overflow",
                "action_id": "more",
                "options": [{"text": _plain("x"), "value": f"{n}"} for n in range(6)],
            }
        )
    ],
    "invalid additional property: colour [json-pointer:/blocks/0]": [section("x") | {"colour": "red"}],
    "must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]": [
        {"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}
    ],
    "no more than 100 items allowed [json-pointer:/blocks/0/rows]": [_table(101)],
    "no more than 20 items allowed [json-pointer:/blocks/0/rows/0]": [_table(1, 21)],
    "all rows must have the same number of cells [json-pointer:/blocks/0/rows]": [_data_table([CELL], [CELL, CELL])],
    "header cells cannot be rich_text [json-pointer:/blocks/0/rows/0]": [_data_table([RICH], [CELL])],
    "every series must cover every category [json-pointer:/blocks/0/chart/series/0/data]": [_chart(2, 3)],
    "too many data_visualization blocks [json-pointer:/blocks]": [_chart()] * 3,
    "no more than 10 items allowed [json-pointer:/blocks/0/child_blocks]": [_container(*[{"type": "divider"}] * 11)],
    "unsupported type: markdown [json-pointer:/blocks/0/child_blocks/0/type]": [
        _container({"type": "markdown", "text": "x"})
    ],
    "must be less than 12001 characters [json-pointer:/blocks/0/text]": [{"type": "markdown", "text": "x" * 12_001}],
}


async def test_blocks_out_of_bounds_are_refused_with_a_pointer(slack: Stand) -> None:
    slack.sandbox.rates.enabled = False
    unlike: dict[str, Any] = {}
    for complaint, blocks in REFUSED.items():
        answer = await refusal(slack.web().chat_postMessage(channel=OPS, text="x", blocks=blocks))
        said = answer.get("response_metadata", {}).get("messages", [])
        if answer["error"] != "invalid_blocks" or f"[ERROR] {complaint}" not in said:
            unlike[complaint] = answer

    assert unlike == {}
    assert await slack.people.messages(OPS) == []


async def test_blocks_at_their_bounds_are_accepted(slack: Stand) -> None:
    slack.sandbox.limits.message_block_text = 100_000
    await slack.post(
        blocks=[
            section("x" * 3_000),
            {"type": "header", "text": _plain("x" * 150)},
            actions(button(label="x" * 75, value="x" * 2_000, confirm=CONFIRM), button("hold", style="danger")),
            {"type": "context", "elements": [_plain("x")] * 10},
            RICH,
            _container({"type": "divider"}, section("in the container")),
            _chart(),
            _data_table([CELL, CELL], [CELL, RICH], page_size=10),
            *[{"type": "divider"}] * 42,
        ]
    )

    (message,) = await slack.people.messages(OPS)
    assert "in the container" in message.shown
    assert [b.action_id for b in message.buttons] == ["promote", "hold"]


async def test_all_text_of_all_blocks_together_is_bounded(slack: Stand) -> None:
    await slack.post(blocks=[section("x" * 3_000)] * 3)

    too_long = slack.post(blocks=[section("x" * 3_000)] * 4)

    assert await refused_as(too_long) == "msg_blocks_too_long"


async def test_a_second_table_in_a_message_is_refused(slack: Stand) -> None:
    answer = await refusal(slack.post(blocks=[_table(1), _table(1)]))

    assert answer["error"] == "invalid_attachments"
    assert answer["errors"] == ["only_one_table_allowed"]


async def test_a_block_type_this_workspace_does_not_know_yet_is_refused(slack: Stand) -> None:
    await slack.people.set(refused_blocks=["container"])

    answer = await refusal(slack.post(blocks=[_container({"type": "divider"})]))

    assert answer["response_metadata"]["messages"] == [
        "[ERROR] unsupported type: container [json-pointer:/blocks/0/type]"
    ]


async def test_blocks_that_are_no_array_are_invalid_blocks_format(slack: Stand) -> None:
    call = slack.web().api_call("chat.postMessage", json={"channel": OPS, "text": "x", "blocks": "{"})

    assert await refused_as(call) == "invalid_blocks_format"
