"""The workspace that area page shows: a channel of 10,000 alarms and one of 50."""

from __future__ import annotations

from typing import Any

from sandbox import cast
from sandbox.slack import SlackSandbox
from sandbox.slack.records import Message

READER = cast.PEOPLE["alice"]
MANY, FEW = "C0MANY", "C0FEW"
SIZES = {MANY: 10_000, FEW: 50}
SHOWN = 50


def alarm(number: int, note: str) -> list[dict[str, Any]]:
    """Blocks as the bot writes them for one alarm; `note` is what changes."""
    device = f"a-gw-{number:05d}"
    rows = {"Device": f"`{device}`", "Tenant": "customer-a on eu1", "Severity": "critical", "State": "open"}
    buttons = {"acknowledge": "Acknowledge", "clear": "Clear", "run:journal": "Logs", "run:rauc-status": "RAUC status"}
    return [
        _section(f":red_circle: critical: *OTA Failure* on {device}"),
        {"type": "section", "fields": [_mrkdwn(f"*{name}*\n{value}") for name, value in rows.items()]},
        _section("*Details*\nOTA failed: slot rootfs.1 could not be written"),
        {"type": "context", "elements": [_mrkdwn(f"alarm-{number:05d}"), _mrkdwn(note)]},
        {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "action_id": action,
                    "text": {"type": "plain_text", "text": label, "emoji": True},
                    "value": f"{number:05d}",
                }
                for action, label in buttons.items()
            ],
        },
    ]


def filled() -> SlackSandbox:
    slack = SlackSandbox(team_id=cast.TEAM)
    workspace = slack.workspace
    workspace.add_user(READER.name, id=READER.id, email=READER.email)
    for channel, size in SIZES.items():
        workspace.add_channel(channel.removeprefix("C0").lower(), id=channel, members=(READER.id,))
        for number in range(size):
            said = Message(channel, workspace.next_ts(), workspace.bot_user, f"Alarm {number}", alarm(number, "raised"))
            said.bot_id = workspace.bot_id
            workspace.store(said)
    return slack


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}
