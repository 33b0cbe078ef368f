"""Reading cdm.yaml so that every complaint names the file, the line, what is wrong and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from bot.secrets import SecretMissing
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with the settings. `line` is 1-based, None where no line can be named (a missing file)."""

    file: str
    line: int | None
    where: str
    problem: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{place}: {what}\n    fix: {self.fix}"


class BadConfig(Exception):
    """The settings cannot be used. `complaints` says why, all at once."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("\n".join(str(c) for c in complaints))
        self.complaints = tuple(complaints)


def load_settings(path: Path) -> Settings:
    """The validated settings. Relative paths in the file are relative to it. Raises BadConfig."""
    tree = _parse(path)
    try:
        settings = Settings(**_plain(tree))
    except ValidationError as error:
        complaints = [_complaint(path, tree, e) for e in error.errors()]
        raise BadConfig(list({c.where: c for c in reversed(complaints)}.values())[::-1]) from error
    return _anchored(settings, path.resolve().parent)


def check_secrets(settings: Settings, path: Path) -> list[Complaint]:
    """Complaints about secrets that are missing or badly kept."""
    found = []
    for where, secret in settings.secrets().items():
        try:
            secret.read()
        except SecretMissing as error:
            found.append(Complaint(str(path), None, where, str(error).split(". ")[0], str(error).split(". ", 1)[1]))
            continue
        warning = secret.warning()
        if warning:
            found.append(Complaint(str(path), None, where, *warning.split("; ", 1)))
    return found


def dotted(loc: Sequence[str | int]) -> str:
    """A place in the settings as people write it: stacks[0].name."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")


def line_of(path: Path, loc: Sequence[str | int]) -> int | None:
    """The line of that place, or of what stands around it where it is not given."""
    return _line(_parse(path), loc)


def keys_at(path: Path, loc: Sequence[str | int]) -> frozenset[str]:
    """What the file itself gives in that section. Raises BadConfig."""
    node: Any = _parse(path)
    for part in loc:
        node = node[part] if isinstance(node, CommentedSeq) or part in node else {}
    return frozenset(map(str, node)) if isinstance(node, Mapping) else frozenset()


def _parse(path: Path) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadConfig(
            [Complaint(str(path), None, "", "there is no such file", "copy deploy/cdm.example.yaml there and edit it")]
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(
            [Complaint(str(path), None, "", f"it cannot be read: {error}", "check its rights; it must be UTF-8")]
        ) from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise BadConfig(
            [
                Complaint(
                    str(path), line, "", f"not valid YAML: {error.problem}", "correct the line (or the one above it)"
                )
            ]
        ) from error
    if not isinstance(tree, CommentedMap):
        raise BadConfig([Complaint(str(path), 1, "", "it holds no settings", "start from deploy/cdm.example.yaml")])
    return tree


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(k): _plain(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_plain(v) for v in node]
    return node


def _complaint(path: Path, tree: CommentedMap, error: Any) -> Complaint:
    loc = [part for part in error["loc"] if not _is_branch(part)]
    where = dotted(loc)
    line = _line(tree, loc)
    kind = error["type"]
    if kind == "extra_forbidden":
        known = list(_known_keys(loc[:-1]))
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        fix = f"write {near[0]!r}" if near else f"remove it; known here: {', '.join(known)}"
        return Complaint(str(path), line, where, "unknown key", fix)
    if kind == "missing":
        return Complaint(str(path), line, where, "is missing", f"add {loc[-1]!r} here")
    message = error["msg"].removeprefix("Value error, ")
    return Complaint(str(path), line, where, message, _fix(kind, error))


def _fix(kind: str, error: Any) -> str:
    if kind == "value_error":
        return "correct the value as said"
    if kind == "string_pattern_mismatch":
        return f"it must match {error['ctx']['pattern']}"
    return f"found {error.get('input')!r}; give a value that fits"


def _is_branch(part: Any) -> bool:
    """pydantic puts the tried branch of a union into the location; it is no key of the file."""
    return isinstance(part, str) and ("[" in part or part in ("ipv4network", "ipv6network"))


def _line(tree: Any, loc: Sequence[Any]) -> int | None:
    node, line = tree, 1
    for part in loc:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
            node = node[part]
        else:
            break
    return int(line)


def _known_keys(loc: Sequence[Any]) -> Iterator[str]:
    model: Any = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        field = next((f for name, f in getattr(model, "model_fields", {}).items() if part in (name, f.alias)), None)
        if field is None:
            return
        model = _model_of(field.annotation)
        if model is None:
            return
    for name, field in model.model_fields.items():
        yield field.alias or name


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_of(argument)
        if found is not None:
            return found
    return None


def _anchored(settings: Settings, base: Path) -> Settings:
    """The same tree with every relative path made absolute, from the file's folder. What is not changed is not set: a
    policy's fields say by it what it takes from the default."""

    def walk(node: Any) -> Any:
        if isinstance(node, Path):
            return node if node.is_absolute() else base / node
        if isinstance(node, BaseModel):
            before = {name: getattr(node, name) for name in type(node).model_fields}
            after = {name: walk(value) for name, value in before.items()}
            return node.model_copy(update={name: new for name, new in after.items() if new is not before[name]})
        if isinstance(node, list):
            walked = [walk(item) for item in node]
            return walked if any(new is not old for new, old in zip(walked, node, strict=True)) else node
        return node

    anchored: Settings = walk(settings)
    return anchored
