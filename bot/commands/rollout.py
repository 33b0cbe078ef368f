"""`cdm rollout`: a person's order about a rollout, and making one, where Slack is not at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from bot.acting import Acting, acting
from bot.commands.options import (
    CONFIG,
    ByServiceAccount,
    Config,
    InRealm,
    failures_told,
    give_up,
    say,
    settings_of,
)
from bot.settings import Settings
from bot.terminal import as_lines
from core.commands import FORMS
from core.errors import Refused
from core.ids import Stack
from core.messages.release import CREATE, preview_message
from core.messages.text import plain
from core.rollouts.wish import SHARES, ReleaseWish, wish_of
from flows.orders import LoginWanted, NeedsAnother, Ordered
from integrations.clock import SystemClock

WIDTH = 2_000
Reason = Annotated[str, typer.Option(help="Where a second person must agree: ask for it, and say why.")]
LOOKS = ("rollout list", "rollout status", "rollout stuck", "rollout create")
VERBS = [form.words[1] for form in FORMS if form.words[0] == "rollout" and form.name not in LOOKS]

app = typer.Typer(
    no_args_is_help=True,
    help="Do to a rollout what may be done to it in Slack, after a login, by the same rights; or make one.",
)


def _named(verb: str) -> Callable[..., None]:
    def order(
        name: Annotated[str, typer.Argument(help="The rollout's name in hawkBit.")],
        config: Config = CONFIG,
        reason: Reason = "",
        service_account: ByServiceAccount = False,
        realm: InRealm = "",
    ) -> None:
        settings = settings_of(config)
        with failures_told():
            ordered = asyncio.run(_order(settings, verb, name, reason.strip(), service_account, realm))
        _tell(ordered)

    return order


for _form in FORMS:
    _word, _, _verb = _form.name.partition(" ")
    if _word == "rollout" and _verb in VERBS:
        app.command(_verb, help=f"{_form.does[:1].upper()}{_form.does[1:]}.")(_named(_verb))


@app.command(CREATE)
def create(
    set_: Annotated[str, typer.Option("--set", help="The distribution set, as name:version.")],
    config: Config = CONFIG,
    stack: Annotated[str, typer.Option(help="Needed where there are several.")] = "",
    tenant: Annotated[str, typer.Option(help="Only devices of this tenant, by its target_filter.")] = "",
    filter_: Annotated[
        str, typer.Option("--filter", help="hawkBit's filter language; with --tenant it narrows that one's devices.")
    ] = "",
    groups: Annotated[str, typer.Option(help="Shares in per cent.")] = "/".join(f"{share:g}" for share in SHARES),
    soft: Annotated[bool, typer.Option("--soft", help="Devices install when they like.")] = False,
    start_at: Annotated[str, typer.Option(help="As 2026-11-24T22:00:00+01:00; without it a person starts it.")] = "",
    policy: Annotated[str, typer.Option(help="The policy's name; without it the one that fits.")] = "",
    label: Annotated[str, typer.Option(help="Tells it from an earlier release of the same set there.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would reach.")] = False,
    reason: Reason = "",
    service_account: ByServiceAccount = False,
    realm: InRealm = "",
) -> None:
    """Make a rollout that pauses after every group, once it was shown what it reaches."""
    settings = settings_of(config)
    with failures_told():
        wish = wish_of(
            {
                "stack": stack_named(settings, stack),
                "set": set_,
                "where": filter_ or ("" if tenant else "name==*"),
                "tenant": tenant,
                "groups": groups,
                "kind": "soft" if soft else "forced",
                "start": start_at,
                "policy": policy,
                "label": label,
            }
        )
        ordered = asyncio.run(_create(settings, wish, dry_run, reason.strip(), service_account, realm))
    _tell(ordered)


def _tell(ordered: Ordered) -> None:
    said = plain(ordered.text, WIDTH)
    if not ordered.done:
        raise give_up(said)
    typer.echo(said)


def stack_named(settings: Settings, named: str) -> Stack:
    """The stack of that name, or the only one. Raises Refused."""
    names = [section.name for section in settings.stacks]
    if not named and len(names) == 1:
        return Stack(names[0])
    if named not in names:
        raise Refused(f"Name the stack with --stack: {', '.join(names)}.")
    return Stack(named)


async def _order(settings: Settings, verb: str, name: str, reason: str, service_account: bool, realm: str) -> Ordered:
    command = f"rollout {verb}"
    async with acting(settings, SystemClock(), command, service_account=service_account, say=say, realm=realm) as act:
        _, visible = await act.parts.gate.viewer(act.caller)
        stack, facts = await act.parts.orders.named(name, visible)
        return await _carried_out(act, f"{verb}:{stack.name}/{facts.id}", reason)


async def _create(
    settings: Settings, wish: ReleaseWish, dry_run: bool, reason: str, service_account: bool, realm: str
) -> Ordered:
    command = f"rollout {CREATE}"
    async with acting(settings, SystemClock(), command, service_account=service_account, say=say, realm=realm) as act:
        view, draft = await act.parts.releases.preview(act.caller, wish)
        typer.echo(as_lines(preview_message(view, draft).text))
        if view.reach.against:
            return Ordered("Nothing was made.", done=False)
        if dry_run:
            return Ordered("Nothing was made: this was a dry run.", done=True)
        return await _carried_out(act, f"{CREATE}:{draft}", reason)


async def _carried_out(act: Acting, value: str, reason: str) -> Ordered:
    """The order that a button would name so; where a second person must agree, asked for with the reason."""
    try:
        return await act.parts.orders.order(act.caller, value)
    except NeedsAnother as needs:
        if not reason:
            raise Refused(f'{as_lines(needs.text)} To ask for it, type the same with --reason "why".') from None
        asked = await act.parts.approvals.ask(act.caller, act.parts.acts.value(needs.order), reason)
        return Ordered(as_lines(asked.text), done=False)
    except LoginWanted:
        raise Refused(
            "Nothing was done: by the bot's policy this takes a fresh login, which the command line cannot prove. "
            "Do it in Slack."
        ) from None
