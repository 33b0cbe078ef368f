"""`cdm bundle upload`: a RAUC bundle into hawkBit, as a set that can be released."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from bot.acting import acting
from bot.commands.options import CONFIG, ByServiceAccount, Config, InRealm, failures_told, say, settings_of
from bot.commands.rollout import stack_named
from bot.rauc_info import NotRead, disagreements, rauc_info
from bot.settings import Settings
from core.ids import Stack
from flows.release.bundle import Bundle, Uploaded
from integrations.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="What devices install.")


@app.callback()
def _group() -> None:
    """A group even with one command, so that it is called `cdm bundle upload`."""


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The bundle.")],
    name: Annotated[str, typer.Option(help="The name of the distribution set: the product.")],
    version: Annotated[str, typer.Option(help="Its version, as devices report it.")],
    config: Config = CONFIG,
    module: Annotated[str, typer.Option(help="The software module's name, if not the set's.")] = "",
    type_: Annotated[str, typer.Option("--type", help="The type of module and set in hawkBit.")] = "os",
    compatible: Annotated[str, typer.Option(help="Warn where the bundle is for something else.")] = "",
    stack: Annotated[str, typer.Option(help="Needed where there are several.")] = "",
    service_account: ByServiceAccount = False,
    realm: InRealm = "",
) -> None:
    """Upload FILE, and make a locked distribution set of it. No device does anything by that."""
    settings = settings_of(config)
    with failures_told():
        where = stack_named(settings, stack)
        with file.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        bundle = Bundle(file, file.stat().st_size, sha256, name, version, module or name, type_)
        typer.echo(f"{file.name}: {bundle.size:,} bytes, sha256 {sha256}")
        _tell_what_rauc_says(bundle, compatible)
        done = asyncio.run(_upload(settings, where, bundle, service_account, realm))
    how = "is there already, with the same checksum" if done.file_there else "is uploaded, checksum compared"
    typer.echo(f"{file.name} {how}: software module {done.module}.")
    typer.echo(f"Set {done.set} {'was there' if done.set_there else 'is made'}, and is locked: number {done.set.id}.")
    typer.echo(f"To release it: cdm rollout create --set {done.set}, or /cdm rollout create in Slack.")


def _tell_what_rauc_says(bundle: Bundle, compatible: str) -> None:
    info = rauc_info(bundle.file)
    if isinstance(info, NotRead):
        say(info.why)
        return
    typer.echo(f"It says of itself: compatible {info.compatible}, version {info.version}.")
    for warning in disagreements(info, bundle.version, compatible):
        say(f"Warning: {warning}")


async def _upload(settings: Settings, stack: Stack, bundle: Bundle, service_account: bool, realm: str) -> Uploaded:
    async with acting(
        settings, SystemClock(), "bundle upload", service_account=service_account, say=say, realm=realm
    ) as act:
        with typer.progressbar(length=bundle.size, label=bundle.file.name, file=sys.stderr) as bar:
            return await act.parts.bundles.upload(act.caller, stack, bundle, lambda done: bar.update(done - bar.pos))
