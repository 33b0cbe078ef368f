"""The app's Home tab: who the bot takes you for, what waits for you, what is open in your tenants, what you may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.approvals import Phase, Request
from core.ids import Tenant
from core.incidents import Incident
from core.messages.approval import approval_line, changes_text, decisions, evidence_text
from core.messages.blocks import Block, Button, Message, actions, context, divider, header, section
from core.messages.rights import Rights, rights_in_words
from core.messages.states import HAWKBIT, MOODS, look_of
from core.messages.text import ago, at, count, literal, mono
from core.messages.views import RUN_FORM, View, fitted
from core.rollouts.facts import RolloutFacts
from core.rollouts.views import Progress

REFRESH = "home-refresh"
"""The action_id of the button that reads everything anew."""
INCIDENTS_SHOWN = 10
ROLLOUTS_SHOWN = 10
WAITING_SHOWN = 8
MINE_SHOWN = REVIEWS_SHOWN = 5
RUNBOOKS_SHOWN = 20
TENANTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RolloutShown:
    """A rollout under way. `progress` is what the bot has judged of it, None where it does not follow it (yet)."""

    facts: RolloutFacts
    progress: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """What one person sees. `roles` are the realm's names by tenant, `rights` what those allow there.

    `waiting` and `reviews` are requests that the person may decide and sign, `mine` those they asked for. `runbooks`
    are (name, what it does, whether it changes the device). `missing` says in words what could not be read.
    """

    username: str
    email: str
    roles: Mapping[Tenant, Sequence[str]]
    rights: Mapping[Tenant, Rights]
    waiting: Sequence[Request]
    mine: Sequence[Request]
    reviews: Sequence[Request]
    incidents: Sequence[Incident]
    rollouts: Sequence[RolloutShown]
    missing: Sequence[str]
    runbooks: Sequence[tuple[str, str, bool]]
    read_at: datetime


def home(view: HomeView, said: Message | None = None) -> View:
    """`said`: what became of what the person has just done here."""
    blocks: list[Block] = [header("CDM ChatOps")]
    if said is not None:
        blocks += [*(said.blocks or (section(said.text),)), divider()]
    blocks += [
        section(f"You are *{literal(view.username, 80)}* ({literal(view.email or 'no e-mail', 120)}) in Keycloak."),
        _buttons(may_run=bool(view.runbooks)),
    ]
    for part in (_waiting(view), _reviews(view), _mine(view)):
        blocks += [divider(), *part] if part else []
    if view.roles:
        blocks += [divider(), *_incidents(view.incidents), divider(), *_rollouts(view)]
    blocks += [divider(), *_tenants(view)]
    if view.runbooks:
        blocks += [divider(), *_runbooks(view.runbooks)]
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


def _waiting(view: HomeView) -> list[Block]:
    """Each with what whoever agrees agrees to, and its buttons."""
    if not view.waiting:
        approves = any(rights.approves for rights in view.rights.values())
        return [section("✅ *Nothing waits for your approval.*")] if approves else []
    blocks = [section(f"*{count(len(view.waiting), 'request')} for you to decide*")]
    for one in view.waiting[:WAITING_SHOWN]:
        why = f"{approval_line(one)}\n{len(one.votes)} of {one.rule.quorum} agreed: {literal(one.reason, 300)}"
        buttons = [button for button, own in decisions(one) if not own]
        blocks += [section(why), context(evidence_text(one), changes_text(one)), actions(*buttons)]
    return [*blocks, *_more(len(view.waiting) - WAITING_SHOWN, "/cdm approvals")]


def _reviews(view: HomeView) -> list[Block]:
    blocks = [section(f"*{count(len(view.reviews), 'act')} past the second person, for you to review*")]
    for one in view.reviews[:REVIEWS_SHOWN]:
        blocks.append(section(f"{approval_line(one)}\n{literal(one.reason, 300)}\n{literal(one.said, 300)}"))
        blocks.append(actions(*(button for button, own in decisions(one) if not own)))
    return [*blocks, *_more(len(view.reviews) - REVIEWS_SHOWN, "/cdm approvals")] if view.reviews else []


def _mine(view: HomeView) -> list[Block]:
    blocks = [section("*Asked by you*")]
    for one in view.mine[:MINE_SHOWN]:
        counted = f"\n{len(one.votes)} of {one.rule.quorum} agreed" if one.phase is Phase.OPEN else ""
        blocks.append(section(approval_line(one) + counted))
        blocks.append(actions(*(button for button, own in decisions(one) if own)))
    return [*blocks, *_more(len(view.mine) - MINE_SHOWN, "/cdm approvals")] if view.mine else []


def _more(left: int, command: str) -> list[Block]:
    return [context(f"and {left} more: `{command}`")] if left > 0 else []


def _tenants(view: HomeView) -> list[Block]:
    """Tenants in which the person is the same stand together."""
    if not view.roles:
        nothing = "You have no role in any tenant here, so you may do nothing. Ask an administrator."
        return [section(f"*Your tenants*\n{nothing}")]
    alike: dict[str, list[Tenant]] = {}
    for tenant, names in view.roles.items():
        words = f": {', '.join(mono(name, 60) for name in names)}\n{rights_in_words(view.rights[tenant])}"
        alike.setdefault(words, []).append(tenant)
    blocks = [section("*Your tenants*")]
    for words, tenants in [*alike.items()][:TENANTS_SHOWN]:
        blocks.append(section(f"*{literal(', '.join(tenants), 600)}*{words}"))
    return [*blocks, *_more(len(alike) - TENANTS_SHOWN, "/cdm whoami")]


def _runbooks(books: Sequence[tuple[str, str, bool]]) -> list[Block]:
    lines = [
        f"{mono(name, 60)}  {literal(does, 120)}{' *Changes the device.*' if changes else ''}"
        for name, does, changes in books[:RUNBOOKS_SHOWN]
    ]
    head = f"*{count(len(books), 'runbook')} you may run*"
    return [section("\n".join([head, *lines])), *_more(len(books) - RUNBOOKS_SHOWN, "/cdm runbooks")]


def _incidents(incidents: Sequence[Incident]) -> list[Block]:
    if not incidents:
        return [section("✅ *No open incidents* in your tenants.")]
    shown = section("\n".join(_incident(one) for one in incidents[:INCIDENTS_SHOWN]))
    more = _more(len(incidents) - INCIDENTS_SHOWN, "/cdm alarms")
    return [section(f"*{count(len(incidents), 'open incident')}*"), shown, *more]


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
    shown = section("\n".join(_rollout(one) for one in view.rollouts[:ROLLOUTS_SHOWN]))
    more = _more(len(view.rollouts) - ROLLOUTS_SHOWN, "/cdm rollout list")
    return [section(f"*{count(len(view.rollouts), 'rollout')} under way*"), shown, *more]


def _rollout(one: RolloutShown) -> str:
    facts, progress = one.facts, one.progress
    name = f"*{literal(facts.name, 100)}*"
    if progress is None:
        return HAWKBIT[facts.status].over(f"{facts.counts.finished} of {facts.total} claimed by hawkBit, {name}")
    verified, errors = sum(bar.verified for bar in progress.bars), sum(bar.errors for bar in progress.bars)
    return MOODS[progress.mood].over(f"{verified} of {facts.total} verified, {name}, {count(errors, 'error')}")
