"""One message a rollout, updated in place: its state, what is verified, groups as bars, what it waits for, what one can
do."""

from __future__ import annotations

from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, section
from core.messages.fold import folded
from core.messages.states import MOODS, NOTICES, Notice
from core.messages.stuck import STUCK
from core.messages.text import at, count, literal, mono, plain
from core.messages.why import WHY
from core.rollouts.views import Bar, Mood, Progress

REBOOT = "reboot"
_CELLS = 10
_LINES = 12
_BUTTONS = 4
_NAMES, _NAMED_LINES = 300, 8
_FEW = 20
"""So many devices that only wait are named: while a group is at it all of them wait for a moment."""
_STARTED = ("running", "finished", "error")
_ENDED = (Mood.VERIFYING, Mood.DONE, Mood.UNVERIFIED)


def rollout_message(view: Progress) -> Message:
    """Its first two lines alone say the state, which rollout, and how many devices are verified."""
    thing = f"*{literal(view.name, 120)}* on {literal(view.stack, 60)} · {mono(view.set_name, 120)}"
    head = MOODS[view.mood].over(thing)
    what = f"{head}\n{' · '.join(_numbers(view))}"
    if view.stale_since is not None:
        what += f"\n⚠️ hawkBit does not answer: this is how it was {at(view.stale_since)}."
    blocks: list[Block] = [section(what), section("\n".join(_lines(view.bars)))]
    if view.reasons:
        title = "Failed because" if view.mood is Mood.FAILED else "Waits because"
        why = [literal(reason, 300) for reason in view.reasons[:4]]
        blocks.append(section(f"*{title}*\n" + "\n".join(f"• {one}" for one in why)))
    if named := [line for one in view.bars for line in _named_devices(one)][:_NAMED_LINES]:
        blocks.append(section("\n".join(named)))
    blocks += _left_behind(view)
    blocks.append(context(*_notes(view)))
    blocks.append(_row(view))
    return compose(what, *blocks)


def rollout_alarm(stack: str, name: str, what: str) -> Message:
    """Something happened to the rollout that nobody decided: a message of its own, in the rollout's thread."""
    head = NOTICES[Notice.UNEXPECTED].over(f"*{literal(name, 120)}* on {literal(stack, 60)}: {literal(what, 600)}")
    return compose(head, section(head))


