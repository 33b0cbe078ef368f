"""What steps do: people at Slack, the pipeline at hawkBit, and what breaks or is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sandbox.cast import PEOPLE, TENANTS, Person
from sandbox.pipeline import Pipeline
from sandbox.scenarios import schema
from sandbox.scenarios.stage import Rollout, Stage, Unmet, nearest, quoted, tenant_of
from sandbox.slack.client import SlackPeople


class Acts:
    """One method a verb of `schema.VERBS`. Raises Unmet."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._world = stage.world
        self._slack: SlackPeople = stage.world.people

    async def say(self, text: str) -> None:
        self._stage.say(self._stage.filled(text))

    async def control(self, words: str) -> None:
        self._stage.say(await self._stage.controls.run(self._stage.filled(words).split()))

    async def link(self, names: Sequence[str]) -> None:
        people = [PEOPLE[name] for name in names]
        for person in people:
            self._stage.say(f"{person.name} ({person.role}) links Slack and Keycloak: /cdm link, and a browser")
        pages = await asyncio.gather(*(self._world.login(person.id, person.name) for person in people))
        for person, page in zip(people, pages, strict=True):
            if "now linked" not in page:
                raise Unmet(f"{person.name}'s browser ends at {quoted(page)}")

    # hawkBit

    async def choose(self, wanted: schema.Choose) -> None:
        tenant = next(tenant for tenant in TENANTS if tenant.id == wanted.tenant)
        there = self._world.counts[tenant.id]
        first = there - wanted.count + 1 if wanted.last else 1
        if wanted.count > there:
            raise Unmet(f"{tenant.id} has {there} devices, not {wanted.count}")
        self._stage.kept[wanted.keep] = tuple(tenant.device(n) for n in range(first, first + wanted.count))

    async def release(self, wanted: schema.Release) -> None:
        chosen = self._stage.devices(wanted.devices) or tuple(self._world.fleet.devices)
        left_out = self._stage.devices(wanted.without)
        devices = [name for name in chosen if name not in left_out]
        query = f"controllerId=in=({','.join(devices)})"
        if not wanted.devices:
            query = f"controllerId=out=({','.join(left_out)})" if left_out else "controllerId==*"
        account = self._account(wanted.by)
        id = await account.release(
            wanted.version,
            query=query,
            groups=shares(wanted.groups, len(devices)),
            name=wanted.name,
            error_pct=wanted.error_pct,
        )
        self._stage.kept[wanted.keep] = Rollout(id, wanted.name)
        sizes = ", ".join(str(group["totalTargets"]) for group in await account.groups(id))
        who = "the pipeline" if wanted.by == "pipeline" else "somebody"
        self._stage.say(f"{who} makes the rollout {wanted.name} of {wanted.version}, groups of {sizes}")

    async def order(self, wanted: schema.Order) -> None:
        rollout = self._stage.rollout(wanted.rollout)
        account = self._account(wanted.by)
        await self._stage.ask(lambda: account.rollout(rollout.id))
        await account.order(rollout.id, wanted.verb)
        who = "the pipeline" if wanted.by == "pipeline" else "somebody in hawkBit"
        self._stage.say(f"{who} gives the order to {wanted.verb} {rollout.name}")

    async def pick(self, wanted: schema.Pick) -> None:
        rollout = self._stage.rollout(wanted.rollout)
        members = await self._stage.ask(lambda: self._world.by_hand.members(rollout.id, wanted.group))
        fitting = [name for name in members if wanted.tenant in (None, tenant_of(name).id)]
        if len(fitting) < (wanted.count or 1):
            whose = f" of {wanted.tenant}" if wanted.tenant else ""
            raise Unmet(f"group {wanted.group} of {rollout.name} has only {len(fitting)} devices{whose}")
        self._stage.kept[wanted.keep] = tuple(fitting[: wanted.count])

    def _account(self, by: str) -> Pipeline:
        return self._world.pipeline if by == "pipeline" else self._world.by_hand

    # people

    async def types(self, wanted: schema.Types) -> None:
        who, text, channel = (
            self._person(wanted.who),
            self._stage.filled(wanted.text),
            self._stage.channel(wanted.where),
        )
        self._stage.say(f"{who.name} types {text}")
        command, _, rest = text.partition(" ")

        async def act() -> None:
            if command.startswith("/"):
                await self._slack.slash(who.id, channel, command, rest)
            else:
                await self._slack.post(who.id, channel, text)

        await self._told(who, act, wanted.answer)

    async def presses(self, wanted: schema.Presses) -> None:
        who, message = self._person(wanted.who), self._stage.seen(wanted.of)
        channel = await self._channel_of(message.ts)
        label = message.button(wanted.button).label
        self._stage.say(f"{who.name} ({who.role}) presses {label}")
        await self._told(who, lambda: self._slack.click(who.id, channel, message.ts, wanted.button), wanted.answer)

    async def fills(self, wanted: schema.Fills) -> None:
        who, has = self._person(wanted.who), schema.Words(has=wanted.has)

        async def shown() -> str:
            modal = await self._slack.modal(who.id)
            return f"{modal.title}\n{modal.shown}" if modal else ""

        what = f"{who.name} sees a modal that has {', '.join(map(repr, wanted.has))}"
        await self._stage.until(
            what, shown, lambda text: bool(text) and not self._stage.missing(has, text), wanted.within_s
        )
        values = {name: self._stage.filled(value) for name, value in wanted.values.items()}
        self._stage.say(f"{who.name} fills in {', '.join(values.values())}")
        await self._told(who, lambda: self._slack.submit_view(who.id, values), wanted.answer)

    def _person(self, name: str) -> Person:
        return PEOPLE[self._stage.filled(name)]

    async def _channel_of(self, ts: str) -> str:
        for channel, messages in self._world.slack.workspace.messages.items():
            if ts in messages:
                return channel
        raise Unmet("the message is gone")

    async def _told(self, who: Person, act: Callable[[], Awaitable[Any]], answer: schema.Words | None) -> None:
        before = {said.ts for said in await self._stage.ask(lambda: self._slack.ephemerals(who.id))}
        await act()
        if answer is None:
            return
        wrong: list[tuple[str, list[str]]] = []

        async def heard() -> str:
            said = [one for one in await self._slack.ephemerals(who.id) if one.ts not in before]
            wrong[:] = [(one.shown, self._stage.missing(answer, one.shown)) for one in said]
            return nearest(wrong, f"{who.name}'s screen")

        await self._stage.until(
            f"{who.name} is told what is promised", heard, lambda _: any(not one[1] for one in wrong), answer.within_s
        )


def shares(groups: Sequence[schema.Group], devices: int) -> list[float]:
    """In per cent of so many devices, 100 in all."""
    given = [max(group.share, 100 * group.at_least / devices) for group in groups]
    rest = [group.rest for group in groups]
    left = (100 - sum(given)) / sum(rest) if any(rest) else 0
    return [left if is_rest else pct for pct, is_rest in zip(given, rest, strict=True)]
