"""`/cdm …`: each command calls one use case and answers the person privately."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from core.commands import FORMS, Command, NotUnderstood, parse
from core.errors import NotFound, OutsideError, Refused
from core.ids import DeviceName, Tenant
from core.messages.answers import (
    DEVICE_KEYS,
    DeviceView,
    device_message,
    help_message,
    not_understood,
    runbooks_message,
    whoami_message,
)
from core.messages.blocks import Message, compose, section
from core.messages.incident_list import incident_list_message
from core.messages.rollout import rollout_message
from core.messages.rollout_list import RolloutLine, rollout_list_message
from core.messages.text import literal, plain, unescape
from core.rollouts.facts import RolloutFacts
from flows.audit_desk import AuditDesk
from flows.gate import Gate
from flows.incident_desk import IncidentDesk
from flows.linking.door import LinkDoor
from flows.linking.ports import Place
from flows.links import LinkDesk
from flows.orders import RolloutOrders
from flows.policy_desk import PolicyDesk
from flows.rollouts.why import WhyDesk
from flows.runs import RunRequest, Runs
from flows.stuck_desk import StuckDesk
from flows.world import Found, StackWorld, World
from handlers.slack.approvals import ApprovalDesk
from handlers.slack.release_form import ReleaseForms
from handlers.slack.requests import Typed
from handlers.slack.run_form import FormDesk
from runbooks import Catalog

SHOWN_ROLLOUTS = 3


class Commands:
    """Answers a typed command. What a person may not see does not exist for them."""

    def __init__(
        self,
        *,
        gate: Gate,
        world: World,
        orders: RolloutOrders,
        stuck: StuckDesk,
        incidents: IncidentDesk,
        runs: Runs,
        forms: FormDesk,
        releases: ReleaseForms,
        approvals: ApprovalDesk,
        policies: PolicyDesk,
        why: WhyDesk,
        catalog: Catalog,
        linking: LinkDoor,
        linked: LinkDesk,
        audit: AuditDesk,
        links: Mapping[str, str],
    ) -> None:
        self._gate = gate
        self._world = world
        self._orders = orders
        self._stuck = stuck
        self._incidents = incidents
        self._runs = runs
        self._forms = forms
        self._releases = releases
        self._approvals = approvals
        self._policies = policies
        self._why = why
        self._catalog = catalog
        self._linking = linking
        self._linked = linked
        self._audit = audit
        self._links = links
        self._answers: Mapping[str, Callable[[Typed, Command], Awaitable[list[Message]]]] = {
            "help": self._help,
            "alarms": self._alarms,
            "device": self._device,
            "rollout list": self._rollout_list,
            "rollout status": self._rollout_status,
            "policy": self._policy,
            "rollout stuck": self._stuck_devices,
            **{form.name: self._order for form in FORMS if form.name.removeprefix("rollout ") in approvals.verbs},
            "why": self._tell_why,
            "rollout create": self._rollout_create,
            "ask": self._ask,
            "approvals": self._list_approvals,
            "approve": self._decide,
            "deny": self._decide,
            "withdraw": self._decide,
            "run": self._run,
            "runbooks": self._list_runbooks,
            "whoami": self._whoami,
            "link": self._link,
            "unlink": self._unlink,
            "links": self._list_links,
            "links revoke": self._revoke_link,
            "audit": self._show_audit,
        }
        missing = {form.name for form in FORMS} ^ set(self._answers)
        if missing:
            raise RuntimeError(f"commands without an answer, or answers without a command: {sorted(missing)}")

    async def answer(self, request: Typed) -> list[Message]:
        """The private messages that answer. Raises Denied or OutsideError."""
        understood = parse(unescape(request.text))
        if isinstance(understood, NotUnderstood):
            return [not_understood(understood)]
        return await self._answers[understood.name](request, understood)

    async def _help(self, request: Typed, command: Command) -> list[Message]:
        return [help_message()]

    async def _whoami(self, request: Typed, command: Command) -> list[Message]:
        return [whoami_message(*await self._gate.describe(request.user))]

    async def _link(self, request: Typed, command: Command) -> list[Message]:
        place = Place(request.channel, request.response_url)
        return [await self._linking.link(request.user, command.args[0] if command.args else "", place)]

    async def _unlink(self, request: Typed, command: Command) -> list[Message]:
        return [await self._linked.unlink(request.user)]

    async def _list_links(self, request: Typed, command: Command) -> list[Message]:
        return [await self._linked.listed(request.user)]

    async def _revoke_link(self, request: Typed, command: Command) -> list[Message]:
        return [await self._linked.revoke(request.user, command.args[0])]

    async def _show_audit(self, request: Typed, command: Command) -> list[Message]:
        return [await self._audit.newest(request.user, command.args)]

    async def _list_runbooks(self, request: Typed, command: Command) -> list[Message]:
        books = []
        for name in self._catalog.names():
            book = self._catalog.get(name)
            if book is not None:
                parameters = "".join(f" [{p}=…]" for p in book.parameters)
                books.append((name, f"{name} <device>{parameters}", book.risk, book.description))
        return [runbooks_message(books)]

    async def _run(self, request: Typed, command: Command) -> list[Message]:
        if len(command.args) < 2:
            await self._forms.fill(request, command.args)
            return []
        runbook, device = command.args
        channel = await self._runs.run(
            RunRequest(
                id=request.id,
                user=request.user,
                runbook=runbook,
                device=DeviceName(device),
                params=command.options,
                thread=None,
                repeated=request.repeated,
            )
        )
        return [_said(f"{literal(runbook, 60)} on {literal(device, 80)}: the result is in <#{channel}>.")]

    async def _alarms(self, request: Typed, command: Command) -> list[Message]:
        _, visible = await self._gate.viewer(request.user)
        wanted = visible
        if command.args:
            wanted = visible & {Tenant(command.args[0])}
            if not wanted:
                known = ", ".join(sorted(visible))
                raise NotFound(f"There is no tenant {plain(command.args[0], 60)!r} among yours. Yours: {known}.")
        return [incident_list_message(await self._incidents.open_in(wanted), wanted)]

    async def _device(self, request: Typed, command: Command) -> list[Message]:
        _, visible = await self._gate.viewer(request.user)
        found = await self._world.device(DeviceName(command.args[0]), visible, DEVICE_KEYS)
        return [device_message(await self._view(found))]

    async def _view(self, found: Found) -> DeviceView:
        missing: list[str] = []
        target = None
        try:
            target = await found.stack.rollouts.target(found.facts.name)
        except OutsideError as error:
            missing.append(error.user_text)
        alarms = await self._incidents.alarms_of(found.stack.name, found.tenant.id, found.facts.name)
        try:
            address = found.address().ip
        except OutsideError as error:
            address = None
            missing.append(error.user_text)
        return DeviceView(
            facts=found.facts,
            stack=found.stack.name,
            tenant=found.tenant.id,
            address=address,
            target=target,
            alarms=alarms,
            links=self._links,
            missing=missing,
        )

    async def _rollout_list(self, request: Typed, command: Command) -> list[Message]:
        _, visible = await self._gate.viewer(request.user)
        found, missing = await self._orders.under_way(visible)
        lines = [
            RolloutLine(s.name, f.name, f.status.value, f.counts.finished, f.counts.error, f.total) for s, f in found
        ]
        return [rollout_list_message(lines, missing)]

    async def _rollout_status(self, request: Typed, command: Command) -> list[Message]:
        _, visible = await self._gate.viewer(request.user)
        missing: Sequence[str] = ()
        if command.args:
            found: Sequence[tuple[StackWorld, RolloutFacts]] = [await self._orders.named(command.args[0], visible)]
        else:
            found, missing = await self._orders.under_way(visible)
        answers = []
        for stack, facts in found[:SHOWN_ROLLOUTS]:
            progress = await self._orders.progress(stack, facts, visible)
            if progress is not None:
                answers.append(rollout_message(progress))
            else:
                answers.append(_said(f"{literal(facts.name, 100)}: {facts.status.value}; not watched by the bot yet."))
        if missing:
            records = await self._orders.remembered(visible)
            answers += [rollout_message(r.progress) for r in records if r.progress is not None][:SHOWN_ROLLOUTS]
        if missing or len(found) > SHOWN_ROLLOUTS or not found:
            lines = [
                RolloutLine(s.name, f.name, f.status.value, f.counts.finished, f.counts.error, f.total)
                for s, f in found[SHOWN_ROLLOUTS:]
            ]
            answers.append(rollout_list_message(lines, missing))
        return answers

    async def _stuck_devices(self, request: Typed, command: Command) -> list[Message]:
        return [await self._stuck.named(request.user, command.args[0])]

    async def _rollout_create(self, request: Typed, command: Command) -> list[Message]:
        await self._releases.fill(request)
        return []

    async def _order(self, request: Typed, command: Command) -> list[Message]:
        _, visible = await self._gate.viewer(request.user)
        stack, facts = await self._orders.named(command.args[0], visible)
        return [
            await self._approvals.order(
                request.user, f"{command.name.removeprefix('rollout ')}:{stack.name}/{facts.id}"
            )
        ]

    async def _policy(self, request: Typed, command: Command) -> list[Message]:
        return [await self._policies.explained(request.user, command.args[0])]

    async def _tell_why(self, request: Typed, command: Command) -> list[Message]:
        return [await self._why.named(request.user, command.args[0])]

    async def _ask(self, request: Typed, command: Command) -> list[Message]:
        word, rest = command.args
        askable = self._approvals.askable
        if word not in askable:
            raise Refused(f"{plain(word, 40)!r} is nothing to be asked for. There are: {', '.join(askable)}.")
        _, visible = await self._gate.viewer(request.user)
        stack, facts, reason = await self._orders.begun_with(rest, visible)
        return [await self._approvals.ask(request.user, f"{word}:{stack.name}/{facts.id}", reason)]

    async def _list_approvals(self, request: Typed, command: Command) -> list[Message]:
        return [await self._approvals.listed(request.user)]

    async def _decide(self, request: Typed, command: Command) -> list[Message]:
        id, *reason = command.args
        return [await self._approvals.decide(request.user, command.name, id.lower(), *reason)]


def _said(text: str) -> Message:
    return compose(text, section(text))
