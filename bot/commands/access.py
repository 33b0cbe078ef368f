"""`cdm access`: why somebody may do something, or may not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated
from uuid import UUID

import typer

from bot.acting import without_relays
from bot.adapters import build_adapters
from bot.commands.options import CONFIG, Config, failures_told, give_up, settings_of
from bot.realms import access_rules
from bot.settings import Settings
from bot.store_access import opened_store
from core.access import Action, Link
from core.access_path import decision, linked_in_words, standing
from core.errors import NotFound, Refused
from core.ids import IncidentId, RolloutId, SlackUser, Subject, Tenant, id_of
from core.messages.text import plain
from flows.world import World
from integrations.clock import SystemClock
from integrations.store.connection import Store
from integrations.store.incidents import Incidents
from integrations.store.people import Links

WIDTH = 600
OBJECTS = "tenant:customer-a, incident:<id> or rollout:<stack>/<number>"

app = typer.Typer(no_args_is_help=True, help="Who may do what, and why.")


@app.callback()
def _group() -> None:
    """So that `explain` stays a word of its own, although it is the only one."""


@app.command()
def explain(
    user: Annotated[str, typer.Argument(help="A Slack user id, or the user name or subject of a Keycloak account.")],
    action: Annotated[str, typer.Argument(help="As in the audit log: promote, acknowledge, run_read_one.")],
    object: Annotated[str, typer.Argument(help=f"{OBJECTS}.")],
    config: Config = CONFIG,
) -> None:
    """Print every step from a person to the verdict, by what Keycloak says now. Changes and allows nothing."""
    if action not in set(Action):
        raise give_up(f"There is no action {action!r}. There are: {', '.join(Action)}.")
    settings = settings_of(config)
    with failures_told():
        for step in asyncio.run(_explained(settings, user, Action(action), object)):
            typer.echo(plain(step, WIDTH))


async def _explained(settings: Settings, user: str, action: Action, object: str) -> list[str]:
    clock, rules = SystemClock(), access_rules(settings)
    async with opened_store(settings) as store, AsyncExitStack() as stack:
        adapters = await build_adapters(without_relays(settings), clock, stack)
        subjects, steps = _person(user, settings.slack.team, (await Links(store).book()).links)
        if not subjects:
            return steps
        authority = await adapters.roles.authority(subjects)
        if authority is None:
            return [*steps, "account: does not exist in Keycloak any more, so everything is refused"]
        tenants = await _tenants(object, World(adapters.stacks, clock), store, frozenset(rules.tenant_groups))
        for account in authority.accounts:
            steps += standing(account, rules)
        return [*steps, *decision(action, object, tenants, authority, rules)]


def _person(user: str, team: str, links: Sequence[tuple[SlackUser, Link]]) -> tuple[list[Subject], list[str]]:
    """Whose accounts the word means, and the steps of their links. Raises NotFound where nobody linked is called so."""
    slack = SlackUser(team, user)
    by_name = [(s, link) for s, link in links if user.casefold() in (link.username.casefold(), link.subject.casefold())]
    meant = slack if any(s == slack for s, _ in links) else next((s for s, _ in by_name), None)
    if meant is not None:
        theirs = [link for s, link in links if s == meant]
        return [link.subject for link in theirs], [linked_in_words(meant, link) for link in theirs]
    if _is_subject(user):
        return [Subject(user)], ["link: no Slack user is linked with this account, so the bot hears nothing from it"]
    if user[:1] in "UW" and user.isalnum() and user.isupper():
        return [], [linked_in_words(slack, None)]
    raise NotFound(f"Nobody linked is called {user!r}. Name a Slack user id (U…) or the account's subject.")


def _is_subject(user: str) -> bool:
    """As the audit log writes it: of another realm than the default one with its name before it."""
    id = id_of(Subject(user))
    try:
        return str(UUID(id)) == id.lower()
    except ValueError:
        return False


async def _tenants(object: str, world: World, store: Store, known: frozenset[Tenant]) -> frozenset[Tenant]:
    """The tenants the object belongs to. Raises NotFound or Refused."""
    kind, _, name = object.partition(":")
    stack, _, number = name.partition("/")
    if kind == "tenant" and name in known:
        return frozenset({Tenant(name)})
    if kind == "incident":
        incident = await Incidents(store).find(IncidentId(name))
        if incident is None:
            raise NotFound(f"There is no incident {name!r}.")
        return frozenset({incident.tenant})
    if kind == "rollout" and number.isdecimal():
        found = world.stack(stack)
        facts = await found.rollouts.rollout(RolloutId(int(number)))
        if facts is None:
            raise NotFound(f"There is no rollout {number} on {stack}.")
        return await world.tenants_of(found, facts)
    raise Refused(f"{object!r} is none of {OBJECTS}. Tenants: {', '.join(sorted(known))}.")
