"""`cdm policy`: whether the policies can pass at all, and which one decides about a rollout, and how."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bot.commands.config import print_findings
from bot.commands.options import CONFIG, Config, failures_told, give_up, settings_of
from bot.policy_book import PolicyBook
from bot.policy_checks import ask_fleet, check_policies
from bot.policy_sources import sources
from bot.probe import TIMEOUT_S, Verdict
from bot.settings import Settings
from core.ids import Stack
from core.messages.text import plain
from core.rollouts.policies import Policies
from core.rollouts.policy_check import DEFAULT_SHARES, group_sizes
from core.rollouts.policy_words import gates_in_words, values, why_it_applies, windows_in_words
from integrations.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="What decides about releases.")

_DEFAULT = "/".join(f"{share:g}" for share in DEFAULT_SHARES)


@app.command()
def check(
    config: Config = CONFIG,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Of each stack; without it and --probe sizes of groups are not checked.")
    ] = None,
    groups: Annotated[str, typer.Option(help="Shares of the groups, in per cent.")] = _DEFAULT,
    probe: Annotated[bool, typer.Option("--probe", help="Ask ThingsBoard how many devices there are.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="For each system, in seconds.")] = TIMEOUT_S,
) -> None:
    """Print which policies could never pass, and what deserves a second look. Exit code 1 for the first."""
    settings, shares = settings_of(config), _shares(groups)
    with failures_told():
        counted, findings = asyncio.run(ask_fleet(settings, timeout_s)) if probe else ({}, ())
        print_findings(findings)
        known = {Stack(s.name): devices for s in settings.stacks} if devices is not None else dict(counted)
        checked = check_policies(settings, config, shares=shares, devices=known)
    for complaint in checked.refused:
        typer.echo(str(complaint), err=True)
    for warning in checked.warned:
        typer.echo(f"warning: {warning}")
    for stack, count in known.items():
        sizes = "/".join(f"{size}" for size in group_sizes(count, shares))
        typer.echo(f"{stack}: checked with {count} devices in groups of {sizes}")
    if not known:
        typer.echo("The sizes of groups were not checked: say --devices N, or --probe.")
    if checked.refused or any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)
    typer.echo(f"{config}: every policy can pass")


@app.command()
def explain(
    rollout: Annotated[str, typer.Argument(help="The rollout's name; it need not be there yet.")],
    config: Config = CONFIG,
    stack: Annotated[str, typer.Option(help="Only this one of several.")] = "",
    policy: Annotated[str, typer.Option(help="The one that was named when the rollout was made.")] = "",
) -> None:
    """Which policy decides about a rollout, and why; each value and where it comes from; what each gate asks.

    Asks no system and changes nothing.
    """
    settings = settings_of(config)
    names = [section.name for section in settings.stacks]
    if stack and stack not in names:
        raise give_up(f"There is no stack {plain(stack, 60)!r} in {config}. There are: {', '.join(names)}.")
    with failures_told():
        book = PolicyBook(settings, SystemClock())
        asyncio.run(book.load())
        for name in [stack] if stack else names:
            _explain(settings, config, name, book.of(Stack(name)), rollout, policy)


def _explain(settings: Settings, config: Path, stack: str, policies: Policies, rollout: str, chosen: str) -> None:
    applied, now = policies.applied(rollout, chosen), datetime.now(UTC)
    origin = sources(settings, config, applied.policy.name)
    said = [
        f"{plain(rollout, 200)} on {stack}: {why_it_applies(applied)}",
        *(f"  {name:<19} {value:<28} {origin.get(name, 'built in')}" for name, value in values(applied.policy)),
        "What must hold before a group starts:",
        *(f"  - {line}" for line in gates_in_words(applied.policy)),
        *(f"  - {line}" for line in windows_in_words(applied.policy, now)),
    ]
    typer.echo("\n".join(said))


def _shares(groups: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in groups.split("/"))
    except ValueError:
        shares = ()
    if not shares or min(shares) <= 0 or round(sum(shares), 6) != 100:
        raise give_up(f"--groups {plain(groups, 60)!r} are no shares that make 100; write them as {_DEFAULT}.")
    return shares
