"""One request in, its private answers out."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import OutsideError
from core.messages.blocks import Message, compose
from core.messages.text import literal
from flows.gate import Denied, Gate
from handlers.slack.answers import Answers
from handlers.slack.approvals import DECISIONS, ApprovalDesk
from handlers.slack.clicks import Clicks
from handlers.slack.commands import Commands
from handlers.slack.home import HomeDesk
from handlers.slack.release_form import ReleaseForms
from handlers.slack.requests import Click, HomeOpened, Reasoned, Request, Sent, Typed, Wished
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
        releases: ReleaseForms,
        homes: HomeDesk,
        answers: Answers,
    ) -> None:
        self._gate = gate
        self._commands = commands
        self._clicks = clicks
        self._forms = forms
        self._approvals = approvals
        self._releases = releases
        self._homes = homes
        self._answers = answers

    async def handle(self, request: Request) -> None:
        """Carry it out and answer. Raises Denied or OutsideError."""
        await self._gate.admit(request.user, _asked(request), noted=not isinstance(request, HomeOpened))
        if _decided_at_home(request):
            await self._homes.show(request.user, await self._decided(request))
            return
        for answer in await self._answered(request):
            await self._answers.tell(request, answer)

    async def _decided(self, request: Request) -> Message:
        """What became of it, also where it was nothing: the tab shows it above everything else."""
        try:
            return (await self._answered(request))[-1]
        except Denied as denied:
            return compose(f"⛔ {denied.text}")
        except OutsideError as error:
            return compose(f"⚠️ {literal(error.user_text, 2000)}")

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
            case Wished():
                return [await self._releases.preview(request)]
            case HomeOpened():
                await self._homes.show(request.user)
                return ()


def _decided_at_home(request: Request) -> bool:
    """A decision about a request, pressed in the Home tab: what became of it is shown there, above what is left."""
    decides = isinstance(request, Reasoned) or (isinstance(request, Click) and request.action in DECISIONS)
    return decides and not request.channel


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
        case Wished():
            return "form:release"
        case HomeOpened():
            return "home"
