"""One message a rollout, updated in place: groups as bars, the state in a word, what it waits for, what one can do."""

from __future__ import annotations

from collections.abc import Mapping

from core.messages.blocks import Block, Button, Confirm, Message, actions, compose, context, section
from core.messages.text import at, literal, mono
from core.rollouts.views import Bar, Mood, Progress

_CELLS = 10
_LINES = 12

_ICONS: Mapping[Mood, str] = {
    Mood.WAITING: "⏳",
    Mood.RUNNING: "▶️",
    Mood.READY: "🟢",
    Mood.HOLDING: "⏳",
    Mood.HELD: "✋",
    Mood.PAUSED: "⏸️",
    Mood.FAILED: "🔴",
    Mood.PROMOTING: "⏩",
    Mood.VERIFYING: "🔎",
    Mood.DONE: "✅",
    Mood.UNVERIFIED: "⚠️",
    Mood.STOPPED: "⏹️",
    Mood.GONE: "🗑️",
}


def rollout_message(view: Progress) -> Message:
    """`text` alone says which rollout, its state and what it waits for."""
    title = f"{_ICONS[view.mood]} *{literal(view.name, 120)}* {mono(view.set_name, 120)}: {view.mood.value}"
    blocks: list[Block] = [section(title), section("\n".join(_lines(view.bars)))]
    if view.reasons:
        why = [literal(reason, 300) for reason in view.reasons[:4]]
        blocks.append(section("*Waits because*\n" + "\n".join(f"• {one}" for one in why)))
    blocks.append(context(*_notes(view)))
    buttons = _buttons(view)
    if buttons and view.stale_since is None:
        blocks.append(actions(*buttons))
    summary = f"{title} ({literal(view.stack, 60)})"
    return compose(f"{summary}. {literal(view.reasons[0], 300)}" if view.reasons else summary, *blocks)


def rollout_alarm(stack: str, name: str, what: str) -> Message:
    """Something happened to the rollout that nobody decided: a message of its own, in the rollout's thread."""
    title = f"🚨 *{literal(name, 120)}* ({literal(stack, 60)}): {literal(what, 600)}"
    return compose(title, section(title))


def bar(one: Bar) -> str:
    """Ten cells: verified, then claimed, then nothing yet. Full only where all are verified."""
    total = max(one.total, 1)
    full = min(one.verified, total) * _CELLS // total
    claimed = max(min(max(one.claimed, one.verified), total) * _CELLS // total - full, 0)
    return "█" * full + "▒" * claimed + "░" * (_CELLS - full - claimed)


def _lines(bars: tuple[Bar, ...]) -> list[str]:
    """At most twelve groups: with more, those around the last started one, and what was left out."""
    if len(bars) <= _LINES:
        return [_line(one) for one in bars]
    last = max((b.number for b in bars if b.status in ("running", "finished", "error")), default=0)
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
    name = f"*{one.number}* {literal(one.name, 40)}"
    if one.status not in ("running", "finished", "error"):
        return f"`{bar(one)}` {name}: {_devices(one.total)}, {one.status}"
    said = [f"{one.verified}/{one.total} verified", f"{one.claimed} claimed", _count(one.errors, "error")]
    if not one.known:
        said = [f"{one.claimed}/{one.total} claimed", _count(one.errors, "error"), "not verified yet"]
    rest = (
        (one.open, "open"),
        (one.awaiting, "await a reboot"),
        (one.refuted, "refuted"),
        (one.unknown, "unknown"),
        (one.excluded, "excluded"),
    )
    said += [f"{number} {word}" for number, word in rest if number]
    return f"`{bar(one)}` {name}: " + " · ".join(said)


def _notes(view: Progress) -> list[str]:
    notes = []
    if not view.owned and view.pauses:
        notes.append("Made by an account that is not in promotion.owners: a person promotes this one.")
    elif not view.owned:
        notes.append("hawkBit promotes this one itself, also below the threshold once a group has completed.")
    elif not view.auto:
        notes.append("A person promotes this one: automatic promotion is off.")
    if view.stale_since is not None:
        notes.append(f"⚠️ hawkBit does not answer: this is how it was {at(view.stale_since)}.")
    notes.append(f"stack {mono(view.stack, 60)} · rollout {view.rollout}")
    return notes


def _buttons(view: Progress) -> list[Button]:
    this = f"{view.stack}/{view.rollout}"
    to_next = f"{this}/{view.next_number}"
    starts = f"group {view.next_number} ({_devices(view.next_total)})"
    found = []
    if view.can_promote:
        confirm = Confirm("Start the next group?", f"Starts {starts} of {view.name}: they install now.", "Promote")
        found.append(Button("promote", f"Promote {starts}", to_next, "primary", confirm))
    if view.can_resume:
        may = f"may start group {view.next_number}, {_devices(view.next_total)}"
        confirm = Confirm("Resume?", f"Resuming {view.name} {may}: hawkBit decides by its counts.", "Resume")
        found.append(Button("resume", f"Resume ({may})", to_next, None, confirm))
    if view.can_pause:
        still = f" {_devices(view.running)} already started will finish." if view.running else ""
        confirm = Confirm("Pause?", f"No further group of {view.name} starts.{still}", "Pause")
        found.append(Button("pause", "Pause", this, None, confirm))
    if view.can_hold:
        found.append(Button("hold", "Hold", this))
    if view.can_unhold:
        found.append(Button("unhold", "Lift hold", this))
    if view.can_stop:
        text = (
            f"Ends {view.name} for good: it cannot be resumed. Devices not started yet get nothing. Devices under way "
            f"({view.running}) are asked to cancel and may still install."
        )
        found.append(Button("stop", "Stop", this, "danger", Confirm("Stop for good?", text, "Stop it")))
    return found


def _devices(number: int) -> str:
    return _count(number, "device")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
