"""The states things can be in, as every message shows them: an icon, a word in capitals, a colour that both agree with.

docs/messages.md prints this table for people; a test holds the two together. No state is told by its colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.alarms.facts import Severity
from core.approvals import Phase as ApprovalPhase
from core.incidents import Incident, Phase
from core.rollouts.facts import RolloutStatus
from core.rollouts.gates import Verdict
from core.rollouts.views import Mood


class Colour(StrEnum):
    """What a state asks of whoever looks at it."""

    RED = "red"
    """Something is wrong now: a person is needed."""
    ORANGE = "orange"
    """Wrong, and less urgent than red."""
    YELLOW = "yellow"
    """It waits, for proof or for a person, or it is doubtful."""
    PURPLE = "purple"
    """A person has taken it in hand."""
    BLUE = "blue"
    """Under way by itself, or good to know: nothing to do."""
    GREEN = "green"
    """Good, or free to go on."""
    GREY = "grey"
    """Not begun, ended without success, or not known."""


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Presence(StrEnum):
    """Whether ThingsBoard hears from a device."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Notice(StrEnum):
    """What a message is about that shows no state of an incident, rollout, run or device."""

    AWAY = "away"
    BACK = "back"
    UNREADABLE = "unreadable"
    UNEXPECTED = "unexpected"
    MERGED = "merged"
    BROKEN_GLASS = "broken glass"
    REMINDER = "reminder"
    SECOND_PERSON = "second person"
    LOGIN = "login"
    NOT_UNDERSTOOD = "not understood"
    PREVIEW = "preview"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Look:
    """One state as it is shown. `icon` is drawn in `colour` everywhere; `word` begins with capitals and may go on in
    small letters."""

    icon: str
    colour: Colour
    word: str

    def __str__(self) -> str:
        return f"{self.icon} {self.word}"

    def over(self, what: str) -> str:
        """The headline of a message: the state, then what is in it (mrkdwn that is already safe)."""
        return f"{self} · {what}"


SEVERITIES: Mapping[Severity, Look] = {
    Severity.CRITICAL: Look("🔴", Colour.RED, "CRITICAL"),
    Severity.MAJOR: Look("🟠", Colour.ORANGE, "MAJOR"),
    Severity.MINOR: Look("🟡", Colour.YELLOW, "MINOR"),
    Severity.WARNING: Look("🔵", Colour.BLUE, "WARNING"),
    Severity.INDETERMINATE: Look("⚪", Colour.GREY, "INDETERMINATE"),
}

PHASES: Mapping[Phase, Look] = {
    Phase.ACKNOWLEDGED: Look("🟣", Colour.PURPLE, "ACKNOWLEDGED"),
    Phase.CLEARED: Look("✅", Colour.GREEN, "CLEARED"),
}

MOODS: Mapping[Mood, Look] = {
    Mood.WAITING: Look("⚪", Colour.GREY, "NOT STARTED"),
    Mood.RUNNING: Look("🔵", Colour.BLUE, "RUNNING"),
    Mood.READY: Look("🟢", Colour.GREEN, "READY to promote"),
    Mood.HOLDING: Look("🟡", Colour.YELLOW, "WAITING"),
    Mood.HELD: Look("🟣", Colour.PURPLE, "ON HOLD"),
    Mood.PAUSED: Look("🟡", Colour.YELLOW, "PAUSED"),
    Mood.FAILED: Look("🔴", Colour.RED, "FAILED"),
    Mood.PROMOTING: Look("🔵", Colour.BLUE, "PROMOTING"),
    Mood.VERIFYING: Look("🔵", Colour.BLUE, "VERIFYING: finished, not all verified yet"),
    Mood.DONE: Look("✅", Colour.GREEN, "DONE: finished and verified"),
    Mood.UNVERIFIED: Look("⚠️", Colour.YELLOW, "UNVERIFIED: finished, not all verified"),
    Mood.STOPPED: Look("⚪", Colour.GREY, "STOPPED"),
    Mood.GONE: Look("⚪", Colour.GREY, "DELETED"),
}

