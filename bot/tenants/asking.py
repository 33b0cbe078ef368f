"""What is asked for a new tenant: the questions of `cdm init`, in its words, as far as no option answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe

from pydantic import ValidationError

from bot.secrets import Secret, SecretMissing
from bot.settings import StackSection
from bot.setup.asking import Terminal
from bot.setup.draft import SECRETS
from bot.setup.questions import QUESTIONS, Question
from bot.tenants.settings_text import Tree

_OF_INIT = {question.key: question for question in QUESTIONS}
CHANNEL = replace(
    _OF_INIT["slack.channel"],
    text="Its channel's id",
    why="Its alarms go there. At the bottom of the channel's details; the people in it read them all.",
)
GROUP = _OF_INIT["stack.keycloak_group"]
RANGE = replace(_OF_INIT["stack.wireguard_range"], default="")
USERNAME = _OF_INIT["thingsboard.username"]
PASSWORD = _OF_INIT["thingsboard.password"]


class BadAnswer(Exception):
    """An option will not do. The text says why, and holds no secret."""


def asked(question: Question, given: str | None, option: str, default: str = "") -> str:
    """The option's value, else what a person types. Raises BadAnswer."""
    if given is None:
        answer = Terminal().answer(question, lambda: default or question.default, kept=False)
        assert answer is not None  # only what is kept may be left open
        return answer
    why_not = question.check(given)
    if why_not is not None:
        raise BadAnswer(f"{option} will not do: {why_not}.")
    return given


def secret_of(given: str, option: str, base: Path) -> Tree:
    """`env:NAME` or `file:path` as cdm.yaml writes it; it must be readable now. Raises BadAnswer."""
    kind, _, rest = given.partition(":")
    try:
        secret = Secret.model_validate({kind: rest})
        (Secret(file=base / secret.file) if secret.file is not None else secret).read()
    except ValidationError:
        raise BadAnswer(f"{option} takes no secret itself, only where it is: env:NAME or file:path.") from None
    except SecretMissing as error:
        raise BadAnswer(f"{option}: {error}") from None
    return {kind: rest}


def tenant_of(
    id: str, stack: StackSection, options: Mapping[str, str | None], base: Path
) -> tuple[Tree, dict[Path, str]]:
    """The tenant as cdm.yaml has it, and the secret files it needs by their paths. `options` by their names."""
    files: dict[Path, str] = {}

    def kept(name: str, value: str) -> Tree:
        files[base / SECRETS / name] = value
        return {"file": f"{SECRETS}/{name}"}

    tenant: Tree = {
        "id": id,
        "keycloak_group": asked(GROUP, options["--group"], "--group", f"/{id}"),
        "channel": asked(CHANNEL, options["--channel"], "--channel"),
        "wireguard_range": asked(RANGE, options["--range"], "--range"),
    }
    key, password = options["--api-key"], options["--password"]
    if key is not None:
        tenant["thingsboard"] = {"api_key": secret_of(key, "--api-key", base)}
    else:
        username = asked(USERNAME, options["--username"], "--username", f"cdm-bot@{id}.example.com")
        given = (
            secret_of(password, "--password", base)
            if password is not None
            else kept(f"thingsboard-{id}", asked(PASSWORD, None, "--password"))
        )
        tenant["thingsboard"] = {"username": username, "password": given}
    tenant["webhook_secrets"] = [kept(f"webhook-{id}", token_urlsafe(32))]
    return tenant, files
