"""The form for a release: within Slack's limits, and read as a wish or with what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.messages.release_form import ReleaseFormView, release_form
from core.messages.views import Option
from core.rollouts.wish import wish_of
from handlers.slack.release_form import read_form


def filled(**given: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """`view.state.values` of a form filled in with these; the rest is as the form starts."""
    chosen = {"set": "eu1/edge:1.2.0", "where": "eu1/customer-a", "kind": "forced"}
    typed = {"groups": "5/25/70", "filter": None, "label": None}
    start = given.pop("start", None)
    values: dict[str, dict[str, dict[str, Any]]] = {"start": {"start": {"selected_date_time": start}}}
    for name, value in (chosen | {k: v for k, v in given.items() if k in chosen or k == "policy"}).items():
        values[name] = {name: {"selected_option": {"value": value}}}
    for name, text in (typed | {k: v for k, v in given.items() if k in typed}).items():
        values[name] = {name: {"value": text}}
    return values


def test_what_was_filled_in_is_the_wish() -> None:
    params, errors = read_form(filled(filter="tag==pilot", start=2_000_000_000, policy="careful", label="two"))
    assert errors == {}
    wish = wish_of(params)
    assert (wish.stack, wish.set, wish.tenant, wish.where) == ("eu1", "edge:1.2.0", "customer-a", "tag==pilot")
    assert wish.start_at == datetime.fromtimestamp(2_000_000_000, UTC)
    assert (wish.shares, wish.policy, wish.label) == ((5.0, 25.0, 70.0), "careful", "two")


def test_every_device_of_a_stack_is_meant_only_where_it_was_chosen() -> None:
    assert read_form(filled())[0]["where"] == ""
    everywhere, _ = read_form(filled(where="eu1/"))
    assert (everywhere["where"], everywhere["tenant"]) == ("name==*", "")


def test_mistakes_stand_beside_their_inputs() -> None:
    _, errors = read_form(filled(groups="5/5", label="two words", where="eu2/customer-d"))
    assert errors.keys() == {"groups", "label", "set"}
    assert "take 10 %" in errors["groups"]
    assert "is on eu1" in errors["set"]


def test_a_form_with_everything_in_it_keeps_slacks_limits() -> None:
    options = [Option(f"eu1/{'x' * 40}{n}", "n" * 300) for n in range(300)]
    view = release_form(
        ReleaseFormView(metadata={"channel": "C1"}, sets=options, wheres=options, groups="5/25/70", policies=["a", "b"])
    )
    menus = [b["element"] for b in view["blocks"] if b["type"] == "input" and "options" in b["element"]]
    assert max(len(menu["options"]) for menu in menus) == 100
    assert all(len(option["text"]["text"]) <= 75 for menu in menus for option in menu["options"])
    assert len({block["block_id"] for block in view["blocks"]}) == len(view["blocks"])
    alone = release_form(
        ReleaseFormView(metadata={}, sets=options, wheres=options[:1], groups="5/25/70", policies=["default"])
    )
    assert "policy" not in {block["block_id"] for block in alone["blocks"]}
