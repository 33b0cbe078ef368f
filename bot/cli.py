"""`cdm`: the bot, and the commands around it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from bot import logs
from bot.commands import (
    access,
    audit,
    audit_trim,
    bundle,
    config,
    doctor,
    init,
    links,
    policy,
    rollout,
    slack,
    store,
    tenant,
    thingsboard,
    why,
)
from bot.config_file import BadConfig, check_secrets, load_settings
from bot.secrets import SecretMissing
from core.commands import FORMS
from core.errors import OutsideError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="CDM ChatOps: the bot on-call engineers work with.",
)

app.add_typer(config.app, name="config")
app.add_typer(doctor.app, name="doctor")
app.add_typer(access.app, name="access")
app.add_typer(audit.app, name="audit")
audit.app.command()(audit_trim.trim)
audit.app.command()(audit_trim.close)
app.add_typer(links.app, name="links")
app.add_typer(policy.app, name="policy")
app.add_typer(rollout.app, name="rollout")
app.add_typer(bundle.app, name="bundle")
app.add_typer(slack.app, name="slack")
app.add_typer(tenant.app, name="tenant")
app.add_typer(thingsboard.app, name="thingsboard")
app.command()(init.init)
app.command()(why.why)
app.command()(store.backup)
app.command()(store.restore)

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", envvar="CDM_CONFIG")]


@app.command()
def serve(config: Config = Path("cdm.yaml"), log_level: str = "info") -> None:
    """Run the bot on the systems that cdm.yaml names, until SIGTERM."""
    from bot.lifespan import serve as serve_bot

    logs.configure(level=log_level)
    try:
        settings = load_settings(config)
        missing = [c for c in check_secrets(settings, config) if "chmod" not in c.fix]
        if missing:
            raise BadConfig(missing)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_bot(settings))
    except (BadConfig, SecretMissing) as error:
        raise _give_up(str(error)) from None
    except OutsideError as error:
        raise _give_up(error.user_text) from None
    except OSError as error:
        raise _give_up(f"The bot cannot listen: {error}. Choose another server.port, or end what holds it.") from None


@app.command()
def run(
    config: Config = Path("cdm.yaml"),
    directory: Annotated[Path, typer.Option(help="Where the sandbox keeps its files.")] = Path("var/sandbox"),
    devices: Annotated[int, typer.Option(help="Size of the simulated fleet.")] = 500,
    scenario: Annotated[
        str, typer.Option(help="What happens by itself: a name or a file; none for nothing; list shows what there is.")
    ] = "default-day",
    port: Annotated[int, typer.Option(help="Where the workspace page is; another one if it is taken.")] = 8750,
    page: Annotated[bool, typer.Option(help="Serve the workspace page.")] = True,
    seconds: Annotated[float | None, typer.Option("--for", help="End by itself after so many seconds.")] = None,
    check: Annotated[bool, typer.Option(help="Exit with an error if the scenario does not come true.")] = False,
) -> None:
    """The main job: with a cdm.yaml on the real systems, without one on a sandbox of all of them."""
    if scenario == "list":
        _list_scenarios()
        return
    if config.exists():
        serve(config)
        return
    from sandbox.app import Run
    from sandbox.app import main as run_sandbox

    interactive = sys.stdin.isatty() and seconds is None
    completions = [(form.usage, form.does) for form in FORMS]
    wanted = Run(devices, scenario, seconds, check, interactive, port if page else None, completions)
    try:
        code = asyncio.run(run_sandbox(directory, wanted))
    except ValueError as wrong:
        raise _give_up(str(wrong)) from None
    raise typer.Exit(code)


def _list_scenarios() -> None:
    from sandbox.scenarios import catalog

    for one in catalog():
        typer.echo(f"{one.name:20} {one.title}\n{'':20} {one.about}")


def _give_up(text: str) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(1)


def main() -> None:
    app()
