"""Private answers to commands: help, who you are, one device, the runbooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.access import Action, Authority
from core.commands import FORMS, Form, NotUnderstood
from core.devices import DeviceFacts, Reading
from core.ids import Stack, Tenant
from core.messages.blocks import Block, Message, compose, context, fields, section
from core.messages.states import DEVICES, NOTICES, Notice, Presence
from core.messages.text import ago, at, count, escape, links, literal, mono
from core.rollouts.facts import TargetFacts

DEVICE_KEYS = ("sw_version", "rauc_slot", "ota_status", "ota_error")
"""The telemetry keys CDM devices send about updates."""

_PHRASES: Mapping[Action, str] = {
    Action.ONCALL: "take an on-call shift",
    Action.RUN_READ_ONE: "run a runbook that only reads, on one device",
    Action.RUN_READ_MANY: "run a runbook that only reads, on many devices",
    Action.RUN_CHANGE_ONE: "run a runbook that changes one device",
    Action.RUN_CHANGE_MANY: "run a runbook that changes many devices",
    Action.CREATE: "create rollouts",
    Action.EXCLUDE: "exclude devices",
    Action.CANCEL_ACTION: "cancel actions",
    Action.CONTINUE_FAILED: "continue past a failed gate",
    Action.ROLLBACK: "roll back",
    Action.OVERRIDE_FREEZE: "override a freeze",
    Action.INVALIDATE: "invalidate a set",
    Action.LINK_OTHERS: "link others",
    Action.EDIT_POLICY: "edit policies",
    Action.DELETE_ROLLOUT: "delete a rollout",
    Action.AUDIT_VERIFY: "verify the audit log",
    Action.MAINTAIN: "change the bot itself",
}
_RISKS: Mapping[str, str] = {"read": "(only reads)", "change": "(*changes the device*)"}


def in_words(action: Action) -> str:
    """The action as a person says it."""
    return _PHRASES.get(action, action.value)


@dataclass(frozen=True, slots=True)
class DeviceView:
    """Everything `/cdm device` shows. `target` is None where hawkBit does not know the device or did not answer;
    `missing` says in words what could not be read."""

    facts: DeviceFacts
    stack: Stack
    tenant: Tenant
    address: str | None
    target: TargetFacts | None
    alarms: Sequence[str]
    links: Mapping[str, str]
    missing: Sequence[str] = ()


def help_message() -> Message:
    """Every command, those about rollouts apart: they are many."""
    rollouts = [form for form in FORMS if form.words[0] == "rollout"]
    others = [form for form in FORMS if form not in rollouts]
    head = "*What I understand*"
    return compose(head, section(f"{head}\n{_usages(others)}"), section(f"*Rollouts*\n{_usages(rollouts)}"))


def not_understood(answer: NotUnderstood) -> Message:
    head = NOTICES[Notice.NOT_UNDERSTOOD].over(f"{literal(answer.problem, 300)}.")
    usages = "\n".join(f"`{escape(usage)}`" for usage in answer.nearest)
    return compose(head, section(head), section(f"Did you mean\n{usages}"))


def device_message(view: DeviceView) -> Message:
    """One device at a glance: online, alarms, version, slot, update status, address, sets."""
    facts = view.facts
    presence = {True: Presence.ONLINE, False: Presence.OFFLINE, None: Presence.UNKNOWN}[facts.active]
    what = f"{DEVICES[presence].over(mono(facts.name, 120))}\n{' · '.join(_numbers(view, presence))}"
    blocks: list[Block] = [section(what)]
    if view.alarms:
        blocks.append(section("\n".join(f"• {literal(a, 200)}" for a in view.alarms)))
    blocks.append(
        fields(
            ("Running version", _reading(facts.readings.get("sw_version"))),
            ("Booted slot", _reading(facts.readings.get("rauc_slot"))),
            ("Update status", _update_status(facts.readings)),
            ("VPN address", mono(view.address, 60) if view.address else "not set"),
            ("hawkBit: assigned", _set(view.target.assigned if view.target else None)),
            ("hawkBit: installed", _set(view.target.installed if view.target else None)),
            ("hawkBit: last poll", at(view.target.last_poll_at) if view.target and view.target.last_poll_at else "-"),
        )
    )
    if view.missing:
        blocks.append(context(*(f"⚠️ {literal(m, 300)}" for m in view.missing)))
    names = {"device": facts.name, "tenant": view.tenant, "stack": view.stack, "originator": facts.id}
    if shown := links(view.links, names):
        blocks.append(context(*shown))
    return compose(what, *blocks)


def whoami_message(authority: Authority, able: Mapping[Tenant, Sequence[Action]], path: Sequence[str]) -> Message:
    """Who the bot takes a person for, what they may do in each tenant, and by which steps that comes about."""
    head = f"You are *{literal(authority.username, 80)}* ({literal(authority.email or 'no e-mail', 120)}) in Keycloak."
    if not able:
        nothing = "You have no role in any tenant here, so you may do nothing. Ask an administrator."
        return compose(head, section(head), section(nothing), _steps(path))
    lines = [f"*{literal(t, 60)}*: {', '.join(map(in_words, acts))}" for t, acts in able.items()]
    return compose(
        head, section(head), section("\n".join(lines)), _steps(path), context(f"Read {at(authority.read_at)}.")
    )


def runbooks_message(books: Iterable[tuple[str, str, str, str]]) -> Message:
    """`books` are (name, usage, risk, what it does)."""
    lines = [f"`/cdm run {escape(usage)}`  {literal(does, 200)} {_RISKS[risk]}" for _, usage, risk, does in books]
    head = f"*{count(len(lines), 'runbook')}*"
    return compose(head, section("\n".join([head, *lines])))


def fresh_error(readings: Mapping[str, Reading]) -> str | None:
    """The update error, unless it is older than the status: ThingsBoard keeps the old text when null is sent."""
    status, error = readings.get("ota_status"), readings.get("ota_error")
    if error is None or not error.value or (status is not None and error.at < status.at):
        return None
    return error.value


def _steps(path: Sequence[str]) -> Block:
    return section("*How this comes about*\n" + "\n".join(f"• {literal(step, 350)}" for step in path))


def _usages(forms: Iterable[Form]) -> str:
    return "\n".join(f"`{escape(form.usage)}`  {escape(form.does)}" for form in forms)


def _numbers(view: DeviceView, presence: Presence) -> list[str]:
    active = count(len(view.alarms), "active alarm") if view.alarms else "no active alarms"
    seen = view.facts.last_activity_at
    heard = f"{presence.value}, last activity {at(seen)} ({ago(seen)})" if seen else presence.value
    return [f"*{active}*", heard, f"{literal(view.tenant, 60)} on {literal(view.stack, 60)}"]


def _update_status(readings: Mapping[str, Reading]) -> str:
    status = readings.get("ota_status")
    if status is None:
        return "-"
    error = fresh_error(readings)
    return _reading(status) + (f"\n{literal(error, 300)}" if error and status.value == "failure" else "")


def _reading(reading: Reading | None) -> str:
    return f"{mono(reading.value, 80)} {at(reading.at)}" if reading else "never sent"


def _set(found: object | None) -> str:
    return mono(str(found), 120) if found else "none"
