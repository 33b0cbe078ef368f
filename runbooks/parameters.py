"""The types a runbook's parameter may have. A value is checked here, and is then one word or part of one."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,127}")
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d)")
_INT = re.compile(r"-?[0-9]{1,9}")
_WORD = r"^[A-Za-z0-9_][A-Za-z0-9_.:@/+=-]{0,127}$"
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class _Parameter(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    default: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_is_text(cls, data: object) -> object:
        if isinstance(data, dict) and isinstance(data.get("default"), int):
            return {**data, "default": str(data["default"])}
        return data

    @model_validator(mode="after")
    def _default_is_valid(self) -> _Parameter:
        if self.default is not None:
            self.check(self.default)
        return self

    @abstractmethod
    def check(self, value: str) -> str:
        """The word to put in the place of the parameter. ValueError with a text for a person."""


class EnumParameter(_Parameter):
    type: Literal["enum"]
    values: tuple[Annotated[str, Field(pattern=_WORD)], ...] = Field(min_length=1)

    def check(self, value: str) -> str:
        if value not in self.values:
            raise ValueError(f"must be one of {', '.join(self.values)}")
        return value


class IntParameter(_Parameter):
    type: Literal["int"]
    min: int = Field(ge=-999_999_999, le=999_999_999)
    max: int = Field(ge=-999_999_999, le=999_999_999)

    def check(self, value: str) -> str:
        if not _INT.fullmatch(value) or not self.min <= int(value) <= self.max:
            raise ValueError(f"must be a whole number from {self.min} to {self.max}")
        return str(int(value))


class UnitParameter(_Parameter):
    type: Literal["unit"]

    def check(self, value: str) -> str:
        if not _UNIT.fullmatch(value):
            raise ValueError("must be the name of a systemd unit, such as rauc-hawkbit-updater")
        return value


class SpanParameter(_Parameter):
    type: Literal["span"]
    max: Annotated[str, Field(pattern=rf"^{_SPAN.pattern}$")]

    def check(self, value: str) -> str:
        if not _SPAN.fullmatch(value) or _seconds(value) > _seconds(self.max):
            raise ValueError(f"must be a time span such as 90s, 15min, 2h or 3d, at most {self.max}")
        return value


def _seconds(span: str) -> int:
    number, unit = _SPAN.fullmatch(span).groups()  # type: ignore[union-attr]
    return int(number) * _SECONDS[unit]


Parameter = Annotated[EnumParameter | IntParameter | UnitParameter | SpanParameter, Field(discriminator="type")]
