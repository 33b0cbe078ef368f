"""From a runbook and a person's parameters to argv lists, and from their output to words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.runs import CommandOutput
from runbooks.redact import Redactor
from runbooks.render import Rendering, render
from runbooks.schema import PLACE, RunbookSpec, StepSpec
from runbooks.text import cut, flat

_REDACT = Redactor()


class BadParameter(ValueError):
    """A parameter is missing, unknown or not of its type. `user_text` is fit to be shown."""

    def __init__(self, parameter: str, user_text: str) -> None:
        super().__init__(user_text)
        self.parameter = parameter
        self.user_text = user_text


@dataclass(frozen=True, slots=True)
class Step:
    """One command as the relay runs it."""

    argv: tuple[str, ...]
    timeout_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do on each device: commands in order, or one act in hawkBit (`action`)."""

    steps: tuple[Step, ...]
    action: str | None


class Runbook(RunbookSpec):
    """One entry of the catalog."""

    def plan(self, params: Mapping[str, str]) -> Plan:
        """Put the parameters in place, defaults where none is given. BadParameter says which is wrong and why."""
        for name in params:
            if name not in self.parameters:
                raise BadParameter(name, f"{self.title} has no parameter {cut(flat(name), 40)!r}.")
        values = {name: self._value(name, params.get(name)) for name in self.parameters}
        return Plan(tuple(_filled(step, values) for step in self.steps), self.action)

    def render(self, results: Sequence[CommandOutput], redact: Redactor = _REDACT) -> Rendering:
        """Tell what the steps gave. See `runbooks.render`."""
        return render(self.parser, results, redact)

    def _value(self, name: str, given: str | None) -> str:
        parameter = self.parameters[name]
        label = parameter.title or name
        value = parameter.default if given is None else given
        if value is None:
            raise BadParameter(name, f"{label} is missing.")
        try:
            return parameter.check(value)
        except ValueError as error:
            raise BadParameter(name, f"{label} {error}.") from error


def _filled(step: StepSpec, values: Mapping[str, str]) -> Step:
    argv = tuple(PLACE.sub(lambda place: values[place[1]], word) for word in step.argv)
    return Step(argv, step.timeout_s, step.max_bytes)
