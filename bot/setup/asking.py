"""Where answers come from: a person at a terminal, or a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import typer
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bot.secrets import Secret, SecretMissing
from bot.setup.questions import LATER, QUESTIONS, TITLES, Question


class BadAnswers(Exception):
    """The answers file cannot be used. The text says why, and never holds a secret."""


class Answers(Protocol):
    def about(self, system: str) -> None:
        """The questions of this system come next."""
        ...

    def answer(self, question: Question, default: Callable[[], str], *, kept: bool) -> str | None:
        """A value that passes the question's check; LATER where that is allowed; None: leave it as it is, which may be
        the answer where `kept` (a secret that is there already). `default` is found out only where it is needed."""
        ...


class Terminal:
    """One question at a time. Secrets are not echoed."""

    def about(self, system: str) -> None:
        typer.secho(f"\n{TITLES[system]}", bold=True)

    def answer(self, question: Question, default: Callable[[], str], *, kept: bool) -> str | None:
        typer.secho(f"  {question.why}", dim=True)
        text, hidden = f"  {question.text}", question.secret
        if kept:
            text += " (Enter keeps the one that is there)"
        offered: str | None = "" if kept else (default() or (LATER if question.opens else None))
        while True:
            given = str(typer.prompt(text, default=offered, hide_input=hidden, show_default=not kept)).strip()
            if kept and not given:
                return None
            if question.opens and given == LATER:
                return LATER
            why_not = question.check(given)
            if why_not is None:
                return given
            typer.echo(f"  That will not do: {why_not}.")


class FromFile:
    """An answers file: a section a system (`slack: {mode: socket, ...}`). Secrets as {env: NAME} or {file: path}, the
    latter relative to the file. What is not in it is as if Enter had been pressed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._given = _read(path)

    def about(self, system: str) -> None:
        """Nobody to tell."""

    def answer(self, question: Question, default: Callable[[], str], *, kept: bool) -> str | None:
        given = self._given.get(question.key)
        if given is None:
            return self._unanswered(question, default, kept)
        if question.opens and given == LATER:
            return LATER
        value = self._secret(question, given) if question.secret else str(given)
        why_not = question.check(value)
        if why_not is not None:
            raise BadAnswers(f"{self._path}: {question.key} will not do: {why_not}.")
        return value

    def _unanswered(self, question: Question, default: Callable[[], str], kept: bool) -> str | None:
        if kept:
            return None
        offered = default() or (LATER if question.opens else "")
        if offered:
            return offered
        raise BadAnswers(f"{self._path}: {question.key} is missing ({question.text}).")

    def _secret(self, question: Question, given: object) -> str:
        try:
            secret = Secret.model_validate(given)
            if secret.file is not None:
                secret = Secret(file=self._path.parent / secret.file)
            return secret.read()
        except ValidationError:
            raise BadAnswers(
                f"{self._path}: {question.key} is a secret; write {{env: NAME}} or {{file: path}} there."
            ) from None
        except SecretMissing as error:
            raise BadAnswers(f"{self._path}: {question.key}: {error}") from None


def _read(path: Path) -> Mapping[str, Any]:
    """The answers by their keys."""
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadAnswers(f"{path} cannot be read: {error}.") from None
    except YAMLError:
        raise BadAnswers(f"{path} is no valid YAML.") from None
    if not isinstance(tree, Mapping) or not all(isinstance(section, Mapping) for section in tree.values()):
        raise BadAnswers(f"{path} must hold a section for each system, such as slack: {{mode: socket}}.")
    found = {f"{system}.{name}": value for system, section in tree.items() for name, value in section.items()}
    known = {question.key for question in QUESTIONS}
    unknown = sorted(found.keys() - known)
    if unknown:
        raise BadAnswers(f"{path}: there is no question {unknown[0]}. There are: {', '.join(sorted(known))}.")
    return found
