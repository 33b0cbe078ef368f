"""Scenario files: found by name, read, and checked before anything is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sandbox.scenarios.schema import CHECKS, NAMED, VERBS, Head, Scenario, Step

FOLDER = Path(__file__).parent
PARTS = ("tenant", "channel", "operator")
"""What `${device.part}` may ask of one device."""
_ONE = ("rollout", "of", "thread_of", "device")
_MANY = ("devices", "without", "names", "file_names")


class BadScenario(ValueError):
    """A scenario cannot be used: one line `file:line: what, and what to write instead` for each fault."""


def catalog() -> list[Scenario]:
    return [load(path.stem) for path in sorted(FOLDER.glob("*.yaml"))]


def load(name: str) -> Scenario:
    """By the name of its file, or by the path of a file elsewhere."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    try:
        text = path.read_text()
    except OSError as error:
        known = ", ".join(sorted(one.stem for one in FOLDER.glob("*.yaml")))
        raise BadScenario(f"There is no scenario {name}; there are {known}.") from error
    return parse(text, path.name)


def parse(text: str, file: str) -> Scenario:
    """Raises BadScenario with `file` and the line of each fault."""
    document = _document(text, file)
    try:
        head = Head.model_validate(document)
    except ValidationError as error:
        raise BadScenario("\n".join(_faults(file, document, (), error))) from error
    faults: list[str] = []
    steps = {key: _steps(file, document, key, faults) for key in ("steps", "at_the_end")}
    if not faults:
        faults = list(_unkept(file, [*steps["steps"], *steps["at_the_end"]]))
        faults += [
            f"{file}:{step.line}: {step.verb}: at_the_end holds checks alone: {', '.join(CHECKS)}"
            for step in steps["at_the_end"]
            if step.verb not in CHECKS
        ]
    if faults:
        raise BadScenario("\n".join(faults))
    played, checked = tuple(steps["steps"]), tuple(steps["at_the_end"])
    return Scenario(Path(file).stem, head.title, head.about, head.devices, played, checked)


def _document(text: str, file: str) -> CommentedMap:
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadScenario(f"{file}:{line}: {error.problem or 'not YAML'}") from error
    except YAMLError as error:
        raise BadScenario(f"{file}:1: not YAML: {error}") from error
    if not isinstance(document, CommentedMap):
        raise BadScenario(f"{file}:1: a scenario is a mapping with title, about, devices, steps and at_the_end")
    return document


def _steps(file: str, document: CommentedMap, key: str, faults: list[str]) -> list[Step]:
    found = []
    for number, raw in enumerate(document.get(key, ())):
        line, _ = _place(document, (key, number))
        verb = str(next(iter(raw), ""))
        if len(raw) != 1 or verb not in VERBS:
            known = ", ".join(VERBS)
            faults.append(f"{file}:{line}: {', '.join(map(str, raw))}: a step has one key, one of: {known}")
            continue
        try:
            found.append(Step(verb, VERBS[verb].validate_python(raw[verb]), line))
        except ValidationError as error:
            faults += _faults(file, document, (key, number, verb), error)
    return found


def _unkept(file: str, steps: Sequence[Step]) -> Iterator[str]:
    """Names that no earlier step has kept."""
    kept: set[str] = set()
    for step in steps:
        for name in _used(step.body):
            whole, _, part = name.partition(".")
            if whole not in kept:
                known = ", ".join(sorted(kept)) or "nothing yet"
                yield f"{file}:{step.line}: {step.verb}: nothing is kept as {whole!r} before this step; kept: {known}"
            elif part and part not in PARTS:
                yield f"{file}:{step.line}: {step.verb}: a device has {', '.join(PARTS)}, but no {part!r}"
        kept |= {step.body.keep} if getattr(step.body, "keep", None) else set()


def _used(value: object, field: str = "") -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _used(getattr(value, name), name)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _used(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _used(item, field)
    elif isinstance(value, str):
        yield from NAMED.findall(value)
        if field in (*_ONE, *_MANY) and "-" not in value and not NAMED.search(value):
            yield value


def _faults(file: str, document: CommentedMap, at: Sequence[Any], error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        line, path = _place(document, (*at, *(part for part in fault["loc"] if part != "[key]")))
        what = "an unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
        yield f"{file}:{line}: {'.'.join(path) + ': ' if path else ''}{what}"


def _place(document: CommentedMap, where: Sequence[Any]) -> tuple[int, list[str]]:
    """The line nearest to a place in the document, and the place in words."""
    node: Any = document
    line = 1
    for part in where:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            break
        node = node[part]
    return line, [str(part) for part in where]
