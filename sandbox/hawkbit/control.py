"""`/_sandbox/hawkbit`: the stand-in's own switchboard, for when it runs in another process. Not part of hawkBit.

GET answers `{"starts": [{rollout, group, index, at, by, user}]}`: every group that began, by whose act.
POST takes any of
  `pause_race`, `mixed_snapshots`   the switches, true or false
  `tick_s`                          the scheduler's delay
  `sets`      [{name, version, locked}]                              answered as ids, in order
  `targets`   [{controllerId, attributes, installed: set id}]
  `reports`   [{controllerId, finished: "success"|"failure", details, code}]   on the device's oldest open action
  `ticks`     how many scheduler passes to run now
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import orjson
from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from sandbox.hawkbit import bodies, errors
from sandbox.hawkbit.ddi import report
from sandbox.hawkbit.errors import ApiError
from sandbox.hawkbit.model import DistributionSet, SoftwareModule, Target
from sandbox.hawkbit.repository import Repository
from sandbox.hawkbit.wire import PLAIN, Endpoint, answer, failure

if TYPE_CHECKING:
    from sandbox.hawkbit.server import HawkbitSandbox

SEEDED_BY = "admin"


class SetSeed(bodies.Body):
    name: str
    version: str
    locked: bool = True


class TargetSeed(bodies.Body):
    controller_id: str
    attributes: dict[str, str] = Field(default_factory=dict)
    installed: int | None = None


class ReportSeed(bodies.Body):
    controller_id: str
    finished: Literal["success", "failure"] = "success"
    details: list[str] = Field(default_factory=list)
    code: int | None = None


class Wish(bodies.Body):
    pause_race: bool | None = None
    mixed_snapshots: bool | None = None
    tick_s: float | None = None
    sets: list[SetSeed] = Field(default_factory=list)
    targets: list[TargetSeed] = Field(default_factory=list)
    reports: list[ReportSeed] = Field(default_factory=list)
    ticks: int = 0
    tenant: str = "DEFAULT"

    model_config = ConfigDict(alias_generator=None, extra="forbid")


def endpoint(sandbox: HawkbitSandbox) -> Endpoint:
    async def serve(request: Request) -> Response:
        if request.method == "GET":
            return answer(200, {"starts": [asdict(start) for start in sandbox.starts]}, PLAIN)
        try:
            wish = bodies.parse(Wish, orjson.loads(await request.body()))
            return answer(200, {"sets": apply(sandbox, wish)}, PLAIN)
        except ApiError as error:
            return failure(error)

    return serve


def apply(sandbox: HawkbitSandbox, wish: Wish) -> list[int]:
    """Do what is asked; returns the ids of the sets made."""
    if wish.pause_race is not None:
        sandbox.pause_race = wish.pause_race
    if wish.mixed_snapshots is not None:
        sandbox.mixed_snapshots = wish.mixed_snapshots
    if wish.tick_s is not None:
        sandbox.tick_s = wish.tick_s
    repo = sandbox.tenant(wish.tenant).repo
    made = [seed_set(repo, one.name, one.version, locked=one.locked).id for one in wish.sets]
    for one in wish.targets:
        installed = None if one.installed is None else repo.set(one.installed)
        seed_target(repo, one.controller_id, installed=installed, attributes=one.attributes)
    for said in wish.reports:
        finish(repo, said.controller_id, said.finished, details=said.details, code=said.code)
    for _ in range(wish.ticks):
        sandbox.tick()
    return made


def seed_set(repo: Repository, name: str, version: str, *, locked: bool = True) -> DistributionSet:
    module = SoftwareModule(
        **repo.row("module", SEEDED_BY), name=f"{name}-os", version=version, type="os", vendor="lab"
    )
    repo.modules[module.id] = module
    made = repo.add_set(name, version, SEEDED_BY, modules=[module])
    if locked:
        repo.lock(made, SEEDED_BY)
    return made


def seed_target(
    repo: Repository,
    controller_id: str,
    *,
    installed: DistributionSet | None = None,
    attributes: dict[str, str] | None = None,
) -> Target:
    target = repo.add_target(controller_id, SEEDED_BY, attributes=dict(attributes or {}))
    target.update_status = "registered"
    if installed is not None:
        repo.assign_offline([target], installed, SEEDED_BY, force_type="forced", weight=1000)
    return target


def finish(
    repo: Repository,
    controller_id: str,
    finished: Literal["success", "failure"] = "success",
    *,
    details: list[str] | None = None,
    code: int | None = None,
) -> None:
    """What the device would send over DDI at the end of its oldest open action, without the wire."""
    open_actions = repo.target(controller_id).active_actions()
    if not open_actions:
        raise errors.not_found("Action", controller_id)
    status = bodies.FeedbackStatus(
        execution="closed", result=bodies.FeedbackResult(finished=finished), details=details or [], code=code
    )
    report(repo, open_actions[0], bodies.Feedback(status=status))
