"""What a release would reach, before it is made: a private message with the one button that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, section
from core.messages.fold import folded
from core.messages.states import NOTICES, Notice
from core.messages.text import at, count, literal, mono, plain
from core.rollouts.preview import Overlap, Place, Preview, Reach

CREATE = "create"
_SITES, _OVERLAPS, _SETS, _NAMES = 8, 5, 5, 200


def preview_message(view: Preview, draft: str) -> Message:
    """Its first two lines alone say what would be made and how many devices it concerns. `draft` is what the button
    names; there is none where something stands against it."""
    reach, wish = view.reach, view.reach.wish
    notice = Notice.IMPOSSIBLE if reach.against else Notice.PREVIEW
    thing = f"*{literal(wish.name, 140)}* on {literal(wish.stack, 60)} · {mono(wish.set, 120)}"
    what = f"{NOTICES[notice].over(thing)}\n{' · '.join(_numbers(reach)) if reach.devices else '*0 devices*'}"
    blocks: list[Block] = [section(what)]
    if reach.against:
        blocks.append(section("*Cannot be made*\n" + "\n".join(f"• {literal(one, 400)}" for one in reach.against)))
    if reach.devices:
        blocks.append(section("*Where*\n" + "\n".join(_places(view))))
        blocks.append(section("*To know before*\n" + "\n".join(f"• {one}" for one in _known(view))))
    blocks.append(context(*_notes(reach)))
    if not reach.against:
        blocks.append(actions(Button(CREATE, "Create it", draft, "primary", _confirm(reach))))
    return compose(what, *blocks)


def _numbers(reach: Reach) -> list[str]:
    wish = reach.wish
    sizes = "/".join(map(str, reach.sizes))
    starts = f"starts {at(wish.start_at)}" if wish.start_at is not None else "started by hand"
    return [
        f"*{count(len(reach.devices), 'device')}* in {count(len(wish.shares), 'group')} of {sizes}",
        f"{wish.kind}, {starts}",
    ]


def _places(view: Preview) -> list[str]:
    lines = []
    by_tenant = sorted(view.places, key=lambda place: place.tenant)
    for tenant, grouped in groupby(by_tenant, key=lambda place: place.tenant):
        found = list(grouped)
        line = f"• {literal(tenant, 60)}: {count(sum(place.devices for place in found), 'device')}"
        lines.append(line + _sites(found))
    if strangers := view.reach.strangers:
        lines.append(f"• ⚠️ of no tenant: {folded(strangers, _NAMES, len(strangers))}")
    if view.unread:
        lines.append(f"• site and link of {count(view.unread, 'device')} could not be read in time")
    return lines


def _sites(places: Sequence[Place]) -> str:
    known = sorted((place for place in places if place.site), key=lambda place: -place.devices)
    shown = [f"{literal(place.site, 40)} {place.devices}" for place in known[:_SITES]]
    if len(known) > _SITES:
        shown.append(f"{len(known) - _SITES} more sites")
    return f" ({', '.join(shown)})" if shown else ""


def _known(view: Preview) -> list[str]:
    """What might go wrong or surprise, worst first."""
    reach, total = view.reach, len(view.reach.devices)
    said = [_overlap(one) for one in reach.overlaps[:_OVERLAPS]]
    if len(reach.overlaps) > _OVERLAPS:
        said.append(f"⚠️ devices of {len(reach.overlaps) - _OVERLAPS} more rollouts under way")
    hours = f"{view.silent_h:g} h"
    if view.silent:
        never = f", {view.never} of them never" if view.never else ""
        said.append(f"{view.silent} of {total} have not polled for {hours}{never}: they hold up their group")
    else:
        said.append(f"all polled within {hours}")
    if view.alarmed:
        said.append(f"with open alarms: {folded(view.alarmed, _NAMES, len(view.alarmed))}")
    if reach.installed:
        said.append(
            f"{len(reach.installed)} of {total} have {mono(reach.wish.set, 100)} already: nothing is done on them"
        )
    if view.metered:
        said.append(f"{count(view.metered, 'device')} on metered links")
    said.append(f"now on {', '.join(_before(view))}; kept for a rollback")
    return said


def _before(view: Preview) -> list[str]:
    known = sorted(((set, n) for set, n in view.before.items() if set), key=lambda one: -one[1])
    shown = [f"{mono(set, 80)} {devices}" for set, devices in known[:_SETS]]
    if rest := sum(devices for _, devices in known[_SETS:]):
        shown.append(f"other sets {rest}")
    if unknown := view.before.get("", 0):
        shown.append(f"no set that hawkBit knows {unknown}")
    return shown


def _overlap(one: Overlap) -> str:
    parts = [
        f"{number} {word}"
        for number, word in (
            (one.waiting, "waiting, cancelled when this one starts"),
            (one.running, "under way, cancelled when their group here starts"),
            (one.unstarted, "of a rollout that has not begun, and would take them away from this one"),
        )
        if number
    ]
    return f"⚠️ {count(one.devices, 'device')} of *{literal(one.name, 100)}*: {', '.join(parts)}"


def _notes(reach: Reach) -> list[str]:
    wish = reach.wish
    who = f"filter {mono(wish.where, 300)}"
    policy = f"policy {mono(reach.policy, 60)}: hawkBit pauses after every group, and the next one starts by it alone"
    return [who, policy]


def _confirm(reach: Reach) -> Confirm:
    wish, devices = reach.wish, count(len(reach.devices), "device")
    first = count(reach.sizes[0], "device")
    if wish.start_at is None:
        then = f"Nothing is installed until somebody starts group 1 ({first})."
    else:
        then = f"hawkBit itself starts group 1 ({first}) at {wish.start}; what has begun cannot be called back."
    if reach.overlaps:
        then += f" Starting it cancels actions of {count(len(reach.overlaps), 'other rollout')}."
    return Confirm(f"Create it for {devices}?", f"Makes {plain(wish.name, 60)} in hawkBit. {then}", "Create it")
