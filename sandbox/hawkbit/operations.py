"""What a person or the bot can do to a rollout. Each raises ApiError where the real server refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.hawkbit import errors, fields, rsql
from sandbox.hawkbit.engine import Engine
from sandbox.hawkbit.model import STOPPABLE, Conditions, DistributionSet, Group, Rollout, Row, Target
from sandbox.hawkbit.planning import candidates, plan
from sandbox.hawkbit.repository import DEFAULT_WEIGHT, Repository


@dataclass(slots=True)
class GroupWish:
    name: str
    percentage: float
    conditions: Conditions
    description: str | None = None
    filter: str = ""


@dataclass(slots=True)
class RolloutWish:
    name: str
    filter: str
    set: DistributionSet
    type: str = "forced"
    weight: int = DEFAULT_WEIGHT
    description: str | None = None
    force_time: int = 0
    start_at: int | None = None
    groups: list[GroupWish] = field(default_factory=list)


def even_groups(amount: int, conditions: Conditions) -> list[GroupWish]:
    return [
        GroupWish(f"group-{number}", 100.0 / amount, conditions, description=f"group-{number}")
        for number in range(1, amount + 1)
    ]


class Operations:
    def __init__(self, repository: Repository, engine: Engine) -> None:
        self.repo = repository
        self.engine = engine

    def create(self, wish: RolloutWish, by: str, *, may_lock: bool) -> Rollout:
        """A rollout in `creating`. Creating locks the set, so an unlocked one needs the right to change sets."""
        repo = self.repo
        if len(wish.groups) > repo.quotas.groups_per_rollout:
            raise errors.quota(f"The amount of groups cannot be greater than {repo.quotas.groups_per_rollout}")
        matched = self._matched(wish)
        if not wish.set.locked and not may_lock:
            raise errors.forbidden()
        rollout = Rollout(
            **repo.row("rollout", by),
            name=wish.name,
            set=wish.set,
            filter=wish.filter,
            type=wish.type,
            weight=wish.weight,
            description=wish.description,
            force_time=wish.force_time,
            start_at=wish.start_at,
            total=len(matched),
        )
        self._check_plan(self._groups_of(rollout, wish.groups), matched)
        if any(other.name == wish.name for other in repo.rollouts.values()):
            raise errors.already_exists()
        for group, one in zip(rollout.groups, wish.groups, strict=True):
            group.id = repo.ids.next("group")
            group.description = one.description
        if not wish.set.locked:
            repo.lock(wish.set, by)
        repo.rollouts[rollout.id] = rollout
        self.engine.watch(rollout)
        return rollout

    def _matched(self, wish: RolloutWish) -> list[Target]:
        retried = wish.filter.startswith("failedrollout==")
        if not retried:
            rsql.parse(wish.filter, fields.TARGET)
        matched = candidates(self.repo, wish.filter)
        if not matched:
            raise errors.invalid(
                "No failed targets in Rollout" if retried else "Rollout does not match any existing targets"
            )
        return matched

    def _groups_of(self, rollout: Rollout, wishes: Sequence[GroupWish]) -> list[Group]:
        for index, wish in enumerate(wishes):
            if not 0 <= wish.percentage <= 100:
                raise errors.invalid("The target percentage must be between 0 and 100")
            row = Row(0, rollout.created_at, rollout.created_by, rollout.created_at, rollout.created_by)
            rollout.groups.append(
                Group(
                    row.id,
                    row.created_at,
                    row.created_by,
                    row.modified_at,
                    row.modified_by,
                    rollout=rollout,
                    index=index,
                    name=wish.name,
                    percentage=wish.percentage,
                    conditions=wish.conditions,
                    filter=wish.filter,
                )
            )
        return rollout.groups

    def _check_plan(self, groups: Sequence[Group], matched: list[Target]) -> None:
        sizes, left = plan(groups, self.repo, matched)
        if left:
            raise errors.invalid("Rollout groups don't match all targets that are targeted by the rollout")
        limit = self.repo.quotas.targets_per_group
        for size in sizes:
            if size > limit:
                raise errors.quota_of(size, "Target", "RolloutGroup '<new>'", limit)

    def start(self, rollout: Rollout, by: str) -> None:
        if rollout.status != "ready":
            raise errors.illegal_state(
                f"Rollout can only be started in state ready but current state is {rollout.status}"
            )
        rollout.started_by = by
        self.engine.move(rollout, "starting", by)

    def pause(self, rollout: Rollout, by: str, *, overtaken: bool) -> None:
        """`overtaken`: if a group would move on right now, the pass that saw it is under way and still commits."""
        if rollout.status != "running":
            raise errors.illegal_state(
                f"Rollout can only be paused in state running but current state is {rollout.status}"
            )
        rollout.overtaken_pause = overtaken and any(
            group.status == "running"
            and group.conditions.success_action == "NEXTGROUP"
            and (group.complete() or group.success_met())
            and rollout.next_scheduled(group) is not None
            for group in rollout.groups
        )
        self.engine.move(rollout, "paused", by)

    def resume(self, rollout: Rollout, by: str) -> None:
        """Compare-and-set on `paused`, and nothing else: it names no group. Starts the next group at once after an
        error, or where the last started group has PAUSE and now meets its threshold; else the next pass decides."""
        if rollout.status != "paused":
            raise errors.illegal_state(
                f"Rollout can only be resumed in state paused but current state is {rollout.status}"
            )
        last = rollout.last_started()
        if last is not None and (
            last.status == "error" or (last.conditions.success_action == "PAUSE" and last.success_met())
        ):
            self.engine.start_next(rollout, last, by=by, cause="resume")
        rollout.overtaken_pause = False
        self.engine.move(rollout, "running", by)

    def trigger_next_group(self, rollout: Rollout, by: str) -> None:
        """Not idempotent, looks at no threshold: starts the group after the highest started one."""
        if rollout.status != "running":
            raise errors.illegal_state("Rollout is not in running state")
        last = rollout.last_started()
        if last is None or rollout.next_scheduled(last) is None:
            raise errors.illegal_state("Rollout does not have any groups left to be triggered")
        self.engine.start_next(rollout, last, by=by, cause="trigger")

    def stop(self, rollout: Rollout, by: str) -> None:
        if rollout.status not in STOPPABLE:
            words = ", ".join(status.upper() for status in STOPPABLE)
            raise errors.illegal_state(f"Rollout can only be stopped into the following statuses [{words}]")
        self.engine.move(rollout, "stopping", by)

    def decide(self, rollout: Rollout, by: str, *, approved: bool, remark: str | None) -> None:
        """The creator may approve his own rollout: the server does not keep four eyes (measured)."""
        if rollout.status != "waiting_for_approval":
            raise errors.illegal_state("Rollout is not in status waiting_for_approval")
        rollout.approval_by = by
        rollout.approval_remark = remark if remark is not None else rollout.approval_remark
        self.engine.move(rollout, "ready" if approved else "approval_denied", by)

    def delete(self, rollout: Rollout, by: str) -> None:
        if rollout.status not in ("deleting", "deleted"):
            self.engine.move(rollout, "deleting", by)

    def update(self, rollout: Rollout, by: str, *, name: str | None, description: str | None) -> None:
        """Name and description only. Overwrites who modified the rollout last, and so hides a person's pause."""
        if rollout.status in ("deleting", "deleted"):
            raise errors.read_only(f"Rollout {rollout.id} is soft deleted and cannot be changed")
        rollout.name = name if name is not None else rollout.name
        rollout.description = description if description is not None else rollout.description
        rollout.touch(self.repo.now(), by)

    def retry(self, rollout: Rollout, by: str, *, may_lock: bool) -> Rollout:
        if rollout.status != "finished":
            raise errors.invalid("Rollout must be finished in order to be retried!")
        wish = RolloutWish(
            name=f"{rollout.name}_retry",
            filter=f"failedrollout=={rollout.id}",
            set=rollout.set,
            type=rollout.type,
            groups=even_groups(1, Conditions()),
        )
        return self.create(wish, by, may_lock=may_lock)

    def invalidate(self, found: DistributionSet, by: str, *, cancelation: str, cancel_rollouts: bool) -> None:
        """For ever. Installed devices are not touched; a repeat is fine."""
        repo = self.repo
        if cancel_rollouts:
            for rollout in repo.rollouts.values():
                if rollout.set is found and rollout.status in STOPPABLE:
                    self.engine.move(rollout, "stopping", by)
        if cancelation in ("soft", "force"):
            for action in [one for one in repo.actions.values() if one.set is found and one.active]:
                if not action.cancelling:
                    repo.cancel(action, by)
                if cancelation == "force":
                    repo.force_quit(action, by)
        if found.valid:
            found.valid = False
            found.touch(repo.now(), by)
