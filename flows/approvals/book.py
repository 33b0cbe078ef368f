"""Where requests are written down: the document, the audit's line and the message, together in one fenced commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from core.approvals import Kind, Request
from core.errors import Conflict, NotFound
from core.ids import ApprovalId, Caller, Channel, SlackUser, caller_of
from core.messages.approval import approval_message, glass_message, reminder_message, told_message
from core.messages.blocks import Message
from core.messages.text import plain
from core.ports import Clock
from flows.gate import Person
from integrations.store.approvals import ASKING, ApprovalStore, lease_name
from integrations.store.audit import AuditLog, Line
from integrations.store.leases import Command, Lease, Leases
from integrations.store.outbox import Outbox, Priority, Wanted

LEASE_S = 60.0
"""Longer than any act takes (`flows.approvals.carrying.ACT_S`)."""
WAIT_S = 5.0
_RETRY_S = 0.05


class ApprovalBook:
    """`admins` is the channel where a broken glass is announced besides."""

    def __init__(
        self,
        *,
        store: ApprovalStore,
        leases: Leases,
        audit: AuditLog,
        outbox: Outbox,
        clock: Clock,
        admins: Channel,
    ) -> None:
        self._store = store
        self._leases = leases
        self._audit = audit
        self._outbox = outbox
        self._clock = clock
        self._admins = admins

    async def request(self, id: ApprovalId) -> Request:
        found = await self._store.request(id)
        if found is None:
            raise NotFound(f"There is no request {plain(id, 20)!r}. `/cdm approvals` lists those that are open.")
        return found

    async def live(self) -> Sequence[Request]:
        return await self._store.live()

    async def new_id(self) -> ApprovalId:
        return await self._store.new_id()

    @asynccontextmanager
    async def held(self, id: ApprovalId, *, wait_s: float = WAIT_S) -> AsyncIterator[tuple[Lease, Request]]:
        """The request under its lease, as it is now. Raises Conflict where somebody else keeps it, or NotFound."""
        async with self._under(lease_name(id), wait_s) as lease:
            yield lease, await self.request(id)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Lease]:
        """The lease under which new requests are made, one at a time."""
        async with self._under(ASKING, WAIT_S) as lease:
            yield lease

    async def keep(
        self, lease: Lease, request: Request, action: str, who: Person | None, data: Mapping[str, object]
    ) -> None:
        """The request as it is from now on. `who` did it; None for the bot itself. Raises LeaseLost."""
        await self._audit.commit(lease, self._line("note", request, action, who, data), lambda _: self._shown(request))

    async def begun(self, lease: Lease, request: Request, data: Mapping[str, object]) -> str:
        """The intent to carry it out, written once whoever takes it up. Its reference in the audit."""
        if request.intent:
            return request.intent
        line = self._line("intent", request, "approval:carry_out", None, data)
        return await self._audit.commit(lease, line, lambda ref: self._store.save(request.begun(ref)))

    async def ended(self, lease: Lease, request: Request, ref: str) -> None:
        """The outcome of that intent, and the request that tells it."""
        line = self._line("outcome", request, "approval:carry_out", None, {"said": request.said}, ref)
        await self._audit.commit(lease, line, lambda _: self._shown(request))

    async def remind(self, lease: Lease, request: Request) -> None:
        """Once, as a message of its own: a change of the first one would call nobody."""
        wanted = Wanted(
            f"approval:{request.id}:reminder",
            request.order.channel,
            reminder_message(request),
            Priority.APPROVAL,
            open=False,
        )
        line = self._line("note", request, "approval:reminded", None, {})
        await self._audit.commit(lease, line, lambda _: [*self._shown(request), *self._outbox.want(wanted)])

    async def tell_all(self, request: Request, *, but: Caller | None = None) -> None:
        """The outcome, privately, for whoever asked and whoever agreed, in Slack. Best effort, as `Outbox.tell` is."""
        callers = dict.fromkeys([request.by.caller, *(vote.by.caller for vote in request.votes)])
        for caller in map(caller_of, callers):
            if isinstance(caller, SlackUser) and caller != but:
                await self.tell(request, caller, told_message(request))

    async def tell(self, request: Request, user: SlackUser, message: Message) -> None:
        await self._outbox.tell(request.order.channel, user.user, message)

    def _line(
        self,
        kind: str,
        request: Request,
        action: str,
        who: Person | None,
        data: Mapping[str, object],
        ref: str = "",
    ) -> Line:
        order = request.order
        said: dict[str, object] = {
            "approval": request.id,
            "action": order.action.value,
            "tenants": sorted(order.tenants),
            "requester": request.by.subject,
            "evidence": request.evidence.digest,
            "break_glass": request.kind is Kind.BREAK_GLASS,
            **data,
        }
        if who is not None:
            said |= {"name": who.username, "caller": str(who.caller), "rights_read_at": who.read_at.isoformat()}
        return Line(kind, who.subject if who is not None else "bot", action, order.object, said, ref)

    def _shown(self, request: Request) -> list[Command]:
        key = f"approval:{request.id}"
        wanted = Wanted(
            key,
            request.order.channel,
            approval_message(request),
            Priority.APPROVAL,
            critical=True,
            open=request.live,
        )
        commands = [*self._store.save(request), *self._outbox.want(wanted)]
        if request.kind is Kind.BREAK_GLASS and not request.phase.over:
            told = Wanted(
                f"{key}:glass", self._admins, glass_message(request), Priority.APPROVAL, critical=True, open=False
            )
            commands += self._outbox.want(told)
        return commands

    @asynccontextmanager
    async def _under(self, name: str, wait_s: float) -> AsyncIterator[Lease]:
        until = self._clock.monotonic() + wait_s
        while True:
            async with self._leases.hold(name, LEASE_S) as lease:
                if lease is not None:
                    yield lease
                    return
            if self._clock.monotonic() >= until:
                raise Conflict("Somebody else is deciding about this right now. Look at its message, then try again.")
            await self._clock.sleep(_RETRY_S)
