"""A runbook on a device: rights, address, device lease, intent, the command over SSH, the result in the thread."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter

from core.access import Action
from core.errors import Conflict, NotFound, OutsideError, Refused
from core.ids import Channel, DeviceName, SlackUser
from core.messages.run import SHOWN_LINES, RunState, RunView, run_message
from core.messages.text import plain
from core.ports import Clock
from core.runs import CommandOutput
from flows.gate import Denied, Gate, Person
from flows.redeploy import redeploy
from flows.world import Found, World
from integrations.store.audit import AuditLog
from integrations.store.leases import Leases
from integrations.store.outbox import Outbox, Priority, Wanted
from runbooks import BadParameter, Catalog, Plan, Redactor, Runbook

log = structlog.get_logger(__name__)

RUNS = Counter("cdm_runs", "Runbooks run on devices", ["runbook", "outcome"])

_MARGIN_S = 60.0
_ADVICE = {
    "relay_unreachable": "Nothing was run on any device; whoever runs the relay must look at it.",
    "device_offline": "Nothing was run. Check its power and its VPN, then try again.",
    "command_timed_out": "It may be overloaded: try again in a while, or ask for less.",
    "connection_broken": "Try again; if it breaks again, look at the device's network.",
}
"""What to do next, by the reason of a failure whose own text does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """`id` names the run and its message. `thread` is the outbox key of the message it was started from, if any;
    `repeated`: a process that did not finish has begun it before."""

    id: str
    user: SlackUser
    runbook: str
    device: DeviceName
    params: Mapping[str, str]
    thread: str | None
    repeated: bool


