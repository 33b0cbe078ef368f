"""Previews of releases, as docs/messages.md shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from core.ids import DeviceName, RolloutId, Stack, Tenant
from core.messages.blocks import Message
from core.messages.release import preview_message
from core.rollouts.facts import DistributionSet
from core.rollouts.preview import Overlap, Place, Preview, Reach
from core.rollouts.wish import ReleaseWish


def names(letter: str, number: int) -> frozenset[DeviceName]:
    return frozenset(DeviceName(f"{letter}-gw-{n:03}") for n in range(1, number + 1))


A, B = Tenant("customer-a"), Tenant("customer-b")
WISH = ReleaseWish(stack=Stack("eu1"), set_name="edge", version="1.2.0", where="controllerId==*")
REACH = Reach(
    wish=WISH,
    set=DistributionSet(3, "edge", "1.2.0", locked=True, valid=True),
    devices=names("a", 60) | names("b", 40),
    of_tenant={A: names("a", 60), B: names("b", 40)},
    strangers=frozenset(),
    installed=names("a", 2),
    overlaps=(Overlap(RolloutId(4), "edge-1.1.1-0a1b2c", waiting=12, running=3),),
    policy="default",
    against=(),
)
PREVIEW = Preview(
    reach=REACH,
    places=(
        Place("customer-a", "Hamburg", 40),
        Place("customer-a", "Lyon", 15),
        Place("customer-a", "", 5),
        Place("customer-b", "", 40),
    ),
    silent=7,
    never=1,
    silent_h=1.0,
    alarmed=frozenset({DeviceName("a-gw-007"), DeviceName("a-gw-009")}),
    metered=9,
    unread=0,
    before={"edge:1.1.0": 80, "edge:1.0.0": 17, "edge:1.2.0": 2, "": 1},
)
NOBODY = replace(REACH, devices=frozenset(), of_tenant={}, installed=frozenset(), overlaps=())
IMPOSSIBLE = replace(
    PREVIEW, reach=replace(NOBODY, against=("No device passes the filter.",)), places=(), alarmed=frozenset()
)
AT_NIGHT = replace(
    PREVIEW,
    reach=replace(REACH, wish=replace(WISH, start_at=datetime(2026, 11, 24, 22, 0, tzinfo=UTC), forced=False)),
)
RELEASE_SAMPLES: Mapping[str, Message] = {
    "preview": preview_message(PREVIEW, "0a1b2c3d4e5f"),
    "preview-impossible": preview_message(IMPOSSIBLE, "0a1b2c3d4e5f"),
}
