"""The form for a run, once Slack has its answer: filled with what this person may run, and carried out when sent."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Refused
from core.ids import DeviceName, IncidentId
from core.messages.blocks import Message, compose, section
from core.messages.text import literal
from core.messages.views import typed_instead
from core.ports import Clock, Views
from flows.run_form import RunOffers
from flows.runs import RunRequest, Runs
from handlers.slack.answers import Answers
from handlers.slack.filling import filled
from handlers.slack.form import FormState, form_view, is_device_name
from handlers.slack.requests import Click, Sent, Typed
from runbooks import Catalog


class FormDesk:
    def __init__(
        self, *, offers: RunOffers, runs: Runs, catalog: Catalog, views: Views, answers: Answers, clock: Clock
    ) -> None:
        self._offers = offers
        self._runs = runs
        self._catalog = catalog
        self._views = views
        self._answers = answers
        self._clock = clock

    async def fill(self, request: Typed | Click, words: Sequence[str] = (), incident: IncidentId | None = None) -> None:
        """Fill the form opened for this request. `words`: a runbook or a device typed already. Where Slack did not
        open it in time, the person is told what to type. Raises Denied or OutsideError."""
        book = next((self._catalog.get(word) for word in words), None)
        runbook = book.name if book else ""
        typed = "" if book else next(iter(words), "")
        if request.trouble or request.form is None:
            await self._instead(request, request.trouble, runbook, typed)
        if request.form is None:
            return
        offer = await self._offers.offer(request.user, incident)
        state = FormState(
            channel=request.channel,
            incident=incident or "",
            device=offer.device or "",
            devices=offer.devices,
            reads=offer.reads,
            changes=offer.changes,
            runbook=runbook,
        )
        books = state.books(self._catalog)
        if not books:
            raise Refused("There is no runbook that you may run here.")
        if len(books) == 1:
            state = state.model_copy(update={"runbook": books[0].name})
        known = is_device_name(typed)
        note = f"{typed[:80]} is neither a runbook nor a device's name." if typed and not known else ""
        view = form_view(state, self._catalog, typed=typed if known else "", note=note)
        if not await filled(self._views, self._clock, request, view) and not request.trouble:
            await self._instead(request, "", runbook, typed)

    async def run(self, request: Sent) -> list[Message]:
        """Carry it out like a typed run. The result stands in the incident's thread, else in the tenant's channel.
        Raises Denied or OutsideError."""
        device = DeviceName(request.device)
        if request.incident:
            await self._offers.check(request.user, IncidentId(request.incident), device)
        channel = await self._runs.run(
            RunRequest(
                id=request.id,
                user=request.user,
                runbook=request.runbook,
                device=device,
                params=request.params,
                thread=f"incident:{request.incident}" if request.incident else None,
                repeated=request.repeated,
            )
        )
        if request.incident:
            return []
        text = f"{literal(request.runbook, 60)} on {literal(device, 80)}: the result is in <#{channel}>."
        return [compose(text, section(text))]

    async def _instead(self, request: Typed | Click, trouble: str, runbook: str, device: str) -> None:
        why = f"{literal(trouble, 300)} " if trouble else ""
        text = f"⚠️ {why}If you see no form, type {typed_instead(runbook, device)}."
        await self._answers.beside(request, compose(text, section(text)))
