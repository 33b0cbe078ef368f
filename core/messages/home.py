"""The app's Home tab: who the bot takes you for, what is open in your tenants, and when that was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.ids import Tenant
from core.incidents import Incident
from core.messages.blocks import Block, Button, Message, actions, context, divider, header, section
from core.messages.states import HAWKBIT, MOODS, look_of
from core.messages.text import ago, at, count, literal, mono
from core.messages.views import RUN_FORM, View, fitted
from core.rollouts.facts import RolloutFacts
from core.rollouts.views import Progress

REFRESH = "home-refresh"
"""The action_id of the button that reads everything anew."""
INCIDENTS_SHOWN = 10
ROLLOUTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RolloutShown:
    """A rollout under way. `progress` is what the bot has judged of it, None where it does not follow it (yet)."""

    facts: RolloutFacts
    progress: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """What one person sees. `roles` are the realm's names by tenant; `missing` says in words what could not be read."""

    username: str
    email: str
    roles: Mapping[Tenant, Sequence[str]]
    incidents: Sequence[Incident]
    rollouts: Sequence[RolloutShown]
    missing: Sequence[str]
    may_run: bool
    read_at: datetime


def home(view: HomeView) -> View:
    blocks: list[Block] = [
        header("CDM ChatOps"),
        section(f"You are *{literal(view.username, 80)}* ({literal(view.email or 'no e-mail', 120)}) in Keycloak."),
        _buttons(may_run=view.may_run),
        divider(),
        section(_tenants(view.roles)),
    ]
    if view.roles:
        blocks += [divider(), *_incidents(view.incidents), divider(), *_rollouts(view)]
    if view.missing:
        blocks.append(context(*(f"⚠️ {literal(one, 300)}" for one in view.missing[:10])))
    blocks.append(context(f"Read {at(view.read_at)}."))
    return _home(blocks)


def home_notice(said: Message, read_at: datetime) -> View:
    """Words in place of everything else: nothing of any tenant is shown."""
    body = said.blocks or (section(said.text),)
    blocks = [header("CDM ChatOps"), *body, _buttons(may_run=False), context(f"As of {at(read_at)}.")]
    return _home(blocks)


def _home(blocks: Sequence[Block]) -> View:
    return {"type": "home", "blocks": fitted(blocks)}


def _buttons(*, may_run: bool) -> Block:
    refresh = Button(REFRESH, "Refresh")
    return actions(Button(RUN_FORM, "Run a runbook", style="primary"), refresh) if may_run else actions(refresh)


def _tenants(roles: Mapping[Tenant, Sequence[str]]) -> str:
    if not roles:
        return "*Your tenants*\nYou have no role in any tenant here, so you may do nothing. Ask an administrator."
    lines = [f"*{literal(t, 60)}*: {', '.join(mono(name, 60) for name in names)}" for t, names in roles.items()]
    return "*Your tenants*\n" + "\n".join(lines)


def _incidents(incidents: Sequence[Incident]) -> list[Block]:
    if not incidents:
        return [section("✅ *No open incidents* in your tenants.")]
    shown = [section("\n".join(_incident(one) for one in incidents[:INCIDENTS_SHOWN]))]
    if len(incidents) > INCIDENTS_SHOWN:
        shown.append(context(f"and {len(incidents) - INCIDENTS_SHOWN} more: `/cdm alarms`"))
    return [section(f"*{count(len(incidents), 'open incident')}*"), *shown]


def _incident(one: Incident) -> str:
    devices = len({member.originator_id for member in one.active})
    which = mono(one.newest.shown_as, 80) if devices <= 1 else count(devices, "device")
    opened = datetime.fromtimestamp(one.opened_ms / 1000, UTC)
    thing = look_of(one).over(f"*{which}* {literal(one.type, 80)}")
    return f"{thing}, {literal(one.tenant, 60)}, {ago(opened)} {mono(one.id, 40)}"


def _rollouts(view: HomeView) -> list[Block]:
    if not view.rollouts:
        unread = "what could be read of " if view.missing else ""
        return [section(f"*No rollout under way* in {unread}your tenants.")]
    shown = [section("\n".join(_rollout(one) for one in view.rollouts[:ROLLOUTS_SHOWN]))]
    if len(view.rollouts) > ROLLOUTS_SHOWN:
        shown.append(context(f"and {len(view.rollouts) - ROLLOUTS_SHOWN} more: `/cdm rollout list`"))
    return [section(f"*{count(len(view.rollouts), 'rollout')} under way*"), *shown]


def _rollout(one: RolloutShown) -> str:
    facts, progress = one.facts, one.progress
    name = f"*{literal(facts.name, 100)}*"
    if progress is None:
        return HAWKBIT[facts.status].over(f"{facts.counts.finished} of {facts.total} claimed by hawkBit, {name}")
    verified, errors = sum(bar.verified for bar in progress.bars), sum(bar.errors for bar in progress.bars)
    return MOODS[progress.mood].over(f"{verified} of {facts.total} verified, {name}, {count(errors, 'error')}")
