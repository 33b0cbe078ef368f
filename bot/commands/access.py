"""`cdm access`: why somebody may do something, or may not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Annotated
from uuid import UUID

import typer

from bot.acting import without_relays
from bot.adapters import access_rules, build_adapters
from bot.commands.options import CONFIG, Config, failures_told, give_up, settings_of
from bot.settings import Settings
from bot.store_access import opened_store
from core.access import Action, Link
from core.access_path import decision, linked_in_words, standing
from core.errors import NotFound, Refused
from core.ids import IncidentId, RolloutId, SlackUser, Subject, Tenant
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
        subject, steps = _person(user, settings.slack.team, (await Links(store).book()).links)
        if subject is None:
            return steps
        authority = await adapters.roles.authority(subject)
        if authority is None:
            return [*steps, "account: does not exist in Keycloak any more, so everything is refused"]
        tenants = await _tenants(object, World(adapters.stacks, clock), store, frozenset(rules.tenant_groups))
        return [*steps, *standing(authority, rules), *decision(action, object, tenants, authority, rules)]


def _person(user: str, team: str, links: Mapping[SlackUser, Link]) -> tuple[Subject | None, list[str]]:
    """Whom the word means, and the steps of their links. Raises NotFound where nobody linked is called so."""
    slack = SlackUser(team, user)
    if slack in links:
        return links[slack].subject, [linked_in_words(slack, links[slack])]
    of_account = {s: link for s, link in links.items() if user.casefold() in (link.username.casefold(), link.subject)}
    if of_account:
        subject = next(iter(of_account.values())).subject
        return subject, [linked_in_words(s, link) for s, link in of_account.items()]
    if _is_subject(user):
        return Subject(user), ["link: no Slack user is linked with this account, so the bot hears nothing from it"]
    if user[:1] in "UW" and user.isalnum() and user.isupper():
        return None, [linked_in_words(slack, None)]
    raise NotFound(f"Nobody linked is called {user!r}. Name a Slack user id (U…) or the account's subject.")


def _is_subject(user: str) -> bool:
    try:
        return str(UUID(user)) == user.lower()
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