class Runs:
    """Runs one runbook on one device at a time per device, and tells it in one message."""

    def __init__(
        self,
        *,
        world: World,
        gate: Gate,
        catalog: Catalog,
        leases: Leases,
        audit: AuditLog,
        outbox: Outbox,
        clock: Clock,
        redactor: Redactor | None = None,
    ) -> None:
        self._world = world
        self._gate = gate
        self._catalog = catalog
        self._leases = leases
        self._audit = audit
        self._outbox = outbox
        self._clock = clock
        self._redact = redactor or Redactor()

    async def run(self, request: RunRequest) -> Channel:
        """Where its message is. Raises Denied or OutsideError where nothing was begun; what happens later is told in
        the message."""
        runbook = self._catalog.get(request.runbook)
        if runbook is None:
            known = ", ".join(self._catalog.names())
            raise NotFound(f"There is no runbook {plain(request.runbook, 60)!r}. There are: {known}.")
        try:
            plan = runbook.plan(request.params)
        except BadParameter as error:
            raise Refused(f"{error.user_text} Nothing was run.") from None
        _, visible = await self._gate.viewer(request.user)
        found = await self._world.device(request.device, visible, ())
        action = Action.RUN_CHANGE_ONE if runbook.risk == "change" else Action.RUN_READ_ONE
        person = await self._gate.require(request.user, action, frozenset({found.tenant.id}), _object(found))
        async with self._alone(request, found, plan):
            await self._carry_out(request, runbook, plan, found, person, action)
        return found.tenant.channel

    async def _carry_out(
        self, request: RunRequest, runbook: Runbook, plan: Plan, found: Found, person: Person, action: Action
    ) -> None:
        view = RunView(
            title=runbook.title,
            device=found.facts.name,
            by=person.username,
            started_at=self._clock.now(),
            state=RunState.RUNNING,
            argv="; ".join(shlex.join(step.argv) for step in plan.steps),
        )
        if request.repeated and runbook.risk == "change":
            text = "The bot was restarted while it did this, so it was not done again. Look at the device, then decide."
            await self._show(request, found, replace(view, state=RunState.UNKNOWN, problem=text))
            return
        await self._show(request, found, view)
        object = _object(found)
        ref = await self._audit.intent(
            person.subject,
            f"run:{runbook.name}",
            object,
            {
                "name": person.username,
                "tenant": found.tenant.id,
                "params": dict(request.params),
                "rights_read_at": person.read_at.isoformat(),
            },
        )
        try:
            # Rights again, now that it is really about to happen.
            await self._gate.require(request.user, action, frozenset({found.tenant.id}), object)
            done = await self._perform(request, runbook, plan, found, view)
        except (OutsideError, Denied) as error:
            text = error.text if isinstance(error, Denied) else _with_advice(error)
            unknown = runbook.risk == "change" and isinstance(error, OutsideError) and error.unknown_outcome
            state = RunState.UNKNOWN if unknown else RunState.FAILED
            done = replace(view, state=state, problem=text, lines=self._cut_short(runbook, error))
            await self._audit.outcome(ref, person.subject, f"run:{runbook.name}", object, {"failed": error.reason})
        else:
            await self._audit.outcome(ref, person.subject, f"run:{runbook.name}", object, {"state": done.state.value})
        RUNS.labels(runbook.name, done.state.value).inc()
        await self._show(request, found, done, ended=True)

    async def _perform(self, request: RunRequest, runbook: Runbook, plan: Plan, found: Found, view: RunView) -> RunView:
        if plan.action == "redeploy":
            return replace(view, state=RunState.DONE, summary=await redeploy(found))
        results = await self._commands(plan, found)
        told = runbook.render(results, self._redact)
        went_well = all(r.exit_status == 0 or r.truncated for r in results)
        long = len(told.lines) > SHOWN_LINES or len("\n".join(told.lines)) > 2500
        if long:
            name = f"{found.facts.name}-{runbook.name}-{request.id}.txt"
            content = told.complete.encode()
            await self._outbox.put_file(f"run:{request.id}:output", _key(request), name, content, "Complete output")
        return replace(
            view,
            state=RunState.DONE if went_well else RunState.FAILED,
            summary=told.summary,
            lines=told.lines,
            warnings=told.warnings,
            in_file=long,
        )

    def _cut_short(self, runbook: Runbook, error: Exception) -> Sequence[str]:
        """What a command said before it was cut off, where the relay's error carries it."""
        output = getattr(error, "output", None)
        if not isinstance(output, CommandOutput) or not (output.stdout or output.stderr):
            return ()
        return runbook.render([output], self._redact).lines

    async def _commands(self, plan: Plan, found: Found) -> list[CommandOutput]:
        if found.stack.relay is None:
            raise Refused(f"Stack {found.stack.name} has no relay in cdm.yaml, so no command reaches its devices.")
        address = found.address()
        results = []
        for step in plan.steps:
            result = await found.stack.relay.run(
                address,
                step.argv,
                inside=found.tenant.wireguard,
                timeout_s=step.timeout_s,
                max_bytes=step.max_bytes,
            )
            results.append(result)
            if result.exit_status != 0:
                break
        return results

    @asynccontextmanager
    async def _alone(self, request: RunRequest, found: Found, plan: Plan) -> AsyncIterator[None]:
        """The device's lease: two runs on one device would disturb each other's answers. A run taken up again after a
        crash finds the lease to be its own."""
        longest = sum(step.timeout_s for step in plan.steps) + _MARGIN_S
        name = f"device:{found.stack.name}/{found.facts.name}"
        async with self._leases.hold(name, longest, holder=_key(request)) as lease:
            if lease is None:
                raise Conflict(f"Another run is at work on {found.facts.name}. Wait for its result, then try again.")
            yield

    async def _show(self, request: RunRequest, found: Found, view: RunView, *, ended: bool = False) -> None:
        await self._outbox.put(
            Wanted(
                _key(request),
                Channel(found.tenant.channel),
                run_message(view),
                Priority.UPDATE,
                parent=request.thread,
                open=not ended,
            )
        )


def _with_advice(error: OutsideError) -> str:
    advice = _ADVICE.get(error.reason)
    return f"{error.user_text} {advice}" if advice else error.user_text


def _key(request: RunRequest) -> str:
    return f"run:{request.id}"


def _object(found: Found) -> str:
    return f"device:{found.stack.name}/{found.facts.name}"
