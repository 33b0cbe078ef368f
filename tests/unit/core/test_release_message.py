"""The preview of a release: what stands in it, and what an agreement to it is bound to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.ids import DeviceName, RolloutId
from core.messages.blocks import Message
from core.messages.release import preview_message
from core.rollouts.preview import Overlap, Place
from tests.unit.core.message_samples import as_text
from tests.unit.core.release_samples import AT_NIGHT, IMPOSSIBLE, PREVIEW, REACH, WISH, names
from tests.unit.core.test_messages import assert_fits


def buttons(message: Message) -> list[Any]:
    return [part for block in message.blocks if block["type"] == "actions" for part in block["elements"]]


def test_only_a_release_that_can_be_made_has_a_button_and_it_names_the_draft() -> None:
    assert [(b["action_id"], b["value"]) for b in buttons(preview_message(PREVIEW, "d1"))] == [("create", "d1")]
    assert buttons(preview_message(IMPOSSIBLE, "d1")) == []


def test_the_question_says_when_devices_begin_and_what_is_cancelled() -> None:
    by_hand, at_night = (buttons(preview_message(v, "d1"))[0]["confirm"]["text"]["text"] for v in (PREVIEW, AT_NIGHT))
    assert "until somebody starts group 1 (5 devices)" in by_hand
    assert "cancels actions of 1 other rollout" in by_hand
    assert "starts group 1 (5 devices) at 2026-11-24 22:00 UTC" in at_night
    assert "cannot be called back" in at_night


def test_a_fleet_of_names_others_chose_stays_text_and_within_the_limits() -> None:
    evil = "<!channel> *x* `y` https://evil.example " * 20
    overlaps = tuple(Overlap(RolloutId(n), evil, waiting=n) for n in range(1, 40))
    strangers = frozenset(DeviceName(f"{evil}{n}") for n in range(500))
    view = replace(
        PREVIEW,
        reach=replace(REACH, overlaps=overlaps, strangers=strangers, against=(evil,) * 20),
        places=[Place(f"t{n}", evil, 1) for n in range(300)],
        before={f"{evil}:{n}": 1 for n in range(60)},
    )
    shown = preview_message(view, "d1")
    assert_fits(shown)
    assert "<!channel" not in as_text(shown)
    assert "<https" not in as_text(shown)


def test_nothing_alarming_is_said_where_there_is_nothing() -> None:
    calm = replace(PREVIEW, reach=replace(REACH, overlaps=(), installed=frozenset()), silent=0, never=0, metered=0)
    text = as_text(preview_message(replace(calm, alarmed=frozenset()), "d1"))
    assert "all polled within 1 h" in text
    for word in ("⚠️", "metered", "open alarms", "already"):
        assert word not in text


def test_an_agreement_is_bound_to_the_devices_and_the_wish_and_not_to_how_far_others_are() -> None:
    bound = REACH.evidence().digest
    further = replace(REACH, overlaps=(Overlap(RolloutId(4), "edge-1.1.1-0a1b2c", waiting=1, running=1),))
    assert further.evidence().digest == bound
    swapped = (REACH.devices - {DeviceName("a-gw-001")}) | {DeviceName("a-gw-999")}
    for other in (
        replace(REACH, devices=swapped),
        replace(REACH, overlaps=()),
        replace(REACH, strangers=frozenset({DeviceName("a-gw-001")})),
        replace(REACH, set=replace(REACH.set, id=4)),
        replace(REACH, policy="careful"),
        replace(REACH, wish=replace(WISH, forced=False)),
        replace(REACH, wish=replace(WISH, shares=(50.0, 50.0))),
    ):
        assert other.evidence().digest != bound
    big = replace(REACH, devices=names("a", 900))
    one_less = replace(big, devices=(big.devices - {DeviceName("a-gw-001")}) | {DeviceName("b-gw-001")})
    assert big.evidence().digest != one_less.evidence().digest
