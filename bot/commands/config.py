"""`cdm config check`: everything that is wrong with the settings, and with `--probe` in the systems they name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bot import logs
from bot.audit_keys import KeyTooShort, keyring
from bot.commands.options import CONFIG, Config
from bot.config_file import BadConfig, Complaint, check_secrets, load_settings
from bot.policy_checks import check_policies
from bot.probe import TIMEOUT_S, Finding, Verdict
from bot.probe import probe as probe_systems
from bot.secrets import SecretMissing
from bot.settings import Settings
from runbooks import Catalog, CatalogError

app = typer.Typer(no_args_is_help=True, help="Check cdm.yaml and the systems it names.")


@app.callback()
def _group() -> None:
    """A group even with one command, so that it is called `cdm config check`."""


@app.command()
def check(
    config: Config = CONFIG,
    probe: Annotated[bool, typer.Option("--probe", help="Ask every system what the bot may do there.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="For each system, in seconds.")] = TIMEOUT_S,
) -> None:
    """Print every complaint with its fix. Exit code 1 where the bot would not work as it is."""
    logs.configure(level="error")
    try:
        settings = load_settings(config)
    except BadConfig as error:
        _print_complaints(error.complaints)
        raise typer.Exit(1) from None
    policies = check_policies(settings, config)
    complaints = [
        *check_secrets(settings, config),
        *audit_complaints(settings, config),
        *policies.refused,
        *_runbooks(settings),
    ]
    _print_complaints(complaints)
    for warning in policies.warned:
        typer.echo(f"warning: {warning}")
    if settings.audit.key is None:
        typer.echo(f"{config}: audit.key is not set: whoever owns the store can write the audit log anew, unseen")
    if not complaints:
        typer.echo(f"{config}: in order")
    findings = asyncio.run(probe_systems(settings, timeout_s=timeout_s)) if probe else []
    print_findings(findings)
    if complaints or any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


def audit_complaints(settings: Settings, path: Path) -> list[Complaint]:
    """A key of the audit that is there, but could be guessed."""
    try:
        keyring(settings)
    except KeyTooShort as error:
        return [Complaint(str(path), None, "audit", *str(error).split(". ", 1))]
    except SecretMissing:
        return []  # told with the other secrets
    return []


def policy_complaints(settings: Settings, path: Path) -> list[Complaint]:
    """Policies that are unsafe or could never pass, stack by stack, and calendars that cannot be read."""
    return list(check_policies(settings, path).refused)


def print_findings(findings: Sequence[Finding]) -> None:
    """A line for each, the systems in one column, and the fix below."""
    width = max((len(finding.system) for finding in findings), default=0)
    for finding in findings:
        typer.echo(f"{finding.verdict.value:<4}  {finding.system:<{width}}  {finding.text}")
        if finding.fix:
            typer.echo(f"{'':<4}  {'':<{width}}  fix: {finding.fix}")
    if findings:
        counted = {verdict: sum(f.verdict is verdict for f in findings) for verdict in Verdict}
        typer.echo(f"{counted[Verdict.FAIL]} failed, {counted[Verdict.WARN]} warnings, {counted[Verdict.OK]} in order")


def _runbooks(settings: Settings) -> list[Complaint]:
    try:
        Catalog.load(settings.runbooks_dir)
    except CatalogError as error:
        return [_runbook_complaint(fault) for fault in str(error).splitlines()]
    return []


def _runbook_complaint(fault: str) -> Complaint:
    file, line, problem = (*fault.split(":", 2), "", "")[:3]
    number = int(line) if line.isdecimal() else None
    return Complaint(file, number, "", problem.strip() or fault, "correct the runbook; the bot starts with none broken")


def _print_complaints(complaints: Iterable[Complaint]) -> None:
    for complaint in complaints:
        typer.echo(str(complaint), err=True)
