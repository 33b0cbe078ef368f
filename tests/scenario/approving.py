"""What tests of approvals share: policy, asking with a reason, and logging in anew from a private link."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sandbox.browser import Browser
from sandbox.cast import PASSWORD, ROLLOUTS
from sandbox.slack.seen import SeenEphemeral, SeenMessage
from tests.scenario.people import Person

_URL = re.compile(r"https?://[^\s<>|\"'\\]+")


def set_policy(config: Path, **actions: dict[str, Any]) -> None:
    """Write these rules into the `approvals` of a bot that is not started yet."""
    yaml = YAML()
    tree = yaml.load(config.read_text())
    tree["approvals"] = actions
    with config.open("w") as file:
        yaml.dump(tree, file)


async def asks_for(
    person: Person, message: SeenMessage, action: str, reason: str, channel: str = ROLLOUTS
) -> SeenEphemeral:
    """Press a button that needs a second person, and give a reason in the form that is offered. What is told then."""
    refused = await person.presses(message, action, channel)
    assert "second person" in refused.shown, refused.shown
    return await gives_reason(person, refused, "ask", reason, channel)


async def gives_reason(
    person: Person, where: SeenMessage | SeenEphemeral, action: str, reason: str, channel: str = ROLLOUTS
) -> SeenEphemeral:
    slack = person.office.slack
    before = {said.ts for said in await person.private()}
    delivered = await slack.click(person.id, channel, where.ts, action)
    assert delivered.acked, delivered.error
    await slack.wait_for_modal(person.id, lambda view: "Why?" in view.shown, 10)
    sent = await slack.submit_view(person.id, {"reason": reason})
    assert sent.acked, sent.error
    return await slack.wait_for_ephemeral(person.id, lambda said: said.ts not in before, 15)


def link_in(said: SeenEphemeral) -> str:
    found = _URL.search(json.dumps(said.blocks) + " " + said.text)
    assert found is not None, said.shown
    return unescape(found[0])


async def logs_in_anew(said: SeenEphemeral, username: str, password: str = PASSWORD) -> str:
    """Follow the private link, log in, and read the last page."""
    async with Browser() as browser:
        await browser.open(link_in(said))
        for _ in range(3):
            if browser.asks_for_login:
                await browser.log_in(username, password)
        return browser.text
