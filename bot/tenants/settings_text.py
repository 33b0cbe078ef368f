"""One tenant into `cdm.yaml` or out of it, and not a byte of the rest changed.

The lines are cut or put in where the YAML parser says that they are; what comes out is parsed again and must be the old
settings with that one tenant more or less.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from bot.config_file import BadConfig, load_settings

Tree = dict[str, Any]

_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9/_.@-]*|[0-9][0-9./]*/[0-9]+")
"""What needs no quotes in YAML: names, paths, addresses of people, networks."""
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


class CannotEdit(Exception):
    """The file is written in a way that a tenant cannot be put in or taken out by a command. The text says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The new text of the settings, and the secret files it needs (contents by path). Nothing is written before
    `write`."""

    path: Path
    text: str
    secrets: Mapping[Path, str] = field(default_factory=dict)

    def write(self) -> Path:
        """All or nothing; the settings last, only if they are valid, with the mode and owner they had. Answers where
        the old ones are kept. Raises BadConfig, OSError (FileExistsError where a secret file is there already)."""
        path = self.path.resolve()
        part, kept = path.with_name(f".{path.name}.part"), path.with_name(f"{path.name}.bak")
        made: list[Path] = []
        try:
            _like(path, part, self.text.encode())
            _checked(part, self.path)
            for name, value in self.secrets.items():
                name.parent.mkdir(mode=0o700, exist_ok=True)
                with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    made.append(name)
                    file.write(f"{value}\n")
                    file.flush()
                    os.fsync(file.fileno())
            _like(path, kept, path.read_bytes())
            part.replace(path)
        except BaseException:  # an interrupt too: a secret that no settings name is of no use to anybody
            for name in made:
                name.unlink(missing_ok=True)
            raise
        finally:
            part.unlink(missing_ok=True)
        return kept


def with_tenant(path: Path, stack: str, tenant: Tree) -> str:
    """The text of the settings with the tenant after the last one of the stack. Raises CannotEdit."""
    text = path.read_text(encoding="utf-8")
    tenants = _tenants(path, text, stack)
    lines = text.splitlines(keepends=True)
    first, last = _lines_of(path, lines, tenants, len(tenants) - 1)
    if not lines[last - 1].endswith("\n"):
        lines[last - 1] += "\n"
    dash = len(lines[first]) - len(lines[first].lstrip(" "))
    new = "".join(lines[:last] + _written(tenant, dash) + lines[last:])
    expected = _plain(text)
    _stack(expected, stack)["tenants"].append(tenant)
    return _same(path, new, expected)


def without_tenant(path: Path, stack: str, tenant: str) -> str:
    """The text of the settings without the tenant, and without comments right above it that name it. Raises
    CannotEdit."""
    text = path.read_text(encoding="utf-8")
    tenants = _tenants(path, text, stack)
    at = next(number for number, one in enumerate(tenants) if one["id"] == tenant)
    lines = text.splitlines(keepends=True)
    first, last = _lines_of(path, lines, tenants, at)
    named = re.compile(rf"^\s*#.*(?<![\w-]){re.escape(tenant)}(?![\w-])")
    while first > 0 and named.search(lines[first - 1]):
        first -= 1
    expected = _plain(text)
    del _stack(expected, stack)["tenants"][at]
    return _same(path, "".join(lines[:first] + lines[last:]), expected)


def _tenants(path: Path, text: str, stack: str) -> CommentedSeq:
    tree = YAML(typ="rt").load(text)
    section: CommentedMap = _stack(tree, stack)
    found = section["tenants"]
    if not isinstance(found, CommentedSeq) or found.fa.flow_style():
        raise CannotEdit(
            f"{path}: the tenants of stack {stack} stand in brackets. Write each as an item of a list (`- id: …`) "
            "first, or make the change by hand."
        )
    return found


def _stack(tree: Any, stack: str) -> Any:
    return next(one for one in tree["stacks"] if one["name"] == stack)


def _lines_of(path: Path, lines: list[str], tenants: CommentedSeq, at: int) -> tuple[int, int]:
    """First line of the item, and the one after its last: all that is deeper than its dash, without the blank lines
    after it."""
    first = tenants.lc.item(at)[0]
    dash = len(lines[first]) - len(lines[first].lstrip(" "))
    if lines[first][dash : dash + 2] != "- ":
        raise CannotEdit(f"{path}:{first + 1}: write `- ` and the first key of the tenant on one line first.")
    last = end = first + 1
    while end < len(lines):
        line = lines[end]
        deeper = len(line) - len(line.lstrip(" ")) > dash
        if line.strip() and not deeper:
            break
        end += 1
        if line.strip():
            last = end
    return first, last


def _written(tenant: Tree, dash: int) -> list[str]:
    keys, out = " " * (dash + 2), []
    for name, value in tenant.items():
        if isinstance(value, dict) and set(value) <= {"username", "password", "api_key"}:
            out.append(f"{name}:\n")
            out += [f"  {key}: {_scalar(one)}\n" for key, one in value.items()]
        elif isinstance(value, list):
            out.append(f"{name}:\n")
            out += [f"  - {_scalar(one)}\n" for one in value]
        else:
            out.append(f"{name}: {_scalar(value)}\n")
    return [f"{' ' * dash}- {line}" if number == 0 else f"{keys}{line}" for number, line in enumerate(out)]


def _scalar(value: Any) -> str:
    if isinstance(value, dict):
        ((key, one),) = value.items()
        return f"{{{key}: {_scalar(one)}}}"
    text = str(value)
    return text if _BARE.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)


def _plain(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _same(path: Path, new: str, expected: Any) -> str:
    """`new`, if it says what is expected."""
    try:
        fine = _plain(new) == expected
    except YAMLError:
        fine = False
    if not fine:
        raise CannotEdit(f"{path} is written in a way that this command cannot change safely. Change it by hand.")
    return new


def _like(old: Path, new: Path, content: bytes) -> None:
    """`content` in the file `new`, with the mode and, where that is allowed, the owner of `old`."""
    was = old.stat()
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with suppress(PermissionError):
            os.fchown(file.fileno(), was.st_uid, was.st_gid)
        os.fchmod(file.fileno(), was.st_mode & 0o7777)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _checked(part: Path, path: Path) -> None:
    """Raises BadConfig in the name of the file that is to be."""
    try:
        load_settings(part)
    except BadConfig as error:
        raise BadConfig([replace(complaint, file=str(path)) for complaint in error.complaints]) from None
