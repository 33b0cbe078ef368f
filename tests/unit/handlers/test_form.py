"""The form for a run as data: what is offered by right, and what is wrong, said beside each input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.messages.views import View
from handlers.slack.form import FormState, chosen_in, filled, form_view, is_device_name
from runbooks import Catalog

BOOK = """
name: probe
title: Probe
risk: read
description: Looks at a few things.
parameters:
  depth: {type: enum, title: Depth, values: [short, long]}
  since: {type: span, title: Since, max: 2h, default: 15min}
  lines: {type: int, title: Lines, min: 1, max: 9}
  unit: {type: unit, title: Unit, default: sshd}
steps:
  - argv: [probe, "{depth}", "{since}", "{lines}", "{unit}"]
"""
ALL = FormState(channel="C0OPS", reads=True, changes=True)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder: Path = tmp_path_factory.mktemp("runbooks")
    (folder / "probe.yaml").write_text(BOOK)
    return Catalog.load(folder)


def values(**inputs: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """`view.state.values` as Slack sends it: what is empty is there too, as null."""
    shown: dict[str, dict[str, dict[str, Any]]] = {
        "runbook:probe": {"runbook": {"type": "static_select", "selected_option": {"value": "probe"}}},
        "device": {"device": {"type": "plain_text_input", "value": "gw-1"}},
        "param:probe:depth": {"depth": {"type": "static_select", "selected_option": {"value": "long"}}},
        "param:probe:since": {"since": {"type": "plain_text_input", "value": None}},
        "param:probe:lines": {"lines": {"type": "number_input", "value": "5"}},
        "param:probe:unit": {"unit": {"type": "plain_text_input", "value": " sshd "}},
    }
    for name, value in inputs.items():
        block = name if name == "device" else f"param:probe:{name}"
        shown[block] = {name: {"type": "plain_text_input", "value": value}}
    return shown


def names(view: View, action_id: str) -> list[str]:
    (menu,) = [b["element"] for b in view["blocks"] if b.get("element", {}).get("action_id") == action_id]
    return [option["value"] for option in menu["options"]]


@pytest.mark.parametrize(
    ("rights", "offered"),
    [
        ({"reads": True, "changes": True}, ["journal", "probe", "rauc-status", "redeploy"]),
        ({"reads": True, "changes": False}, ["journal", "probe", "rauc-status"]),
        ({"reads": False, "changes": True}, ["redeploy"]),
    ],
)
def test_only_what_the_person_may_run_is_offered(catalog: Catalog, rights: dict[str, bool], offered: list[str]) -> None:
    assert names(form_view(FormState(channel="", **rights), catalog), "runbook") == offered


def test_a_runbook_that_may_not_be_run_is_not_shown_either(catalog: Catalog) -> None:
    view = form_view(FormState(channel="", reads=True, changes=False, runbook="redeploy"), catalog)
    assert not [block for block in view["blocks"] if block.get("block_id", "").startswith("sure")]


def test_each_parameter_has_the_input_of_its_type(catalog: Catalog) -> None:
    view = form_view(ALL.model_copy(update={"runbook": "probe"}), catalog)
    shown = {b["element"]["action_id"]: b for b in view["blocks"] if b["type"] == "input"}
    assert {name: block["element"]["type"] for name, block in shown.items()} == {
        "device": "plain_text_input",
        "runbook": "static_select",
        "depth": "static_select",
        "since": "plain_text_input",
        "lines": "number_input",
        "unit": "plain_text_input",
    }
    assert names(view, "depth") == ["short", "long"]
    assert (shown["lines"]["element"]["min_value"], shown["lines"]["element"]["max_value"]) == ("1", "9")
    assert shown["since"]["element"]["initial_value"] == "15min"
    assert {name: block["optional"] for name, block in shown.items() if name in ("since", "lines")} == {
        "since": True,
        "lines": False,
    }
    assert shown["runbook"]["dispatch_action"] is True
    assert "at most 2h" in shown["since"]["hint"]["text"]


def test_the_menu_and_the_parameters_change_their_names_together_and_the_device_keeps_its(catalog: Catalog) -> None:
    """Slack keeps what stands in an input whose block_id stays, and shows no initial option there."""
    blocks = [
        {
            b["block_id"]
            for b in form_view(ALL.model_copy(update={"runbook": name}), catalog)["blocks"]
            if "block_id" in b
        }
        for name in ("probe", "journal")
    ]
    assert blocks[0] & blocks[1] == {"device"}


def test_what_is_right_is_read_and_an_empty_input_means_the_default(catalog: Catalog) -> None:
    state, book = ALL.model_copy(update={"runbook": "probe"}), catalog.get("probe")
    assert book is not None
    assert chosen_in(state, values()) == "probe"
    found = filled(state, book, values())
    assert found.errors == {}
    assert (found.device, found.params) == ("gw-1", {"depth": "long", "lines": "5", "unit": "sshd"})
    assert book.plan(found.params).steps[0].argv == ("probe", "long", "15min", "5", "sshd")


@pytest.mark.parametrize(
    ("name", "value", "block", "told"),
    [
        ("device", None, "device", "exact name"),
        ("device", "gw 1", "device", "no spaces"),
        ("device", "x" * 65, "device", "64 characters"),
        ("device", "gw\u202e1", "device", "exact name"),
        ("lines", "10", "param:probe:lines", "Lines must be a whole number from 1 to 9."),
        ("lines", "1.5", "param:probe:lines", "whole number"),
        ("lines", None, "param:probe:lines", "whole number"),
        ("since", "3h", "param:probe:since", "at most 2h"),
        ("since", "soon", "param:probe:since", "90s, 15min"),
        ("unit", "x;reboot", "param:probe:unit", "systemd unit"),
        ("depth", "deeper", "param:probe:depth", "one of short, long"),
    ],
)
def test_what_is_wrong_is_said_beside_its_input(
    catalog: Catalog, name: str, value: str | None, block: str, told: str
) -> None:
    book = catalog.get("probe")
    assert book is not None
    errors = filled(ALL.model_copy(update={"runbook": "probe"}), book, values(**{name: value})).errors
    assert list(errors) == [block]
    assert told in errors[block]


def test_a_change_needs_its_own_tick(catalog: Catalog) -> None:
    book = catalog.get("redeploy")
    assert book is not None
    state = ALL.model_copy(update={"runbook": "redeploy", "device": "gw-1"})
    sure = "sure:redeploy"
    assert list(filled(state, book, {sure: {"sure": {"selected_options": []}}}).errors) == [sure]
    assert filled(state, book, {sure: {"sure": {"selected_options": [{"value": "yes"}]}}}).errors == {}


def test_names_of_devices_are_taken_as_they_are() -> None:
    for name in ("a-gw-001", "gw_7.site@x:y", "Gerät-1", "x" * 64):
        assert is_device_name(name)
