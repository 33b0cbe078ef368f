"""One request in, its private answers out."""

from __future__ import annotations

from collections.abc import Sequence

from core.messages.blocks import Message
from flows.gate import Gate
from handlers.slack.answers import Answers
from handlers.slack.approvals import ApprovalDesk
from handlers.slack.clicks import Clicks
from handlers.slack.commands import Commands
from handlers.slack.home import HomeDesk
from handlers.slack.requests import Click, HomeOpened, Reasoned, Request, Sent, Typed
from handlers.slack.run_form import FormDesk


class SlackDesk:
    def __init__(
        self,
        *,
        gate: Gate,
        commands: Commands,
        clicks: Clicks,
        forms: FormDesk,
        approvals: ApprovalDesk,
        homes: HomeDesk,
        answers: Answers,
    ) -> None:
        self._gate = gate
        self._commands = commands
        self._clicks = clicks
        self._forms = forms
        self._approvals = approvals
        self._homes = homes
        self._answers = answers

    async def handle(self, request: Request) -> None:
        """Carry it out and answer. Raises Denied or OutsideError."""
        await self._gate.admit(request.user, _asked(request), noted=not isinstance(request, HomeOpened))
        for answer in await self._answered(request):
            await self._answers.tell(request, answer)

    async def _answered(self, request: Request) -> Sequence[Message]:
        match request:
            case Typed():
                return await self._commands.answer(request)
            case Click():
                return await self._clicks.answer(request)
            case Sent():
                return await self._forms.run(request)
            case Reasoned():
                return [await self._approvals.reasoned(request)]
            case HomeOpened():
                await self._homes.show(request)
                return ()


def _asked(request: Request) -> str:
    """What was asked for, in the audit log's words."""
    match request:
        case Typed():
            return "command"
        case Click():
            return f"click:{request.action}"
        case Sent():
            return f"form:{request.runbook}"
        case Reasoned():
            return f"form:{request.purpose}"
        case HomeOpened():
            return "home"
