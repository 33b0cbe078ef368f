"""Messages about requests for a second person: what decides is there at any size, and foreign text stays text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.approvals import Phase, Request
from core.evidence import Evidence
from core.ids import Tenant
from core.messages.approval import approval_line, approval_list_message, approval_message, told_message
from core.messages.blocks import Message
from tests.unit.core.approval_samples import (
    AGREED,
    CHANGED,
    CONTINUE,
    DONE,
    EXPIRED,
    GLASS,
    GLASS_DONE,
    GLASS_SIGNED,
    HALF,
    NOW,
    OPEN,
    PLATFORM,
    STOP,
    asked,
)
from tests.unit.core.message_samples import as_text
from tests.unit.core.test_messages import assert_fits


def pressable(message: Message) -> Mapping[str, Any]:
    return {e["action_id"]: e for block in message.blocks if block["type"] == "actions" for e in block["elements"]}


def question(request: Request) -> str:
    asks = pressable(approval_message(request))["approve"]["confirm"]
    return f"{asks['title']['text']} {asks['text']['text']}"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            OPEN,
            ("for 475 devices", "done at once", "devices not started yet will get nothing", "cannot be resumed"),
        ),
        (HALF, ("for 125 devices", "done at once", "starts 125 devices", "cannot be called back")),
        (CHANGED, ("for 125 devices", "once 1 more agreed")),
        (asked(replace(CONTINUE, devices=1)), ("for 1 device?", "It starts 1 device;")),
        (asked(replace(STOP, devices=0)), ("Approve?", "cannot be resumed", "Every group has started", "may install")),
        (asked(replace(STOP, devices=None)), ("Approve?", "What devices have begun cannot be taken back")),
    ],
    ids=["stop", "the last to agree", "one more after it", "one device", "nothing left to start", "not about devices"],
)
def test_the_question_before_approving_says_when_it_is_done_to_how_many_and_that_it_is_final(
    request_: Request, words: tuple[str, ...]
) -> None:
    assert [word for word in words if word not in question(request_)] == []


def test_the_button_names_the_evidence_that_is_shown() -> None:
    value = pressable(approval_message(OPEN))["approve"]["value"]
    assert value == f"{OPEN.id}/{OPEN.evidence.digest[:16]}"
    assert value != pressable(approval_message(replace(OPEN, evidence=HALF.evidence)))["approve"]["value"]


@pytest.mark.parametrize(
    ("request_", "buttons"),
    [
        (OPEN, {"approve", "deny", "withdraw"}),
        (AGREED, set()),
        *((replace(OPEN, phase=phase, ended_at=NOW), set()) for phase in Phase if phase.over),
        (GLASS, set()),
        (GLASS_DONE, {"sign-review"}),
        (GLASS_SIGNED, set()),
    ],
    ids=lambda value: getattr(value, "phase", ""),
)
def test_only_what_can_be_done_now_has_a_button(request_: Request, buttons: set[str]) -> None:
    assert pressable(approval_message(request_)).keys() == buttons


def test_evidence_goes_once_it_is_over() -> None:
    assert "On this evidence" in as_text(approval_message(AGREED))
    assert "On this evidence" not in as_text(approval_message(DONE))


def test_who_must_agree_is_said_for_one_tenant_for_several_and_for_the_platform() -> None:
    several = asked(replace(STOP, tenants=frozenset(map(Tenant, ("b", "a")))))
    assert "needs an admin of customer-a, not" in as_text(approval_message(OPEN))
    assert "needs an admin of each of a, b, not" in as_text(approval_message(several))
    assert "needs a platform admin, not" in as_text(approval_message(PLATFORM))
    assert "grace (command line) asked" in as_text(approval_message(PLATFORM))


@pytest.mark.parametrize("show", [approval_message, told_message, lambda one: approval_list_message([one], [], [])])
def test_the_largest_evidence_and_the_longest_names_fit_and_the_decision_stays(
    show: Callable[[Request], Message],
) -> None:
    long = "x" * 5_000
    facts = {f"{long}{n}": tuple(f"{n}-{'y' * 200}-{m}" for m in range(500)) for n in range(12)}
    order = replace(STOP, title=long, tenants=frozenset(Tenant(f"{long}{n}") for n in range(9)))
    changes = tuple(f"{long}{n}" for n in range(6))
    request = replace(asked(order, 3, Evidence(facts)), reason=long, changes=changes)
    message = show(request)
    assert_fits(message)
    assert message.text.startswith("🟡 APPROVAL WANTED") or "1 request" in message.text
    if show is approval_message:
        assert pressable(message).keys() == {"approve", "deny", "withdraw"}
        assert "0 of 3 agreed" in message.text


def test_nothing_foreign_calls_or_formats() -> None:
    evil = "<!channel> *x* <@U1> `y`"
    order = replace(STOP, title=evil)
    by = replace(OPEN.by, name=evil)
    message = approval_message(
        replace(asked(order, 1, Evidence({evil: evil, "failed": (evil,)})), reason=evil, by=by, changes=(evil,))
    )
    assert "<!channel>" not in message.text  # it repeats the blocks; a question is plain text, where nothing is live
    assert "<@U1>" not in message.text


def test_a_list_names_ten_and_counts_the_rest() -> None:
    shown = as_text(approval_list_message([OPEN] * 25, [], []))
    assert shown.count("APPROVAL WANTED") == 10
    assert "and 15 more" in shown
    assert "*25 requests for you to decide*" in shown


def test_nobody_having_decided_says_so_and_what_to_do() -> None:
    assert "so nothing was done. Ask again" in told_message(EXPIRED).text


def test_a_broken_glass_is_loud_until_it_is_signed() -> None:
    assert approval_line(GLASS_DONE).startswith("🚨 BREAK GLASS · DONE")
    assert approval_line(GLASS_SIGNED).startswith("✅ DONE")
