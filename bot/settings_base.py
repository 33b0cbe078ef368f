"""What every part of the settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def apart(names: list[str], what: str) -> None:
    """Raises ValueError where one is given twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the {what} {name!r} is given twice")
