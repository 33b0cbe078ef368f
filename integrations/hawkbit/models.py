"""hawkBit's JSON as far as it is read, and the facts it becomes. Unknown status words become UNKNOWN."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from core.ids import DeviceName, GroupId, RolloutId
from core.rollouts.facts import (
    ActionFacts,
    Claim,
    Counts,
    DistributionSet,
    GroupFacts,
    GroupStatus,
    RolloutFacts,
    RolloutStatus,
    TargetFacts,
)
from core.rollouts.release import ActionWord, Artifact, OpenAction, TargetSeen


def _instant(value: object) -> object:
    return datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int) else value


def _rollout_word(value: object) -> object:
    return value if value in tuple(RolloutStatus) else RolloutStatus.UNKNOWN


def _group_word(value: object) -> object:
    return value if value in tuple(GroupStatus) else GroupStatus.UNKNOWN


Instant = Annotated[datetime, BeforeValidator(_instant)]
"""Milliseconds since the epoch on the wire, an aware UTC datetime here."""


class Row(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


RowT = TypeVar("RowT", bound=Row)


class Page(Row, Generic[RowT]):
    content: list[RowT]
    total: int


class CountsRow(Row):
    running: int
    notstarted: int
    scheduled: int
    cancelled: int
    finished: int
    error: int

    def facts(self) -> Counts:
        return Counts(**self.model_dump())


class RolloutRow(Row):
    """One row of `representation=full`, or a single rollout."""

    id: int
    name: str
    status: Annotated[RolloutStatus, BeforeValidator(_rollout_word)]
    deleted: bool
    created_by: str
    created_at: Instant
    last_modified_by: str
    last_modified_at: Instant
    distribution_set_id: int
    target_filter_query: str
    type: str
    total_targets: int
    total_groups: int
    total_targets_per_status: CountsRow

    def facts(self) -> RolloutFacts:
        return RolloutFacts(
            id=RolloutId(self.id),
            name=self.name,
            status=self.status,
            created_by=self.created_by,
            created_at=self.created_at,
            last_modified_by=self.last_modified_by,
            last_modified_at=self.last_modified_at,
            set_id=self.distribution_set_id,
            total=self.total_targets,
            counts=self.total_targets_per_status.facts(),
            target_filter=self.target_filter_query,
            action_type=self.type,
            total_groups=self.total_groups,
        )


class ActionRule(Row):
    action: str


class Threshold(Row):
    """`expression` is percent, as a string."""

    expression: float


class GroupRow(Row):
    id: int
    name: str
    status: Annotated[GroupStatus, BeforeValidator(_group_word)]
    total_targets: int
    total_targets_per_status: CountsRow
    success_action: ActionRule
    success_condition: Threshold
    error_condition: Threshold
    last_modified_by: str
    last_modified_at: Instant

    def facts(self) -> GroupFacts:
        return GroupFacts(
            id=GroupId(self.id),
            name=self.name,
            status=self.status,
            total=self.total_targets,
            counts=self.total_targets_per_status.facts(),
            pauses=self.success_action.action == "PAUSE",
            success_threshold_pct=self.success_condition.expression,
            error_threshold_pct=self.error_condition.expression,
            last_modified_at=self.last_modified_at,
            last_modified_by=self.last_modified_by,
        )


class SetRow(Row):
    id: int
    name: str
    version: str
    locked: bool
    valid: bool

    def facts(self) -> DistributionSet:
        return DistributionSet(self.id, self.name, self.version, self.locked, self.valid)


class TargetRow(Row):
    controller_id: str
    update_status: str
    installed_at: Instant | None = None
    last_controller_request_at: Instant | None = None
    ip_address: str | None = None

    def claim(self) -> Claim:
        return Claim(DeviceName(self.controller_id), self.installed_at)

    def seen(self) -> TargetSeen:
        return TargetSeen(
            DeviceName(self.controller_id), self.update_status, self.last_controller_request_at, self.ip_address
        )

    def facts(self, *, assigned: DistributionSet | None, installed: DistributionSet | None) -> TargetFacts:
        return TargetFacts(
            device=DeviceName(self.controller_id),
            update_status=self.update_status,
            last_poll_at=self.last_controller_request_at,
            assigned=assigned,
            installed=installed,
            address=self.ip_address,
        )


class Link(Row):
    href: str
    name: str = ""


class ActionLinks(Row):
    target: Link
    distributionset: Link


class ActionRow(Row):
    """One row of `representation=full`: only there it links its set."""

    id: int
    status: str
    active: bool
    force_type: str
    rollout: int | None = None
    created_at: Instant
    links: ActionLinks = Field(alias="_links")

    @property
    def over(self) -> bool:
        """A scheduled action is not active either: it waits for its group."""
        return not self.active and self.status != "scheduled"

    @property
    def device(self) -> DeviceName:
        return DeviceName(unquote(self.links.target.href.rsplit("/", 1)[1]))

    @property
    def set_id(self) -> int:
        return int(self.links.distributionset.href.rsplit("/", 1)[1])

    def facts(self, of_set: DistributionSet | None) -> ActionFacts:
        return ActionFacts(
            id=self.id,
            status=self.status,
            active=self.active,
            set_name=self.links.distributionset.name,
            set=of_set,
            rollout=None if self.rollout is None else RolloutId(self.rollout),
            created_at=self.created_at,
        )

    def open_action(self) -> OpenAction:
        return OpenAction(
            id=self.id,
            device=self.device,
            status=self.status,
            forced=self.force_type == "forced",
            created_at=self.created_at,
            set_name=self.links.distributionset.name,
        )


class StatusRow(Row):
    """`timestamp` may be the device's clock; `reportedAt` is the server's."""

    type: str
    messages: tuple[str, ...] = ()
    code: int | None = None
    reported_at: Instant

    def word(self) -> ActionWord:
        return ActionWord(self.reported_at, self.type, self.messages, self.code)


class HashesRow(Row):
    sha256: str


class ArtifactRow(Row):
    id: int
    provided_filename: str
    size: int
    hashes: HashesRow

    def facts(self) -> Artifact:
        return Artifact(self.id, self.provided_filename, self.size, self.hashes.sha256.lower())


class Artifacts(RootModel[list[ArtifactRow]]):
    """A bare list: hawkBit does not page it."""


class ModuleRow(Row):
    id: int
    name: str
    version: str
    type: str


class SetWithModules(SetRow):
    modules: tuple[ModuleRow, ...]


class Made(Row):
    """The one row of an answer to a create that the bot needs."""

    id: int


class MadeModules(RootModel[Annotated[list[ModuleRow], Field(min_length=1)]]):
    """A list of what was asked for: one."""


class MadeSets(RootModel[Annotated[list[SetWithModules], Field(min_length=1)]]):
    """A list of what was asked for: one."""


class AssignmentRow(Row):
    assigned: int


class UserRow(Row):
    username: str
    permissions: frozenset[str]
