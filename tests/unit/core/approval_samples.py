"""Requests for a second person in each state, and what is told privately: the mock-ups of docs/messages.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.access import Action, Role
from core.approvals import (
    Kind,
    Order,
    Party,
    Phase,
    Request,
    Rule,
    agree,
    agreed_alone,
    ask,
    deny,
    expire,
    finish,
    refresh,
    sign,
    withdraw,
)
from core.evidence import Evidence
from core.ids import ApprovalId, Channel, Stack, Subject, Tenant
from core.messages.approval import (
    approval_list_message,
    approval_message,
    asked_message,
    glass_message,
    login_message,
    needs_second_message,
    reminder_message,
    told_message,
)
from core.messages.blocks import Message

NOW = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)
BOB = Party(Subject("s-bob"), "bob", "T1/UBOB")
ALICE = Party(Subject("s-alice"), "alice", "T1/UALICE")
HEIDI = Party(Subject("s-heidi"), "heidi", "T1/UHEIDI")
GRACE = Party(Subject("s-grace"), "grace", "cli/s-grace")

STOP = Order(
    action=Action.STOP,
    object="rollout:eu1/17",
    title="Stop release-1.1.0 on eu1 for good",
    params={"verb": "stop", "stack": "eu1", "rollout": "17"},
    stack=Stack("eu1"),
    tenants=frozenset({Tenant("customer-a")}),
    channel=Channel("C0ROLLOUTS"),
    devices=475,
)
CONTINUE = replace(
    STOP,
    action=Action.CONTINUE_FAILED,
    title="Start group 2 of release-1.1.0 on eu1 past its failed gates",
    params={"verb": "continue", "stack": "eu1", "rollout": "17", "group": "2"},
    tenants=frozenset({Tenant("customer-a"), Tenant("customer-b")}),
    devices=125,
)
FACTS = Evidence(
    {
        "rollout": "release-1.1.0 (eu1/17)",
        "set": "edge:1.1.0 (2)",
        "groups started": "1 of 3",
        "devices of the next group": tuple(f"a-gw-{number:03}" for number in range(101, 226)),
        "objections": (),
        "refuted devices": ("a-gw-003", "a-gw-007"),
        "failed devices": (),
    }
)
WORSE = Evidence({**FACTS.facts, "failed devices": ("a-gw-011",), "objections": ("errors: too_many",)})
_STOPPED = "Stopped for good. 475 devices not started yet get nothing."


def asked(order: Order = STOP, quorum: int = 1, evidence: Evidence = FACTS) -> Request:
    rule = Rule(quorum=quorum)
    return ask(ApprovalId("k7m2p9"), order, BOB, "the bundle bricks slot B", evidence, rule, minutes(9))


def minutes(ago: float) -> datetime:
    return NOW - timedelta(minutes=ago)


def agreed(request: Request, *by: Party) -> Request:
    for number, one in enumerate(by):
        request, _ = agree(request, one, request.evidence.digest, request.evidence, minutes(3 - number))
    return request


def alone(kind: Kind, by: Party) -> Request:
    id, reason = ApprovalId("g4n8qz"), "nobody else answers and slot B is being bricked"
    return agreed_alone(id, kind, STOP, by, reason, FACTS, Rule(), minutes(9), minutes(9))


OPEN = asked()
HALF = agreed(asked(CONTINUE, quorum=2, evidence=WORSE), ALICE)
AGREED = agreed(OPEN, ALICE)
CHANGED = refresh(HALF, Evidence({**WORSE.facts, "failed devices": ("a-gw-011", "a-gw-012", "a-gw-013")}))
DONE = finish(AGREED, Phase.DONE, _STOPPED, minutes(2))
FAILED = finish(
    AGREED,
    Phase.FAILED,
    "Nothing was done, since the rights of bob do not hold any more: the role is missing.",
    minutes(2),
)
DENIED, _ = deny(OPEN, ALICE, "the gateway team is on it", minutes(4))
WITHDRAWN, _ = withdraw(OPEN, BOB, minutes(4))
EXPIRED = expire(replace(OPEN, at=minutes(242), expires_at=minutes(2)), minutes(2))
GLASS = alone(Kind.BREAK_GLASS, ALICE)
GLASS_DONE = finish(GLASS, Phase.DONE, _STOPPED, minutes(8))
GLASS_SIGNED, _ = sign(GLASS_DONE, HEIDI, minutes(1))
ALONE = finish(alone(Kind.ALONE, ALICE), Phase.DONE, _STOPPED, minutes(8))
PLATFORM = replace(OPEN, by=GRACE, rule=replace(Rule(), least=Role.PLATFORM_ADMIN))

APPROVAL_SAMPLES: Mapping[str, Message] = {
    "approval": approval_message(OPEN),
    "approval-half": approval_message(HALF),
    "approval-changed": approval_message(CHANGED),
    "approval-agreed": approval_message(AGREED),
    "approval-done": approval_message(DONE),
    "approval-failed": approval_message(FAILED),
    "approval-denied": approval_message(DENIED),
    "approval-withdrawn": approval_message(WITHDRAWN),
    "approval-expired": approval_message(EXPIRED),
    "approval-alone": approval_message(ALONE),
    "glass-told": glass_message(GLASS),
    "glass-under-review": approval_message(GLASS_DONE),
    "glass-signed": approval_message(GLASS_SIGNED),
    "approval-reminder": reminder_message(OPEN),
    "not-alone": needs_second_message(
        "*Stop a rollout* needs a second person: it is done once somebody else has approved it. With the role "
        "`cdm-admin` it can be done alone. Who can help: alice, heidi.",
        "stop:eu1/17|Stop release-1.1.0 on eu1 for good",
        "/cdm ask stop <rollout> <reason>",
        glass=False,
    ),
    "not-alone-glass": needs_second_message(
        "*Continue past a failed gate* needs a second person: it is done once somebody else has approved it. Who can "
        "help: heidi.",
        "continue:eu1/17/2|Start group 2 of release-1.1.0 on eu1 past its failed gates",
        "/cdm ask continue <rollout> <reason>",
        glass=True,
    ),
    "login": login_message(f"Approve: {CONTINUE.title}", "https://bot.example/confirm/s3cr3t", 5),
    "approval-asked": asked_message(OPEN, again=False),
    "approval-asked-before": asked_message(OPEN, again=True),
    "approval-told": told_message(DENIED),
    "approval-told-changed": told_message(CHANGED),
    "approval-list": approval_list_message([HALF], [OPEN], [GLASS_DONE]),
}
