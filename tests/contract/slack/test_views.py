"""Modals and home tabs by the Web API alone: validation, the stack, hashes, and what closing tells the app."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.slack.conftest import (
    BOB,
    OPS,
    Stand,
    actions,
    button,
    modal,
    refusal,
    refused_as,
    section,
    text_input,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def trigger(slack: Stand) -> str:
    """From a command that no app was there to take."""
    return str((await slack.people.slash(BOB, OPS, "/cdm")).payload["trigger_id"])


async def opened(slack: Stand, view: dict[str, Any]) -> dict[str, Any]:
    answer = await slack.web().views_open(trigger_id=await trigger(slack), view=view)
    return dict(answer["view"])


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


REFUSED: dict[str, dict[str, Any]] = {
    "missing required field: title [json-pointer:/view]": {"type": "modal", "blocks": [section("x")]},
    "must be less than 25 characters [json-pointer:/view/title/text]": modal(title="x" * 25),
    "must be less than 3001 characters [json-pointer:/view/private_metadata]": modal(private_metadata="x" * 3_001),
    "must be less than 256 characters [json-pointer:/view/callback_id]": modal(callback_id="x" * 256),
    "no more than 100 items allowed [json-pointer:/view/blocks]": modal(*[{"type": "divider"}] * 101),
    "unsupported type: table [json-pointer:/view/blocks/0/type]": modal({"type": "table", "rows": []}),
    "invalid additional property: colour [json-pointer:/view]": modal(colour="red"),
    "must be less than 201 characters [json-pointer:/view/blocks/0/text/text]": modal(
        {"type": "alert", "text": _plain("x" * 201)}
    ),
    "missing required field: label [json-pointer:/view/blocks/0]": modal(
        {"type": "input", "element": {"type": "plain_text_input", "action_id": "a"}}
    ),
    "`submit` is required when an input block is present [json-pointer:/view/submit]": {
        "type": "modal",
        "title": _plain("x"),
        "blocks": [text_input("a", "b")],
    },
    "must be a valid enum value: modal [json-pointer:/view/type]": modal() | {"type": "home"},
}


async def test_views_out_of_bounds_are_invalid_arguments_with_a_pointer(slack: Stand) -> None:
    unlike: dict[str, Any] = {}
    for complaint, view in REFUSED.items():
        answer = await refusal(slack.web().views_open(trigger_id=await trigger(slack), view=view))
        if (
            answer["error"] != "invalid_arguments"
            or f"[ERROR] {complaint}" not in (answer["response_metadata"]["messages"])
        ):
            unlike[complaint] = answer

    assert unlike == {}
    assert await slack.people.modal(BOB) is None


async def test_a_view_beyond_250_kilobytes_is_view_too_large(slack: Stand) -> None:
    view = modal(*[section("x" * 2_900)] * 90)

    assert await refused_as(slack.web().views_open(trigger_id="1.2.x", view=view)) == "view_too_large"


async def test_a_refused_view_does_not_use_up_its_trigger(slack: Stand) -> None:
    id = await trigger(slack)
    await refusal(slack.web().views_open(trigger_id=id, view=modal(title="x" * 25)))

    await slack.web().views_open(trigger_id=id, view=modal(title="Second try"))

    shown = await slack.people.modal(BOB)
    assert shown is not None
    assert shown.title == "Second try"


async def test_an_update_with_an_old_hash_is_a_conflict(slack: Stand) -> None:
    view = await opened(slack, modal(external_id="roll"))
    web = slack.web()
    await web.views_update(external_id="roll", view=modal(section("newer"), external_id="roll"))

    late = web.views_update(view_id=view["id"], hash=view["hash"], view=modal(section("older")))

    assert await refused_as(late) == "hash_conflict"
    assert await refused_as(web.views_update(view_id="V000", view=modal())) == "not_found"
    shown = await slack.people.modal(BOB)
    assert shown is not None
    assert shown.shown == "newer"


async def test_a_press_in_a_view_tells_what_its_inputs_hold_also_where_one_is_still_empty(slack: Stand) -> None:
    await opened(slack, modal(text_input("name", "Name"), text_input("why", "Why"), actions(button("more"))))
    click = await slack.people.click_in_view(BOB, "more", values={"name": "a-gw-001"})
    told = click.payload["view"]["state"]["values"]
    assert [part["value"] for block in told.values() for part in block.values()] == ["a-gw-001", None]
    assert "state" not in click.payload


async def test_three_views_stack_and_a_fourth_is_refused(slack: Stand) -> None:
    pushing = modal(actions(button("more")))
    first = await opened(slack, pushing)
    seen = [first["id"]]
    for _ in range(2):
        click = await slack.people.click_in_view(BOB, "more")
        pushed = await slack.web().views_push(trigger_id=click.payload["trigger_id"], view=pushing)
        assert pushed["view"]["root_view_id"] == first["id"]
        assert pushed["view"]["previous_view_id"] == seen[-1]
        seen.append(pushed["view"]["id"])

    click = await slack.people.click_in_view(BOB, "more")
    fourth = slack.web().views_push(trigger_id=click.payload["trigger_id"], view=pushing)

    assert await refused_as(fourth) == "push_limit_reached"
    outside = slack.web().views_push(trigger_id=await trigger(slack), view=pushing)
    assert await refused_as(outside) == "not_found"


async def test_an_external_id_is_used_once(slack: Stand) -> None:
    await opened(slack, modal(external_id="roll"))

    again = slack.web().views_open(trigger_id=await trigger(slack), view=modal(external_id="roll"))

    assert await refused_as(again) == "duplicate_external_id"


async def test_closing_is_told_only_to_an_app_that_asked(slack: Stand) -> None:
    await opened(slack, modal())
    await slack.people.close_view(BOB)
    before = len(await slack.people.deliveries())
    await opened(slack, modal(notify_on_close=True, callback_id="kept"))
    await slack.people.close_view(BOB)

    told = (await slack.people.deliveries())[before + 1 :]
    assert [d["payload"]["type"] for d in told] == ["view_closed"]
    assert told[0]["payload"]["view"]["callback_id"] == "kept"
    assert await slack.people.modal(BOB) is None


async def test_a_submission_that_cannot_be_brought_leaves_the_modal_open(slack: Stand) -> None:
    await opened(slack, modal(text_input("reason", "text", optional=True)))

    delivered = await slack.people.submit_view(BOB)

    shown = await slack.people.modal(BOB)
    assert delivered.error == "dispatch_failed"
    assert shown is not None
    assert shown.trouble == "dispatch_failed"


async def test_choices_and_defaults_arrive_in_the_state_of_the_view(slack: Stand) -> None:
    options = [{"text": _plain(name), "value": name} for name in ("canary", "all")]
    select = {"type": "static_select", "action_id": "scope", "options": options, "initial_option": options[0]}
    boxes = {"type": "checkboxes", "action_id": "flags", "options": options}
    await opened(
        slack,
        modal(
            {"type": "input", "block_id": "s", "label": _plain("Scope"), "element": select},
            {"type": "input", "block_id": "f", "label": _plain("Flags"), "element": boxes},
            {"type": "section", "block_id": "w", "text": _plain("Who"), "accessory": {
                "type": "users_select", "action_id": "who", "placeholder": _plain("pick"),
            }},
        ),
    )  # fmt: skip

    delivered = await slack.people.submit_view(BOB, {"flags": ["all"], "who": "U0ALICE"})

    values = delivered.payload["view"]["state"]["values"]
    assert values["s"]["scope"]["selected_option"]["value"] == "canary"
    assert [o["value"] for o in values["f"]["flags"]["selected_options"]] == ["all"]
    assert values["w"]["who"]["selected_user"] == "U0ALICE"


async def test_a_home_tab_is_published_per_person_and_takes_no_modal(slack: Stand) -> None:
    web = slack.web()
    await web.views_publish(user_id=BOB, view={"type": "home", "blocks": [section("yours")]})

    home = await slack.people.home(BOB)
    assert home is not None
    assert home.shown == "yours"
    assert await slack.people.home("U0ALICE") is None
    assert await refused_as(web.views_publish(user_id=BOB, view=modal())) == "invalid_arguments"
    stale = web.views_publish(user_id=BOB, hash="1.x", view={"type": "home", "blocks": []})
    assert await refused_as(stale) == "hash_conflict"


@pytest.mark.parametrize("chosen", ["reboot", "logs"])
async def test_a_menu_in_a_message_sends_the_option_that_was_chosen(slack: Stand, chosen: str) -> None:
    options = [{"text": _plain(name), "value": name} for name in ("reboot", "logs")]
    ts = await slack.post("x", blocks=[actions({"type": "overflow", "action_id": "more", "options": options})])

    delivered = await slack.people.click(BOB, OPS, ts, "more", chosen)

    (action,) = delivered.payload["actions"]
    assert (action["type"], action["selected_option"]["value"]) == ("overflow", chosen)
