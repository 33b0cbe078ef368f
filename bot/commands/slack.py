"""`cdm slack manifest`: the Slack app, ready to be created from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bot.commands.options import give_up
from bot.slack_scopes import APP_SCOPE, EVENTS, SCOPES

app = typer.Typer(no_args_is_help=True, help="The Slack app.")

HINT = "alarms | rollout list | device <id> | run [runbook] [device] | link | help"


class Mode(StrEnum):
    SOCKET = "socket"
    HTTP = "http"


@app.callback()
def _group() -> None:
    """A group even with one command, so that it is called `cdm slack manifest`."""


@app.command()
def manifest(
    mode: Annotated[Mode, typer.Option(help="As slack.mode in cdm.yaml.")] = Mode.SOCKET,
    url: Annotated[str, typer.Option(help="The bot's public_url; mode http needs it.")] = "",
) -> None:
    """Print the app's manifest (YAML): api.slack.com/apps, "Create New App", "From a manifest"."""
    if mode is Mode.HTTP and not url.startswith("https://"):
        raise give_up(
            "In mode http Slack calls the bot, at an https address only. Give it with --url, as server.public_url in "
            "cdm.yaml: cdm slack manifest --mode http --url https://cdm-bot.example.com"
        )
    typer.echo(manifest_text(mode, url), nl=False)


def manifest_text(mode: Mode, url: str = "") -> str:
    """`url` is the bot's public address, used in mode http alone."""
    door = f"{url.rstrip('/')}/slack/events"
    address = f'\n      url: "{door}"' if mode is Mode.HTTP else ""
    request = f'\n    request_url: "{door}"' if mode is Mode.HTTP else ""
    events = "\n".join(f"      - {event.name}  # {event.why}" for event in EVENTS)
    width = max(len(scope.name) for scope in SCOPES)
    scopes = "\n".join(f"      - {scope.name:<{width}}  # {scope.why}" for scope in SCOPES)
    return f"""{_HEAD[mode]}
_metadata:
  major_version: 2
display_information:
  name: CDM ChatOps
  description: Alarms, rollouts and runbooks of the device fleet
  background_color: "#1b2a41"
features:
  app_home:
    home_tab_enabled: true
    messages_tab_enabled: false
  bot_user:
    display_name: cdm
    always_online: true
  slash_commands:
    - command: /cdm{address}
      description: Alarms, rollouts and runbooks
      usage_hint: "{HINT}"
      should_escape: false
oauth_config:
  scopes:
    bot:
{scopes}
settings:
  event_subscriptions:{request}
    bot_events:
{events}
  interactivity:
    is_enabled: true{request}
  org_deploy_enabled: false
  socket_mode_enabled: {"true" if mode is Mode.SOCKET else "false"}
  token_rotation_enabled: false
"""


_INVITE = "# Then invite the bot to each channel that cdm.yaml names: /invite @cdm"
_HEAD = {
    Mode.SOCKET: f"""# Made by `cdm slack manifest`. After installing the app, make an app-level token with the scope
# {APP_SCOPE} (Basic Information, App-Level Tokens): it is slack.app_token; the Bot User OAuth Token is
# slack.bot_token.
{_INVITE}""",
    Mode.HTTP: f"""# Made by `cdm slack manifest --mode http`. After installing the app, its Signing Secret (Basic
# Information) is slack.signing_secret; the Bot User OAuth Token is slack.bot_token.
{_INVITE}""",
}
