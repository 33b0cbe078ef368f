"""A release as a person wishes it: what is read, how it is named, what stands against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.ids import RolloutId, Stack
from core.rollouts.facts import Counts, DistributionSet, RolloutFacts, RolloutStatus
from core.rollouts.policy import PromotionPolicy
from core.rollouts.wish import (
    ReleaseWish,
    differences,
    group_sizes,
    narrowed,
    obstacles,
    parse_set,
    parse_shares,
    parse_start,
    wish_of,
)

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
WISH = ReleaseWish(stack=Stack("eu1"), set_name="edge", version="1.2.0", where="controllerId==*")
SET = DistributionSet(7, "edge", "1.2.0", locked=True, valid=True)
POLICY = PromotionPolicy()


def test_the_same_wish_has_one_name_and_another_set_filter_or_label_another() -> None:
    others = (
        replace(WISH, version="1.2.1"),
        replace(WISH, where="controllerId==a-*"),
        replace(WISH, label="second-try"),
    )
    assert replace(WISH, shares=(50.0, 50.0), forced=False, policy="careful").name == WISH.name
    assert len({WISH.name, *(other.name for other in others)}) == 4
    assert WISH.name.startswith("edge-1.2.0-")
    assert len(replace(WISH, set_name="x" * 128).name) <= 128


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=8).map(lambda raw: tuple(n * 100 / sum(raw) for n in raw)),
    st.integers(0, 20_000),
)
def test_every_device_is_in_one_group(shares: tuple[float, ...], devices: int) -> None:
    assert sum(group_sizes(devices, shares)) == devices


@pytest.mark.parametrize(
    ("devices", "shares", "sizes"),
    [
        (500, (5, 25, 70), (25, 125, 350)),
        (10, (5, 25, 70), (1, 2, 7)),
        (9, (5, 25, 70), (0, 2, 7)),
        (3, (34, 33, 33), (1, 1, 1)),
        (1, (50, 50), (1, 0)),
    ],
)
def test_groups_get_what_hawkbit_gives_them(devices: int, shares: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    assert group_sizes(devices, shares) == sizes


def test_what_is_written_down_is_read_back_as_it_was() -> None:
    wish = replace(
        WISH,
        set_name="edge:fw",
        tenant="customer-a",
        shares=(33.33333333, 66.66666667),
        forced=False,
        start_at=NOW + timedelta(hours=2),
        policy="careful",
        label="winter.2",
    )
    assert wish_of(wish.params()) == wish


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5/25", "take 30 %"),
        ("5/25/71", "take 101 %"),
        ("0/100", "above 0"),
        ("-5/105", "above 0"),
        ("five/95", "are no groups"),
        ("", "are no groups"),
        ("1/0/99", "above 0"),
        ("/".join(["1"] * 100), "too many"),
    ],
)
def test_groups_that_cannot_be_are_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        parse_shares(text)


def test_shares_are_added_up_exactly() -> None:
    assert parse_shares("33.3/33.3/33.4") == (33.3, 33.3, 33.4)


@pytest.mark.parametrize("text", ["edge", ":1.0", "edge:", ""])
def test_a_set_without_name_or_version_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="names no set"):
        parse_set(text)


def test_a_start_needs_its_zone_and_nothing_means_by_hand() -> None:
    assert parse_start(" ") is None
    assert parse_start("2026-11-24T22:00:00+01:00") == datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
    for wrong in ("2026-11-24T22:00:00", "tomorrow"):
        with pytest.raises(Refused, match=r"\+01:00"):
            parse_start(wrong)


@pytest.mark.parametrize("changed", [{"where": "x" * 2001}, {"label": "two words"}, {"label": "x" * 31}])
def test_a_filter_or_label_that_cannot_be_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(Refused):
        wish_of({**WISH.params(), **changed})


def test_nothing_stands_against_a_good_release() -> None:
    assert obstacles(WISH, SET, 500, 0, POLICY, NOW) == ()


@pytest.mark.parametrize(
    ("wish", "found", "devices", "already", "policy", "said"),
    [
        (WISH, replace(SET, valid=False), 500, 0, POLICY, "invalidated"),
        (WISH, SET, 0, 0, POLICY, "No device"),
        (WISH, SET, 9, 0, POLICY, "Group 1 would be empty: 5 % of 9"),
        (WISH, SET, 500, 500, POLICY, "All 500 devices have edge:1.2.0"),
        (WISH, SET, 40, 0, replace(POLICY, minimum_sample=5), "can never be reached by a group of 2"),
        (replace(WISH, start_at=NOW), SET, 500, 0, POLICY, "is over"),
        (replace(WISH, set_name="Rollback-x"), SET, 500, 0, POLICY, "those of rollbacks"),
    ],
)
def test_what_stands_against_a_release_is_said(
    wish: ReleaseWish, found: DistributionSet, devices: int, already: int, policy: PromotionPolicy, said: str
) -> None:
    against = obstacles(wish, found, devices, already, policy, NOW)
    assert len(against) == 1
    assert said in against[0]


def test_a_rollout_of_that_name_is_the_same_only_where_nothing_differs() -> None:
    there = RolloutFacts(
        id=RolloutId(3),
        name=WISH.name,
        status=RolloutStatus.READY,
        created_by="bot",
        created_at=NOW,
        last_modified_by="bot",
        last_modified_at=NOW,
        set_id=7,
        total=500,
        counts=Counts(notstarted=500),
        target_filter="controllerId==*",
        action_type="forced",
        total_groups=3,
    )
    assert differences(WISH, SET, there) == ()
    for changed, said in (
        ({"set_id": 8}, "another set"),
        ({"target_filter": "controllerId==b-*"}, "controllerId==b-*"),
        ({"total_groups": 2}, "2 groups"),
        ({"action_type": "soft"}, "type soft"),
    ):
        told = differences(WISH, SET, replace(there, **changed))
        assert len(told) == 1
        assert said in told[0]


def test_a_tenants_filter_is_only_ever_narrowed() -> None:
    own = "attribute.tenant==customer-a"
    assert narrowed(own, " ") == own
    assert narrowed(own, "name==a,name==b") == f"({own});(name==a,name==b)"
    assert narrowed(own, "name=='a) \\' ('") == f"({own});(name=='a) \\' (')"
    for beyond in ("x==1),(name==*", "name==*)", "(name==*", "name=='a", "name=='a\\'"):
        with pytest.raises(Refused, match="do not match"):
            narrowed(own, beyond)
