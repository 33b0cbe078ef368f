"""What the commands share: where the settings are, and how a command gives up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bot import logs
from bot.config_file import BadConfig, load_settings
from bot.secrets import SecretMissing
from bot.settings import Settings
from bot.terminal import as_lines
from core.errors import OutsideError
from flows.gate import Denied
from integrations.store.connection import STORE_DOWN

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", envvar="CDM_CONFIG")]
CONFIG = Path("cdm.yaml")
ByServiceAccount = Annotated[
    bool, typer.Option("--service-account", help="Act as cli.service_account of the settings, instead of logging in.")
]
InRealm = Annotated[
    str, typer.Option("--realm", help="The Keycloak realm to log in to, where a stack has one of its own.")
]


def give_up(text: str) -> typer.Exit:
    """To be raised: the text on stderr, exit code 1."""
    typer.echo(text, err=True)
    return typer.Exit(1)


def say(text: str) -> None:
    """A line for the person at the terminal, apart from the command's answer."""
    typer.echo(text, err=True)


def settings_of(config: Path) -> Settings:
    """The settings; a wrong file ends the command with every complaint."""
    try:
        return load_settings(config)
    except BadConfig as error:
        raise give_up(str(error)) from None


@contextmanager
def failures_told() -> Iterator[None]:
    """Log to stderr, errors only, and end the command in words where another system or the disk fails it."""
    logs.configure(level="error")
    try:
        yield
    except SecretMissing as error:
        raise give_up(str(error)) from None
    except Denied as no:
        raise give_up(as_lines(no.text)) from None
    except OutsideError as error:
        raise give_up(error.user_text) from None
    except STORE_DOWN as error:
        raise give_up(f"The store went away ({error}). Look whether it still runs, then try again.") from None
    except OSError as error:
        raise give_up(f"{error}. Run the command as the user the bot runs as, on the bot's machine.") from None