HAWKBIT: Mapping[RolloutStatus, Look] = {
    RolloutStatus.CREATING: Look("⚪", Colour.GREY, "CREATING"),
    RolloutStatus.WAITING_FOR_APPROVAL: Look("🟡", Colour.YELLOW, "WAITING FOR APPROVAL"),
    RolloutStatus.APPROVAL_DENIED: Look("⚪", Colour.GREY, "APPROVAL DENIED"),
    RolloutStatus.READY: Look("⚪", Colour.GREY, "NOT STARTED"),
    RolloutStatus.STARTING: Look("🔵", Colour.BLUE, "STARTING"),
    RolloutStatus.RUNNING: Look("🔵", Colour.BLUE, "RUNNING"),
    RolloutStatus.PAUSED: Look("🟡", Colour.YELLOW, "PAUSED"),
    RolloutStatus.FINISHED: Look("🔵", Colour.BLUE, "FINISHED, not judged yet"),
    RolloutStatus.STOPPING: Look("⚪", Colour.GREY, "STOPPING"),
    RolloutStatus.STOPPED: Look("⚪", Colour.GREY, "STOPPED"),
    RolloutStatus.DELETING: Look("⚪", Colour.GREY, "DELETING"),
    RolloutStatus.DELETED: Look("⚪", Colour.GREY, "DELETED"),
    RolloutStatus.UNKNOWN: Look("⚪", Colour.GREY, "UNKNOWN"),
}
"""hawkBit's own word, where the bot has not judged: in lists."""

RUNS: Mapping[RunState, Look] = {
    RunState.RUNNING: Look("🔵", Colour.BLUE, "RUNNING"),
    RunState.DONE: Look("✅", Colour.GREEN, "DONE"),
    RunState.FAILED: Look("🔴", Colour.RED, "FAILED"),
    RunState.UNKNOWN: Look("⚪", Colour.GREY, "OUTCOME UNKNOWN"),
}

APPROVALS: Mapping[ApprovalPhase, Look] = {
    ApprovalPhase.OPEN: Look("🟡", Colour.YELLOW, "APPROVAL WANTED"),
    ApprovalPhase.AGREED: Look("🔵", Colour.BLUE, "AGREED: being carried out"),
    ApprovalPhase.DONE: Look("✅", Colour.GREEN, "DONE"),
    ApprovalPhase.FAILED: Look("🔴", Colour.RED, "NOT CARRIED OUT"),
    ApprovalPhase.DENIED: Look("⚪", Colour.GREY, "DENIED"),
    ApprovalPhase.WITHDRAWN: Look("⚪", Colour.GREY, "WITHDRAWN"),
    ApprovalPhase.EXPIRED: Look("⚪", Colour.GREY, "EXPIRED"),
}

VERDICTS: Mapping[Verdict, Look] = {
    Verdict.PASS: Look("🟢", Colour.GREEN, "PASS"),
    Verdict.HOLD: Look("🟡", Colour.YELLOW, "HOLD"),
    Verdict.FAIL: Look("🔴", Colour.RED, "FAIL"),
}
"""What a gate says, and a decision."""

DEVICES: Mapping[Presence, Look] = {
    Presence.ONLINE: Look("🟢", Colour.GREEN, "ONLINE"),
    Presence.OFFLINE: Look("🔴", Colour.RED, "OFFLINE"),
    Presence.UNKNOWN: Look("⚪", Colour.GREY, "UNKNOWN"),
}

NOTICES: Mapping[Notice, Look] = {
    Notice.AWAY: Look("⚠️", Colour.YELLOW, "AWAY"),
    Notice.BACK: Look("✅", Colour.GREEN, "BACK"),
    Notice.UNREADABLE: Look("⚠️", Colour.YELLOW, "UNREADABLE ALARM"),
    Notice.UNEXPECTED: Look("🚨", Colour.RED, "UNEXPECTED"),
    Notice.MERGED: Look("🔗", Colour.GREY, "MERGED"),
    Notice.BROKEN_GLASS: Look("🚨", Colour.RED, "BREAK GLASS"),
    Notice.REMINDER: Look("🟡", Colour.YELLOW, "STILL WAITS"),
    Notice.SECOND_PERSON: Look("⛔", Colour.RED, "NOT ALONE"),
    Notice.LOGIN: Look("🟡", Colour.YELLOW, "CONFIRM that it is you"),
    Notice.NOT_UNDERSTOOD: Look("⚠️", Colour.YELLOW, "NOT UNDERSTOOD"),
    Notice.PREVIEW: Look("🔵", Colour.BLUE, "PREVIEW: nothing is made yet"),
    Notice.IMPOSSIBLE: Look("⛔", Colour.RED, "CANNOT BE MADE"),
}


def look_of(incident: Incident) -> Look:
    """An open incident shows its severity, a later one its phase."""
    return PHASES.get(incident.phase, SEVERITIES[incident.severity])
