"""A runbook file: what it may hold, and errors that name file, line and cure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from runbooks.parameters import Parameter

PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_INTERPRETERS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "eval", "xargs", "env"})

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
ParserName = Literal["text", "journal", "rauc-status"]


class CatalogError(Exception):
    """A catalog file cannot be used: one line `file:line: what, and what to write instead` for each fault."""


class StepSpec(BaseModel):
    """One command. `{name}` in a word stands for a parameter's value, in the whole word or within it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    argv: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(min_length=1, max_length=40)
    timeout_s: float = Field(default=20.0, gt=0, le=600)
    max_bytes: int = Field(default=65536, gt=0, le=4 * 1024 * 1024)

    @field_validator("argv", mode="before")
    @classmethod
    def _is_a_list(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError("a shell string; write a list of words: [journalctl, -n, '50']")
        return value

    @field_validator("argv")
    @classmethod
    def _is_no_shell(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if PLACE.search(argv[0]) or any(char.isspace() for char in argv[0]):
            raise ValueError("the first word must be the program alone, without parameters or spaces")
        for word in argv:
            if PurePosixPath(word).name in _INTERPRETERS:
                raise ValueError(f"{word} would interpret its arguments; name the program itself")
            if "{" in PLACE.sub("", word) or "}" in PLACE.sub("", word):
                raise ValueError(f"a brace in {word!r} that encloses no parameter name")
            if not word.isprintable():
                raise ValueError(f"a control character in {word!r}")
        return argv

    def parameters(self) -> set[str]:
        return {name for word in self.argv for name in PLACE.findall(word)}


class RunbookSpec(BaseModel):
    """`kind: command` runs its steps on the device; `kind: hawkbit` is an act in hawkBit and has no steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: str = Field(min_length=1, max_length=75)
    risk: Literal["read", "change"]
    description: str = Field(min_length=1, max_length=500)
    kind: Literal["command", "hawkbit"] = "command"
    action: Literal["redeploy"] | None = None
    parameters: dict[ParameterName, Parameter] = {}
    steps: tuple[StepSpec, ...] = Field(default=(), max_length=10)
    parser: ParserName = "text"

    @model_validator(mode="after")
    def _is_consistent(self) -> RunbookSpec:
        if self.kind == "hawkbit" and (self.steps or self.action is None or self.risk != "change"):
            raise ValueError("a hawkbit runbook has an action, risk: change, and no steps")
        if self.kind == "command" and (not self.steps or self.action is not None):
            raise ValueError("a command runbook has at least one step, and no action")
        used = {name for step in self.steps for name in step.parameters()}
        if used != set(self.parameters):
            odd = ", ".join(sorted(used ^ set(self.parameters)))
            raise ValueError(f"parameters declared and parameters used in argv differ: {odd}")
        return self


Spec = TypeVar("Spec", bound=RunbookSpec)


def parse_runbook(text: str, file: str, model: type[Spec]) -> Spec:
    """The runbook in one YAML file. CatalogError names `file` and the line of each fault."""
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError(f"{file}:{line}: {error.problem or 'not YAML'}") from error
    except YAMLError as error:
        raise CatalogError(f"{file}:1: not YAML: {error}") from error
    if not isinstance(document, CommentedMap):
        raise CatalogError(f"{file}:1: a runbook is a mapping that starts with name, title, risk and description")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = [_fault(file, document, dict(fault)) for fault in error.errors(include_url=False)]
        raise CatalogError("\n".join(faults)) from error


def _fault(file: str, document: CommentedMap, fault: Mapping[str, Any]) -> str:
    where = [part for part in fault["loc"] if part != "[key]"]
    line, path = _line_of(document, where)
    what = "an unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return f"{file}:{line}: {'.'.join(path) + ': ' if path else ''}{what}"


def _line_of(document: CommentedMap, where: list[int | str]) -> tuple[int, list[str]]:
    """The line nearest to a place in the document. Parts that are not in it (a union's tag) are passed over."""
    node: Any = document
    line, path = 1, []
    for part in where:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            if part == where[-1]:
                path.append(str(part))
            continue
        node = node[part]
        path.append(str(part))
    return line, path
