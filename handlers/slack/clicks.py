"""Buttons: what was pressed, on what, and the one use case it calls. A value names a thing, never a state."""

from __future__ import annotations

from core.errors import Refused
from core.ids import IncidentId
from core.messages.blocks import Message, compose, section
from core.messages.links import LINK_CONFIRM, LINK_DECLINE
from core.messages.stuck import STUCK
from core.messages.text import literal
from core.messages.views import RUN_FORM
from core.messages.why import WHY, WHY_NEWEST
from flows.incident_desk import IncidentDesk
from flows.linking.device import DeviceLinking
from flows.rollouts.why import WhyDesk
from flows.runs import RunRequest, Runs
from flows.stuck_desk import StuckDesk
from handlers.slack.approvals import DECISIONS, ApprovalDesk
from handlers.slack.requests import Click
from handlers.slack.run_form import FormDesk

_RUNBOOKS = {"run:journal": "journal", "run:rauc-status": "rauc-status", "redeploy": "redeploy"}


class Clicks:
    """`linking` is None where people link in a browser: no button of Slack takes part then."""

    def __init__(
        self,
        *,
        approvals: ApprovalDesk,
        incidents: IncidentDesk,
        runs: Runs,
        forms: FormDesk,
        stuck: StuckDesk,
        why: WhyDesk,
        linking: DeviceLinking | None,
    ) -> None:
        self._stuck = stuck
        self._linking = linking
        self._approvals = approvals
        self._incidents = incidents
        self._runs = runs
        self._forms = forms
        self._why = why

    async def answer(self, click: Click) -> list[Message]:
        """Private answers; what everybody should see changes in its own message. Raises Denied or OutsideError."""
        if click.action in self._approvals.verbs:
            return [await self._order(click)]
        if click.action in DECISIONS:
            return [await self._approvals.decide(click.user, click.action, click.value)]
        if click.action in (WHY, WHY_NEWEST):
            return [await self._why.pressed(click.user, click.value)]
        if click.action in _RUNBOOKS:
            await self._run(click)
            return []
        if click.action == STUCK:
            return [await self._stuck.shown(click.user, click.value)]
        if click.action == RUN_FORM:
            await self._forms.fill(click, incident=IncidentId(click.value) if click.value else None)
            return []
        if click.action == "acknowledge":
            return [_said(await self._incidents.acknowledge(IncidentId(click.value), click.user))]
        if click.action == "clear":
            return [_said(await self._incidents.clear(IncidentId(click.value), click.user))]
        if self._linking is not None and click.action == LINK_CONFIRM:
            return [await self._linking.confirm(click.user, click.value)]
        if self._linking is not None and click.action == LINK_DECLINE:
            return [await self._linking.decline(click.user, click.value)]
        raise Refused("This button is from an older version of the bot. Nothing was done; use the newest message.")

    async def _order(self, click: Click) -> Message:
        return await self._approvals.order(click.user, f"{click.action}:{click.value}")

    async def _run(self, click: Click) -> None:
        incident = IncidentId(click.value)
        device = await self._incidents.device_of(incident, click.user)
        await self._runs.run(
            RunRequest(
                id=click.id,
                user=click.user,
                runbook=_RUNBOOKS[click.action],
                device=device,
                params={},
                thread=f"incident:{incident}",
                repeated=click.repeated,
            )
        )


def _said(text: str) -> Message:
    safe = literal(text, 2000)
    return compose(safe, section(safe))
