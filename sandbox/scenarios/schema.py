"""What a scenario file may hold. A step is a mapping with one key, its verb; docs/scenarios.md lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from sandbox.cast import CHANNELS, PEOPLE, SETS, TENANTS

NAMED = re.compile(r"\$\{([^{}]*)\}")
"""`${name}`: what an earlier step kept under that name, or a part of it, as in `${failing.channel}`."""


def _known(kind: str, names: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names and not NAMED.fullmatch(value):
            raise ValueError(f"there is no {kind} {value!r}; there are {', '.join(names)}")
        return value

    return AfterValidator(check)


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Who = Annotated[str, _known("person", tuple(PEOPLE))]
Where = Annotated[str, _known("channel", tuple(CHANNELS))]
TenantId = Annotated[str, _known("tenant", tuple(tenant.id for tenant in TENANTS))]
Version = Annotated[str, _known("version", SETS)]
Texts = tuple[str, ...]
Kept = Name
"""What an earlier step kept under this name."""
Devices = tuple[Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*|[a-z]-[a-z]+-([0-9]{3}|\[[0-9,-]+\]))$")], ...]
"""Names of devices, folded ones too, as in a-gw-[001-020]; or names under which an earlier step kept some."""
Seconds = Annotated[float, Field(gt=0, le=300)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# acts


class Group(Body):
    """A share of the devices in per cent, but no fewer than `at_least`; `rest` takes what is left over."""

    share: float = Field(default=0, ge=0, le=100)
    at_least: int = Field(default=0, ge=0)
    rest: bool = False

    @model_validator(mode="after")
    def _is_something(self) -> Group:
        if self.rest == bool(self.share or self.at_least):
            raise ValueError("a group has a share (and at_least), or rest: true")
        return self


class Choose(Body):
    """Keep the first, or the last, `count` devices of a tenant."""

    keep: Name
    tenant: TenantId
    count: int = Field(gt=0)
    last: bool = False


class Release(Body):
    """Make a rollout, and leave it to `order` to start it. `devices`: all if empty; `without` leaves some out. `by` is
    the account that makes it: the bot promotes what the pipeline makes."""

    keep: Name
    name: str
    version: Version
    groups: tuple[Group, ...] = Field(min_length=1)
    by: Literal["pipeline", "hand"] = "pipeline"
    devices: Devices = ()
    without: Devices = ()
    error_pct: int = 10


class Order(Body):
    rollout: Kept
    verb: Literal["start", "pause", "resume", "stop"]
    by: Literal["pipeline", "hand"] = "pipeline"


class Pick(Body):
    """Keep devices of a group of a rollout, all or the first `count`; `${name.tenant}`, `.channel` and `.operator` are
    those of one device."""

    keep: Name
    rollout: Kept
    group: int = Field(gt=0)
    tenant: TenantId | None = None
    count: int | None = Field(default=None, gt=0)


class Words(Body):
    """Texts that must all be there, and texts that must not. `names`: devices, however they are folded."""

    has: Texts = ()
    lacks: Texts = ()
    names: Devices = ()
    within_s: Seconds = 30


class Types(Body):
    """A command, or a message where it does not begin with a slash. `answer` is private and must come afterwards."""

    who: Who
    text: str
    where: Where = "rollouts"
    answer: Words | None = None


class Presses(Body):
    """A button, by its action id, of a message that was kept."""

    who: Who
    button: str
    of: Kept
    answer: Words | None = None


class Fills(Body):
    """The modal on top of the person's screen, once it shows `has`: values by action id, then submit."""

    who: Who
    has: Texts = ()
    values: Mapping[str, str] = {}
    within_s: Seconds = 30
    answer: Words | None = None


# checks


class Message(Words):
    """A message of a channel, or a reply in the thread of one that was kept. `file_names`: devices that a file in its
    thread must name, all of them."""

    where: Where
    thread_of: Kept | None = None
    button: str | None = None
    no_button: str | None = None
    file_names: Devices = ()
    keep: Name | None = None


class Started(Body):
    """hawkBit began that group once, on the order of `by`; `never` says that it did not, until now."""

    rollout: Kept
    group: int = Field(gt=0)
    by: Literal["bot", "pipeline", "hand"] = "bot"
    never: bool = False
    within_s: Seconds = 60


class Status(Body):
    rollout: Kept
    status: str
    within_s: Seconds = 60


class Runs(Body):
    """Each device says by telemetry that it runs that version."""

    devices: Devices
    version: Version
    within_s: Seconds = 60


class Active(Body):
    """ThingsBoard takes the devices for active, or not. `devices` empty: the whole fleet."""

    devices: Devices = ()
    yes: bool = True
    within_s: Seconds = 60


class Alarm(Body):
    """The device's newest alarm in ThingsBoard."""

    device: str
    state: Literal["active", "acknowledged", "cleared"]
    within_s: Seconds = 30


class Ran(Body):
    """The device was asked for a command that begins with these words; `never`: it was not, until now."""

    device: str
    command: Texts = ()
    never: bool = False
    within_s: Seconds = 10


class Messages(Body):
    """So many messages of a channel have all these texts; replies are not counted."""

    where: Where
    has: Texts
    count: int = Field(ge=0)
    within_s: Seconds = 30


SHAPES: Mapping[str, Any] = {
    "say": str,
    "control": str,
    "link": tuple[Who, ...],
    "choose": Choose,
    "release": Release,
    "order": Order,
    "pick": Pick,
    "types": Types,
    "presses": Presses,
    "fills": Fills,
    "message": Message,
    "messages": Messages,
    "started": Started,
    "status": Status,
    "runs": Runs,
    "active": Active,
    "alarm": Alarm,
    "ran": Ran,
}
VERBS: Mapping[str, TypeAdapter[Any]] = {verb: TypeAdapter(shape) for verb, shape in SHAPES.items()}
CHECKS = ("message", "messages", "started", "status", "runs", "active", "alarm", "ran")


@dataclass(frozen=True, slots=True)
class Step:
    """`body` has the shape that `VERBS` gives its verb."""

    verb: str
    body: Any
    line: int


class Head(Body):
    """A scenario file. `devices` is the smallest fleet it makes sense with."""

    title: str = Field(min_length=1, max_length=80)
    about: str = Field(min_length=1)
    devices: int = Field(gt=0)
    steps: tuple[Mapping[str, Any], ...] = Field(min_length=1)
    at_the_end: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    about: str
    devices: int
    steps: tuple[Step, ...]
    at_the_end: tuple[Step, ...]
