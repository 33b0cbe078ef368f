"""One message of each kind, as docs/messages.md shows them, and a message as plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.alarms.facts import Severity
from core.commands import NotUnderstood
from core.devices import DeviceFacts, Reading
from core.ids import AlarmId, DeviceName, IncidentId, Stack, Subject, Tenant
from core.incidents import Incident, Member
from core.messages.answers import DeviceView, device_message, not_understood
from core.messages.blocks import Message
from core.messages.incident import away_message, incident_message
from core.messages.incident_list import incident_list_message
from core.messages.keycloak import keycloak_away_message
from core.messages.reboot import reboot_message
from core.messages.rollout import rollout_alarm, rollout_message
from core.messages.rollout_list import RolloutLine, rollout_list_message
from core.messages.run import RunState, RunView, run_message
from core.messages.stuck import stuck_message
from core.messages.why import Past, WhyView, why_message
from core.ota import PastAction, UpdateStory
from core.rollouts.actors import ActorKind, person
from core.rollouts.decide import decide_on
from core.rollouts.facts import Counts, DistributionSet, TargetFacts
from core.rollouts.kept import Moment, moment
from core.rollouts.reboot import Reboot, Step, StepState
from core.rollouts.views import Bar, Mood, Progress
from core.rollouts.work import Stuck, Sweep, Trouble
from tests.unit.core.approval_samples import APPROVAL_SAMPLES
from tests.unit.core.release_samples import RELEASE_SAMPLES
from tests.unit.core.rollouts.cases import Case, verified

NOW = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)
EU1, A = Stack("eu1"), Tenant("customer-a")
LINKS = {"ThingsBoard": "https://thingsboard.example/devices/{device}"}
_SIGNATURE = "bundle signature verification failed"


def ms(minutes_ago: float) -> int:
    return int((NOW - timedelta(minutes=minutes_ago)).timestamp() * 1000)


def member(number: int, **more: Any) -> Member:
    made = Member(
        alarm_id=AlarmId(f"alarm-{number:03}"),
        originator_id=f"originator-{number:03}",
        device=DeviceName(f"a-gw-{number:03}"),
        label=None,
        severity=Severity.CRITICAL,
        acknowledged=False,
        cleared=False,
        deleted=False,
        created_ms=ms(3),
        ack_ms=0,
        clear_ms=0,
        heard_ms=ms(3),
        note=_SIGNATURE,
    )
    return replace(made, **more)


def incident(*members: Member, **more: Any) -> Incident:
    made = Incident(
        id=IncidentId("i0c1e2d3f4a5b6c7d8e9f"),
        stack=EU1,
        tenant=A,
        type="OTA Failure",
        grouped=len(members) > 1,
        opened_ms=ms(3),
        joined_ms=ms(1),
        members={one.alarm_id: one for one in members},
    )
    return replace(made, **more)


OPEN = incident(member(7))
STORY = UpdateStory(
    asked_ms=ms(3),
    rollout="release-1.1.0",
    group=1,
    groups=3,
    group_name="canary",
    actions=(PastAction("edge:1.1.0", "error", ms(25)), PastAction("edge:1.0.0", "finished", ms(300))),
    last_error=f"Installation error: Failed updating slot rootfs.1: {_SIGNATURE}",
)
UPDATE = incident(member(7), update=STORY)
NOT_READ = incident(member(7), update=UpdateStory(ms(3), problem="hawkBit eu1 does not answer."))
ACKNOWLEDGED = incident(member(7, acknowledged=True, ack_ms=ms(1), acked_by="bob", assignee="bob"))
CLEARED = incident(member(7, cleared=True, clear_ms=ms(1), cleared_by="bob"))
MANY = incident(
    *(member(number) for number in range(10, 39)),
    *(member(number, acknowledged=True, ack_ms=ms(1), acked_by="bob") for number in range(39, 49)),
    *(member(n, acknowledged=True, ack_ms=ms(1), acked_by="bob", note="no space left on device") for n in (60, 62)),
    *(member(number, cleared=True, clear_ms=ms(1)) for number in (50, 51, 55)),
)
MERGED = replace(OPEN, part_of=IncidentId("ifedcba98765432100000"))
KNOWN_MANY = incident(*(member(number, acknowledged=True, ack_ms=ms(1), acked_by="bob") for number in range(10, 48)))
OVER_MANY = incident(*(member(number, cleared=True, clear_ms=ms(1)) for number in range(10, 48)))


def bar(number: int, name: str, status: str, total: int, verified: int = 0, claimed: int = 0, **more: Any) -> Bar:
    counts: dict[str, Any] = {"awaiting": 0, "refuted": 0, "unknown": 0, "errors": 0, "open": 0, "excluded": 0} | more
    return Bar(number, name, status, total, verified, claimed, **counts, known=status != "scheduled")


EARLY, REST = bar(2, "early", "scheduled", 125), bar(3, "rest", "scheduled", 350)
PROGRESS = Progress(
    stack="eu1",
    rollout=17,
    name="release-1.1.0",
    set_name="edge:1.1.0",
    mood=Mood.READY,
    owned=True,
    auto=False,
    bars=(bar(1, "canary", "finished", 25, 24, 25, awaiting=1), EARLY, REST),
    reasons=(),
    next_number=2,
    next_total=125,
    can_promote=True,
    can_pause=False,
    can_resume=False,
    can_hold=True,
    can_unhold=False,
    can_stop=True,
    running=0,
    read_at=NOW,
)
RUNNING = replace(
    PROGRESS,
    mood=Mood.RUNNING,
    auto=True,
    bars=(
        bar(1, "canary", "finished", 25, 25, 25),
        bar(2, "early", "running", 125, 40, 61, open=64, awaiting=21),
        REST,
    ),
    reasons=("hawkBit is still installing the started group",),
    next_number=3,
    next_total=350,
    can_promote=False,
    can_pause=True,
    running=64,
)
FAILED = replace(
    PROGRESS,
    mood=Mood.FAILED,
    auto=True,
    bars=(
        bar(
            1,
            "canary",
            "running",
            25,
            18,
            22,
            refuted=2,
            errors=3,
            awaiting=2,
            refuted_names=("a-gw-003", "a-gw-007"),
            awaiting_names=("a-gw-011", "a-gw-012"),
            awaiting_until=NOW + timedelta(hours=1),
        ),
        EARLY,
        REST,
    ),
    reasons=("3 errors, 1 allowed", "95 % can no longer be reached: at best 20 of 25 (80 %)"),
    can_promote=False,
)
ALARMED = replace(
    RUNNING,
    bars=(
        RUNNING.bars[0],
        replace(RUNNING.bars[1], alarmed=2, alarmed_names=("a-gw-031", "a-gw-044")),
        REST,
    ),
)
NOT_STARTED = replace(
    PROGRESS,
    mood=Mood.WAITING,
    bars=(bar(1, "canary", "scheduled", 25), EARLY, REST),
    reasons=("no group has started yet",),
    next_number=None,
    next_total=0,
    can_promote=False,
    can_start=True,
    can_stop=False,
)
HELD = replace(
    PROGRESS, mood=Mood.HELD, auto=True, reasons=("on hold by bob: lunch",), can_promote=False, can_hold=False,
    can_unhold=True,
)  # fmt: skip
PAUSED = replace(PROGRESS, mood=Mood.PAUSED, reasons=("bob paused it",), can_promote=False, can_resume=True)
DONE = replace(
    PROGRESS,
    mood=Mood.DONE,
    auto=True,
    bars=tuple(bar(n, name, "finished", of, of, of) for n, name, of in ((1, "canary", 25), (2, "early", 125))),
    next_number=None,
    next_total=0,
    can_promote=False,
    can_hold=False,
    can_stop=False,
)

WAITING_FOR_BOOT = replace(
    PROGRESS,
    mood=Mood.HOLDING,
    auto=True,
    bars=(
        bar(
            1, "canary", "running", 25, 21, 25, awaiting=4, awaiting_until=NOW + timedelta(hours=1),
            awaiting_names=("a-gw-003", "a-gw-007", "a-gw-011", "a-gw-012"),
        ),
        EARLY,
        REST,
    ),
    reasons=("21 of 25 verified, 95 % needed (4 await a reboot, 0 unknown, 0 refuted)",),
    can_promote=False,
    can_reboot=4,
)  # fmt: skip
CLAIMED = replace(PROGRESS, bars=(bar(1, "canary", "finished", 25, 25, 25, by_claims=True), EARLY, REST), auto=True)
_TO_BOOT = tuple(Step(DeviceName(f"a-gw-{n:03}"), A) for n in (3, 7, 11, 12))
REBOOTING = Reboot(
    id="5f8e2b7e0c1d4c43",
    by=person(Subject("sub-bob"), "bob"),
    reason="they wait (approved by alice, request 234567)",
    at=NOW,
    until=NOW + timedelta(minutes=30),
    steps=_TO_BOOT,
).with_steps(replace(_TO_BOOT[0], state=StepState.BACK), *(replace(one, state=StepState.SENT) for one in _TO_BOOT[1:3]))
REBOOTED = REBOOTING.with_steps(
    *(replace(one, state=StepState.BACK) for one in _TO_BOOT[1:3]),
    replace(_TO_BOOT[3], state=StepState.NOT_DONE, why="nothing was sent: a-gw-012 takes no SSH connection."),
)
STUCK = replace(
    PROGRESS,
    mood=Mood.RUNNING,
    bars=(bar(1, "canary", "running", 25, 23, 23, open=2), EARLY, REST),
    reasons=("hawkBit is still installing the started group",),
    can_promote=False,
    can_pause=True,
    running=2,
    excludable=2,
    stuck=2,
    stuck_words="1 never heard of, 1 silent",
)
LEFT_OPEN = replace(
    DONE,
    mood=Mood.VERIFYING,
    bars=(bar(1, "canary", "finished", 24, 24, 24, excluded=1, excluded_names=("a-gw-009",)),
          bar(2, "rest", "error", 90, 36, 36, errors=24, open=30)),
    running=30,
    cancelable=30,
    catchable=1,
    stuck=3,
    stuck_words="2 not back from the install, 1 excluded and back",
)  # fmt: skip
SWEEP = Sweep(
    NOW - timedelta(minutes=1),
    (
        Stuck(DeviceName("a-gw-003"), 1, Trouble.SILENT, NOW - timedelta(hours=26), 703),
        Stuck(DeviceName("a-gw-007"), 1, Trouble.SOFT, NOW - timedelta(hours=3), 707),
        Stuck(DeviceName("a-gw-008"), 1, Trouble.NOT_BACK, NOW - timedelta(hours=2)),
        Stuck(DeviceName("a-gw-009"), 1, Trouble.EXCLUDED_NEW, None),
    ),
    ((Trouble.SILENT, 1), (Trouble.SOFT, 1), (Trouble.NOT_BACK, 1), (Trouble.EXCLUDED_NEW, 1)),
)


def _decided(case: Case, minutes_ago: float) -> Moment:
    inputs = case.inputs(ActorKind.SCHEDULER)
    return replace(
        moment(inputs, decide_on(inputs)), at=NOW - timedelta(minutes=minutes_ago), policy_hash="3f1c0a94e2b7d856"
    )


_FEW = Case(evidence=verified(23, 25)).first(counts=Counts(finished=24, running=1))
WHY = WhyView(
    stack="eu1",
    rollout=17,
    name="release-1.1.0",
    moment=_decided(Case(), 1),
    earlier=[Past(1, _decided(_FEW, 4)), Past(2, _decided(_FEW.but(evidence=verified(9, 25)), 9))],
    before="1764237840000-0",
    newest=True,
)

RUN = RunView(
    title="RAUC slots",
    device="a-gw-007",
    by="bob",
    started_at=NOW,
    state=RunState.DONE,
    argv="rauc status --detailed --output-format=json",
    summary="Runs slot A (rootfs.0), marked good.",
    lines=("slot A  rootfs.0  booted  good", "slot B  rootfs.1  inactive  bad"),
)
RUN_FAILED = replace(
    RUN, state=RunState.FAILED, summary="", lines=(), problem="a-gw-007 does not answer. Nothing was run."
)

DEVICE = DeviceView(
    facts=DeviceFacts(
        name=DeviceName("a-gw-007"),
        id="5edbcff0-e7ca-11f1-a347-000000000007",
        tenant=A,
        label=None,
        active=False,
        last_activity_at=NOW - timedelta(minutes=4),
        readings={
            "sw_version": Reading("1.0.0", NOW - timedelta(minutes=4)),
            "rauc_slot": Reading("A", NOW - timedelta(minutes=4)),
            "ota_status": Reading("failure", NOW - timedelta(minutes=5)),
            "ota_error": Reading(_SIGNATURE, NOW - timedelta(minutes=5)),
        },
        attributes={},
    ),
    stack=EU1,
    tenant=A,
    address="10.8.0.7",
    target=TargetFacts(
        device=DeviceName("a-gw-007"),
        update_status="error",
        last_poll_at=NOW - timedelta(minutes=4),
        assigned=DistributionSet(2, "edge", "1.1.0", locked=True, valid=True),
        installed=DistributionSet(1, "edge", "1.0.0", locked=True, valid=True),
        address=None,
    ),
    alarms=("OTA Failure (critical)",),
    links=LINKS,
)

SAMPLES: Mapping[str, Message] = {
    "incident-single": incident_message(OPEN, LINKS),
    "incident-update": incident_message(UPDATE, LINKS),
    "incident-update-not-read": incident_message(NOT_READ, LINKS),
    "incident-acknowledged": incident_message(ACKNOWLEDGED, LINKS),
    "incident-cleared": incident_message(CLEARED, LINKS),
    "incident-many": incident_message(MANY, {}),
    "incident-merged": incident_message(MERGED, LINKS),
    "rollout": rollout_message(PROGRESS),
    "rollout-running": rollout_message(RUNNING),
    "rollout-ready": rollout_message(NOT_STARTED),
    "rollout-failed": rollout_message(FAILED),
    "rollout-alarms": rollout_message(ALARMED),
    "rollout-held": rollout_message(HELD),
    "rollout-paused": rollout_message(PAUSED),
    "rollout-done": rollout_message(DONE),
    "rollout-reboot": rollout_message(WAITING_FOR_BOOT),
    "rollout-claims": rollout_message(CLAIMED),
    "reboot-running": reboot_message("release-1.1.0", REBOOTING),
    "reboot": reboot_message("release-1.1.0", REBOOTED),
    "rollout-stuck": rollout_message(STUCK),
    "rollout-left-open": rollout_message(LEFT_OPEN),
    "stuck-list": stuck_message("release-1.1.0", "eu1", 17, SWEEP, named=True),
    "why": why_message(WHY),
    "why-waits": why_message(replace(WHY, moment=_decided(_FEW, 4), earlier=(), before="", newest=False)),
    "run": run_message(RUN),
    "run-failed": run_message(RUN_FAILED),
    "device": device_message(DEVICE),
    "incident-list": incident_list_message([OPEN, replace(MANY, id=IncidentId("i11111111111111111111"))], [A]),
    "rollout-list": rollout_list_message([RolloutLine("eu1", "release-1.1.0", "running", 86, 0, 500)], ()),
    "unexpected": rollout_alarm(
        "eu1", "release-1.1.0", "group 3 is running, but only group 2 was meant to start. The bot holds the rollout."
    ),
    "away": away_message(EU1, A, NOW - timedelta(minutes=5), "no answer within 5 s", None),
    "keycloak-away": keycloak_away_message(
        "cdm", NOW - timedelta(minutes=5), "Keycloak was not reached when checking whether people can be read.", None
    ),
    "keycloak-back": keycloak_away_message("cdm", NOW - timedelta(minutes=12), "", NOW),
    "not-understood": not_understood(
        NotUnderstood("there is no command 'rollot status'", ("/cdm rollout status [name]",))
    ),
    **APPROVAL_SAMPLES,
    **RELEASE_SAMPLES,
}

_DATE = re.compile(r"<!date\^(\d+)\^([^|]*)\|[^>]*>")


def as_text(message: Message) -> str:
    """The blocks as docs/messages.md prints them: mrkdwn as it is, times as a reader in UTC sees them at `NOW`, then
    buttons, the menu, and what is asked before a button acts."""
    return "\n".join(line for block in message.blocks for line in _lines(block))


def notification(message: Message) -> str:
    """What a phone shows of it: one line, nothing formatted."""
    return re.sub(r"[*`]", "", _times(message.text)).replace("\n", " ")


def _lines(block: Mapping[str, Any]) -> list[str]:
    if block["type"] == "actions":
        pressed = [part for part in block["elements"] if part["type"] == "button"]
        asked = [part for part in pressed if "confirm" in part]
        return ["  ".join(map(_pressed, block["elements"])), *map(_asked, asked)]
    if block["type"] == "context":
        return ["  ".join(_times(part["text"]) for part in block["elements"])]
    if "fields" in block:
        return [": ".join(_times(part["text"]).split("\n")) for part in block["fields"]]
    lines = _times(block.get("text", {}).get("text", "")).split("\n")
    if (beside := block.get("accessory")) is None:
        return lines
    return [*lines[:-1], f"{lines[-1]}  {_pressed(beside)}", *([_asked(beside)] if "confirm" in beside else [])]


def _pressed(part: Mapping[str, Any]) -> str:
    if part["type"] == "overflow":
        return f"[⋯ {' | '.join(option['text']['text'] for option in part['options'])}]"
    mark = {"primary": "▸ ", "danger": "! "}.get(part.get("style", ""), "")
    return f"[{mark}{part['text']['text']}]"


def _asked(part: Mapping[str, Any]) -> str:
    title, text, yes, no = (part["confirm"][name]["text"] for name in ("title", "text", "confirm", "deny"))
    return f"    {part['text']['text']} asks: {title} | {text} | [{yes}] [{no}]"


def _times(text: str) -> str:
    def shown(found: re.Match[str]) -> str:
        at = datetime.fromtimestamp(int(found[1]), UTC)
        if found[2] == "{ago}":
            minutes = int((NOW - at).total_seconds() // 60)
            return f"{minutes} minutes ago"
        return f"today {at:%H:%M}"

    return _DATE.sub(shown, text)
