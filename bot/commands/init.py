"""`cdm init`: asks for what a bot needs, writes cdm.yaml and the secrets, and says what is still to be done."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bot import logs
from bot.commands.config import audit_complaints, policy_complaints, print_findings
from bot.commands.options import give_up
from bot.config_file import BadConfig, check_secrets, load_settings
from bot.probe import Finding, Verdict, bounded, looks
from bot.settings import Settings
from bot.setup.asking import Answers, BadAnswers, FromFile, Terminal
from bot.setup.draft import CannotChange, Draft
from bot.setup.questions import LATER, QUESTIONS, Question
from core.errors import OutsideError
from integrations.slack.client import SLACK_URL, SlackPosts

_PROBED_AS = {"thingsboard": "ThingsBoard", "hawkbit": "hawkBit", "keycloak": "Keycloak", "relay": "relay"}
TEAM_S = 5.0


def init(
    directory: Annotated[Path, typer.Option(file_okay=False, help="Where cdm.yaml and secrets/ are to be.")] = Path(),
    answers: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Answers (YAML) instead of questions.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --answers: change a cdm.yaml that is there.")
    ] = False,
    probe: Annotated[bool, typer.Option(help="Ask the systems afterwards what the bot may do there.")] = True,
) -> None:
    """Ask for what the bot needs, write cdm.yaml and its secrets (mode 600), check them, and ask the systems.

    What is not there yet is answered with "later". Run it again to add it: Enter keeps each answer.
    """
    logs.configure(level="error")
    try:
        draft = Draft.begin(directory)
        source: Answers = Terminal() if answers is None else FromFile(answers)
        _may_change(draft, interactive=answers is None, overwrite=overwrite)
        _ask(draft, source)
        draft.complete()
        draft.write()
        settings = load_settings(draft.config)
    except (CannotChange, BadAnswers, BadConfig) as error:
        raise give_up(str(error)) from None
    except OSError as error:
        raise give_up(f"Nothing was changed: {error}. Check the rights of {directory}.") from None
    _say_what_was_written(draft)
    fine = _check(draft, settings) and (not probe or _probe(draft, settings))
    _say_what_is_next(draft, settings)
    if not fine:
        raise typer.Exit(1)


def _may_change(draft: Draft, *, interactive: bool, overwrite: bool) -> None:
    if draft.fresh:
        return
    if not interactive and not overwrite:
        raise CannotChange(f"{draft.config} is there already. Add --overwrite to change it.")
    if interactive and not typer.confirm(f"{draft.config} is there already. Change it? Enter will keep each answer."):
        raise typer.Exit


def _ask(draft: Draft, source: Answers) -> None:
    given: dict[str, str] = {}
    later: set[str] = set()
    told = ""
    for question in QUESTIONS:
        system = question.system
        if system in later or not _applies(question, given):
            continue
        if system != told:
            source.about(system)
            told = system
        value = source.answer(question, partial(_default, draft, question, given), kept=draft.keeps(question))
        if value == LATER and question.opens:
            later |= {system, "brake"} if system == "hawkbit" else {system}
            draft.leave_for_later(system)
        elif value is not None:
            given[question.key] = value
            draft.put(question, value)


def _applies(question: Question, given: dict[str, str]) -> bool:
    return question.only_if is None or given.get(question.only_if[0]) == question.only_if[1]


def _default(draft: Draft, question: Question, given: dict[str, str]) -> str:
    if draft.fresh and question.key == "stack.keycloak_group":
        return f"/{given['stack.tenant']}"
    if draft.fresh and question.key == "slack.team":
        return asyncio.run(_team(given["slack.bot_token"], os.environ.get("CDM_SLACK__API_URL", SLACK_URL)))
    return draft.default(question)


async def _team(token: str, url: str) -> str:
    """The workspace the token belongs to; "" where Slack does not say."""
    posts = SlackPosts(lambda: token, base_url=url)
    try:
        async with asyncio.timeout(TEAM_S):
            return (await posts.auth_test()).team
    except (OutsideError, TimeoutError):
        return ""
    finally:
        await posts.aclose()


def _say_what_was_written(draft: Draft) -> None:
    typer.echo(f"\nWritten: {draft.config}")
    for name in draft.private:
        typer.echo(f"         {draft.directory / name} (mode 600)")
    for name in draft.public:
        typer.echo(f"         {draft.directory / name}")


def _check(draft: Draft, settings: Settings) -> bool:
    checks = check_secrets, audit_complaints, policy_complaints
    complaints = [complaint for check in checks for complaint in check(settings, draft.config)]
    for complaint in complaints:
        typer.echo(str(complaint), err=True)
    return not complaints


def _probe(draft: Draft, settings: Settings) -> bool:
    """Of what is there. False where something the bot is for does not work."""
    unset = tuple(_PROBED_AS[system] for system in draft.later if system in _PROBED_AS)
    findings = asyncio.run(_findings(settings, unset))
    typer.echo("")
    print_findings(findings)
    return not any(finding.verdict is Verdict.FAIL for finding in findings)


async def _findings(settings: Settings, unset: tuple[str, ...]) -> list[Finding]:
    asked = {system: look for system, look in looks(settings).items() if not system.startswith(unset or ("\0",))}
    found = await asyncio.gather(*(bounded(system, look) for system, look in asked.items()))
    return [finding for findings in found for finding in findings]


def _say_what_is_next(draft: Draft, settings: Settings) -> None:
    stack = settings.stacks[0]
    steps = [
        "In Slack, in the channel: /invite @cdm",
        f"cdm config check --probe --config {draft.config}   until nothing fails",
        f"cdm serve --config {draft.config}",
        f"Send a first alarm (docs/quickstart.md); its secret is in {stack.tenants[0].webhook_secrets[0].where}",
    ]
    if stack.relay is not None:
        steps.append(f"Give {stack.relay.key_file}.pub to the account {stack.relay.username} on {stack.relay.host}")
    if draft.later:
        steps.append(f"Later: {', '.join(draft.later)}. Each has its part in docs/quickstart.md; then cdm init again")
    typer.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")