def bar(one: Bar) -> str:
    """Ten cells: verified, then claimed, then nothing yet. Full only where all are verified."""
    total = max(one.total, 1)
    full = min(one.verified, total) * _CELLS // total if _proven(one) else 0
    claimed = max(min(max(one.claimed, one.verified), total) * _CELLS // total - full, 0)
    return "█" * full + "▒" * claimed + "░" * (_CELLS - full - claimed)


def _numbers(view: Progress) -> list[str]:
    """The number that decides first: verified devices, or what went wrong; then what comes next."""
    now = next((one for one in reversed(view.bars) if one.status in _STARTED), None)
    groups = count(len(view.bars), "group")
    if now is None:
        return [f"*{count(sum(b.total for b in view.bars), 'device')}* in {groups}, none started"]
    if view.mood in _ENDED:
        verified, total = sum(b.verified for b in view.bars if _proven(b)), sum(b.total for b in view.bars)
        return [f"*{verified} of {total} verified* in {groups}"]
    word, done = ("verified", now.verified) if _proven(now) else (f"claimed, {_unproven(now)}", now.claimed)
    shown = [f"*{done} of {now.total} {word}* in group {now.number} of {len(view.bars)}"]
    if view.mood is Mood.FAILED:
        wrong = [count(now.errors, "error")] if now.errors else []
        wrong += [f"{now.refuted} refuted"] if now.refuted else []
        wrong += [count(now.alarmed, "OTA failure alarm")] if now.alarmed else []
        return [f"*{', '.join(wrong)}*", *shown, f"{_waiting(view)} not started"] if wrong else shown
    if view.next_number is not None:
        shown.append(f"next: group {view.next_number}, {count(view.next_total, 'device')}")
    return shown


def _waiting(view: Progress) -> str:
    """How many devices no group has reached yet."""
    return count(sum(one.total for one in view.bars if one.status not in _STARTED), "device")


def _lines(bars: tuple[Bar, ...]) -> list[str]:
    """At most twelve groups: with more, those around the last started one, and what was left out."""
    if len(bars) <= _LINES:
        return [_line(one) for one in bars]
    last = max((b.number for b in bars if b.status in _STARTED), default=0)
    first = max(0, min(last - _LINES // 2, len(bars) - _LINES))
    shown = bars[first : first + _LINES]
    before, after = bars[:first], bars[first + _LINES :]
    lines = [_line(one) for one in shown]
    if before:
        lines.insert(0, _left_out(before, "before"))
    if after:
        lines.append(_left_out(after, "after"))
    return lines


def _left_out(bars: tuple[Bar, ...], where: str) -> str:
    verified, total = sum(b.verified for b in bars), sum(b.total for b in bars)
    return f"{len(bars)} groups {where} these: {verified}/{total} verified"


def _line(one: Bar) -> str:
    name = f"*{one.number} {literal(one.name, 40)}*"
    if one.status not in _STARTED:
        return f"{name}  {count(one.total, 'device')} · {one.status}"
    done, said = f"{one.verified}/{one.total} verified", [f"{one.claimed} claimed"]
    if not _proven(one):
        done, said = f"{one.claimed}/{one.total} claimed", [_unproven(one)]
    until = f" until {at(one.awaiting_until)}" if one.awaiting_until is not None else ""
    rest = (
        (one.open, "open"),
        (one.awaiting, f"await a reboot{until}"),
        (one.refuted, "refuted"),
        (one.unknown, "unknown"),
        (one.excluded, "excluded"),
    )
    said += [count(one.errors, "error"), *(f"{number} {word}" for number, word in rest if number)]
    return f"{name}  {done}  `{bar(one)}`  {' · '.join(said)}"


def _proven(one: Bar) -> bool:
    return one.known and not one.by_claims


def _unproven(one: Bar) -> str:
    return "not verified" if one.known else "not verified yet"


def _named_devices(one: Bar) -> list[str]:
    """Which devices raised an alarm about it or did not prove the new version (yet), and which are not counted."""
    kinds = (
        ("OTA failure raised", one.alarmed, one.alarmed_names),
        ("Refuted", one.refuted, one.refuted_names),
        ("Unknown", one.unknown, one.unknown_names),
        ("Await a reboot", one.awaiting, one.awaiting_names if one.awaiting <= _FEW else ()),
        ("Excluded", one.excluded, one.excluded_names),
    )
    return [
        f"*{word}* in group {one.number} ({number}): {folded(names, _NAMES, number)}"
        for word, number, names in kinds
        if names
    ]


def _left_behind(view: Progress) -> list[Block]:
    """Devices that do not get on by themselves, each kind with the one thing that helps."""
    this, asks = f"{view.stack}/{view.rollout}", view.stale_since is None
    found: list[Block] = []
    if view.excludable:
        group = next((one.number for one in reversed(view.bars) if one.status in _STARTED), 0)
        devices = count(view.excludable, "device")
        what = f"*{devices} of group {group} cannot be reached*: the group completes only without them."
        button = Button("exclude", f"Exclude {devices}", f"{this}/{group}", None, _exclude(view, devices, group))
        found.append(section(what, button if asks else None))
    if view.catchable:
        devices = count(view.catchable, "excluded device")
        button = Button("catch-up", f"Catch up {devices}", this, None, _catch_up(view, devices))
        found.append(section(f"*{devices} can be caught up*.", button if asks else None))
    if view.stuck:
        button = Button(STUCK, "Show them", this)
        found.append(section(f"*{view.stuck} stuck*: {literal(view.stuck_words, 300)}", button if asks else None))
    return found


def _notes(view: Progress) -> list[str]:
    claims = [f"{one.number}" for one in view.bars if one.by_claims]
    notes = []
    if claims:
        notes.append(
            f"⚠️ By policy hawkBit's claims count in group {', '.join(claims)}: nothing proves that these devices boot "
            "the new version."
        )
    if not view.owned and view.pauses:
        notes.append("Made by an account that is not in promotion.owners: a person promotes this one.")
    elif not view.owned:
        notes.append("hawkBit promotes this one itself, also below the threshold once a group has completed.")
    elif not view.auto:
        notes.append("A person promotes this one: automatic promotion is off.")
    notes.append(f"stack {mono(view.stack, 60)} · rollout {view.rollout}")
    return notes


def _row(view: Progress) -> Block:
    """At most four buttons, the dangerous one last; what does not fit stands in the menu."""
    main, others = _buttons(view), _others(view)
    if view.stale_since is not None:
        return actions(others[-1])
    if len(main) + len(others) > _BUTTONS:
        return actions(*main, more=others)
    last = 1 if view.can_stop else 0
    return actions(*main[: len(main) - last], *others, *main[len(main) - last :])


def _buttons(view: Progress) -> list[Button]:
    """At most three: what goes on (start, promote, resume or continue) or pause, hold or its lifting, stop; of a
    finished one only the cancel of what is still open."""
    this = f"{view.stack}/{view.rollout}"
    to_next = f"{this}/{view.next_number}"
    devices = count(view.next_total, "device")
    found = []
    if view.can_start and view.bars:
        first = count(view.bars[0].total, "device")
        found.append(Button("start", f"Start group 1 ({first})", this, "primary", _start(view, first)))
    if view.can_promote:
        label = f"Promote group {view.next_number} ({devices})"
        found.append(Button("promote", label, to_next, "primary", _promote(view, devices)))
    if view.can_resume:
        label = f"Resume (may start group {view.next_number}, {devices})"
        found.append(Button("resume", label, to_next, None, _resume(view, devices)))
    if view.can_continue:
        found.append(Button("continue", f"{_continue(view)} ({devices})…", to_next))
    if view.can_pause:
        found.append(Button("pause", "Pause", this, None, _pause(view)))
    if view.can_hold:
        found.append(Button("hold", "Hold", this))
    if view.can_unhold:
        found.append(Button("unhold", "Lift hold", this, None, _unhold(view, devices)))
    if view.can_stop:
        found.append(Button("stop", "Stop", this, "danger", _stop(view)))
    if view.cancelable:
        installs = count(view.cancelable, "open install")
        found.append(Button("cancel", f"Cancel {installs}", this, "danger", _cancel(view, installs)))
    return found


def _continue(view: Progress) -> str:
    """Past what: errors and refuted devices, or a share that is too low."""
    now = next((one for one in reversed(view.bars) if one.status in _STARTED), None)
    if now is None or not now.total:
        return "Continue past it"
    wrong = [count(now.errors, "error")] if now.errors else []
    wrong += [f"{now.refuted} refuted"] if now.refuted else []
    return f"Continue despite {', '.join(wrong)}" if wrong else f"Continue at {100 * now.verified // now.total} %"


def _others(view: Progress) -> list[Button]:
    """What needs no question of its own, and so may stand in the menu. The last one is a look, at any time."""
    this = f"{view.stack}/{view.rollout}"
    found = [Button(REBOOT, f"Reboot {count(view.can_reboot, 'device')}…", this)] if view.can_reboot else []
    return [*found, Button(WHY, "Why?", this)]


def _named(name: str) -> str:
    """Foreign text in a question, short enough that what will happen is never cut off."""
    return plain(name, 50)


def _promote(view: Progress, devices: str) -> Confirm:
    does = (
        f"Starts group {view.next_number} of {_named(view.name)}: {devices} are offered {_named(view.set_name)}, "
        "install it and reboot. A pause later stops only further groups; a device that has begun cannot be called back."
    )
    return Confirm(f"Start group {view.next_number} on {devices}?", does, f"Start {devices}")


def _start(view: Progress, devices: str) -> Confirm:
    does = (
        f"Starts {_named(view.name)}: {devices} of group 1 are offered {_named(view.set_name)}, install it and reboot. "
        "A device that has begun cannot be called back. Further groups start by policy, or by a person."
    )
    return Confirm(f"Start group 1 on {devices}?", does, f"Start {devices}")


def _resume(view: Progress, devices: str) -> Confirm:
    does = (
        f"hawkBit goes on with {_named(view.name)} and decides by its own counts: it may start group "
        f"{view.next_number} at once. Then {devices} install {_named(view.set_name)} and reboot, and that cannot be "
        "called back."
    )
    return Confirm(f"Resume, and perhaps start {devices}?", does, "Resume")


def _pause(view: Progress) -> Confirm:
    still = f" {count(view.running, 'device')} already started will finish." if view.running else ""
    does = f"No further group of {_named(view.name)} starts until somebody resumes it.{still}"
    return Confirm("Pause?", does, "Pause")


def _unhold(view: Progress, devices: str) -> Confirm | None:
    """Without a hold the bot may promote by itself; where it may not, lifting one starts nothing."""
    if not view.auto or view.next_number is None:
        return None
    does = (
        f"The bot promotes {_named(view.name)} by its policy again: as soon as every gate passes it starts group "
        f"{view.next_number} ({devices}) by itself. You can put it on hold again until then."
    )
    return Confirm("Lift the hold?", does, "Lift hold")


def _stop(view: Progress) -> Confirm:
    does = (
        f"Ends {_named(view.name)} for good: it cannot be resumed. {_waiting(view)} not started yet will get nothing."
    )
    if view.running:
        does += f" Devices under way ({view.running}) are asked to cancel and may still install."
    return Confirm("Stop for good?", does, "Stop it")


def _exclude(view: Progress, devices: str, group: int) -> Confirm:
    does = (
        f"Group {group} of {_named(view.name)} is counted without them, and hawkBit ends their installs. One that has "
        "downloaded it already may still install; that cannot be called back."
    )
    return Confirm(f"Exclude {devices}?", does, f"Exclude {devices}")


def _catch_up(view: Progress, devices: str) -> Confirm:
    does = f"They get {_named(view.set_name)}, install it at their next poll and reboot; that cannot be called back."
    return Confirm(f"Catch up {devices}?", does, "Catch up")


def _cancel(view: Progress, installs: str) -> Confirm:
    does = (
        f"The rollout has finished, and these devices go on installing {_named(view.set_name)}. Each is asked to give "
        "up at its next poll. One that has begun may still install; that cannot be called back."
    )
    return Confirm(f"Cancel {installs}?", does, f"Cancel {installs}"[:30])
