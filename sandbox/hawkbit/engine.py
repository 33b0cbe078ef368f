"""What starts groups and ends rollouts: the scheduler's pass, and the one way a group begins.

A pass handles one rollout after another, each as a transaction. It acts as the rollout's creator once a rollout runs,
and as "system" where it only moves a rollout on (measured: see who authored each recorded row).
"""

from __future__ import annotations

from sandbox.hawkbit.errors import ApiError
from sandbox.hawkbit.model import SCHEDULED_BY_TICK, Group, Rollout, Target
from sandbox.hawkbit.planning import candidates, share_of
from sandbox.hawkbit.repository import DEFAULT_WEIGHT, SERVER, GroupStart, Repository

SYSTEM = "system"


class Engine:
    def __init__(self, repository: Repository) -> None:
        self.repo = repository
        self.active: dict[int, Rollout] = {}
        """What a pass must look at. Paused and ended rollouts are not in it."""

    def watch(self, rollout: Rollout) -> None:
        """To be told of every change of a rollout's status."""
        wanted = rollout.status in SCHEDULED_BY_TICK or (rollout.status == "ready" and rollout.start_at is not None)
        if wanted or rollout.overtaken_pause:
            self.active[rollout.id] = rollout
        else:
            self.active.pop(rollout.id, None)

    def move(self, rollout: Rollout, status: str, by: str) -> None:
        rollout.status = status
        rollout.touch(self.repo.now(), by)
        self.watch(rollout)

    def tick(self) -> None:
        for rollout in list(self.active.values()):
            match rollout.status:
                case "creating":
                    self._fill(rollout)
                case "ready":
                    if rollout.start_at is not None and rollout.start_at <= self.repo.now():
                        rollout.started_by = rollout.created_by
                        self.move(rollout, "starting", rollout.created_by)
                case "starting":
                    self._begin(rollout)
                case "running":
                    self._evaluate(rollout)
                case "paused":
                    self._overtake_pause(rollout)
                case "stopping":
                    self._stop(rollout)
                case "deleting":
                    self._delete(rollout)

    # one handler a status

    def _fill(self, rollout: Rollout) -> None:
        """Evaluate the filter, once, and share the devices out in no particular order."""
        left = candidates(self.repo, rollout.filter, rollout.created_at)
        self.repo.rng.shuffle(left)
        now = self.repo.now()
        rollout.total = 0
        for group in rollout.groups:
            matching = candidates(self.repo, group.filter, rollout.created_at, among=left)
            group.members = matching[: share_of(group, rollout.groups, len(matching))]
            taken = set(group.members)
            left = [target for target in left if target not in taken]
            group.total = len(group.members)
            group.status = "ready"
            group.touch(now, SYSTEM)
            rollout.total += group.total
        approval = self.repo.settings.get("rollout.approval.enabled")
        needs_approval = approval is not None and approval.value is True
        self.move(rollout, "waiting_for_approval" if needs_approval else "ready", SYSTEM)

    def _begin(self, rollout: Rollout) -> None:
        try:
            self.repo.check_quota(target for group in rollout.groups for target in group.members)
        except ApiError:
            return  # stays `starting`, tried again at every pass
        for group in rollout.groups:
            for target in group.members:
                if self.repo.targets.get(target.controller_id) is target:
                    self._schedule(rollout, group, target)
            group.status = "scheduled"
            group.touch(self.repo.now(), rollout.created_by)
        self.start_group(rollout.groups[0], by=SYSTEM, cause="start", user=rollout.started_by)
        self.move(rollout, "running", SYSTEM)

    def _schedule(self, rollout: Rollout, group: Group, target: Target) -> None:
        self.repo.withdraw_scheduled(target)
        self.repo.add_action(
            target,
            rollout.set,
            rollout.created_by,
            status="scheduled",
            group=group,
            force_type=rollout.type,
            force_time=rollout.force_time or None,
            weight=rollout.weight or DEFAULT_WEIGHT,
        )

    def _evaluate(self, rollout: Rollout) -> None:
        creator = rollout.created_by
        running = [group for group in rollout.groups if group.status == "running"]
        if not running:
            # After a resume where the last started group had ended below its threshold: the next one, one tick later.
            last = rollout.last_started()
            if last is not None:
                self.start_next(rollout, last, by=creator, cause="tick")
        for group in running:
            self._follow_deletions(group)
            if group.error_met():
                group.status = "error"
                group.touch(self.repo.now(), creator)
                self.move(rollout, "paused", creator)
                continue
            complete = group.complete()
            if complete or group.success_met():
                self._succeed(rollout, group)
            if complete:
                group.status = "finished"
                group.touch(self.repo.now(), creator)
        if not any(group.status in ("running", "scheduled") for group in rollout.groups):
            # Also right after an error pause: the last group's errors end the rollout as `finished` (measured).
            self.move(rollout, "finished", SYSTEM)

    def _succeed(self, rollout: Rollout, group: Group) -> None:
        if group.conditions.success_action == "NEXTGROUP":
            self.start_next(rollout, group, by=rollout.created_by, cause="tick")
        elif rollout.next_scheduled(group) is not None and rollout.status == "running":
            self.move(rollout, "paused", rollout.created_by)

    def _follow_deletions(self, group: Group) -> None:
        gone = group.total - len(group.actions)
        if gone:
            group.total -= gone
            group.rollout.total -= gone
            group.touch(self.repo.now(), group.rollout.created_by)
            group.rollout.touch(self.repo.now(), group.rollout.created_by)

    def _overtake_pause(self, rollout: Rollout) -> None:
        """A pass that was under way when the pause came commits: it touches group rows only (measured, 2 of 40)."""
        rollout.overtaken_pause = False
        self.watch(rollout)
        last = rollout.last_started()
        if last is not None:
            self.start_next(rollout, last, by=rollout.created_by, cause="tick")

    def _stop(self, rollout: Rollout) -> None:
        self._end_groups(rollout)
        for action in [one for group in rollout.groups for one in group.actions.values()]:
            if action.active and not action.cancelling:
                self.repo.turn(action, "canceling", SYSTEM)
                self.repo.note(action, "canceling", [SERVER + "A cancellation has been performed by server."])
        self.move(rollout, "stopped", SYSTEM)

    def _delete(self, rollout: Rollout) -> None:
        if all(one.status == "scheduled" for group in rollout.groups for one in group.actions.values()):
            self._drop_scheduled(rollout)
            rollout.status = "deleted"
            self.watch(rollout)
            del self.repo.rollouts[rollout.id]
            return
        self._end_groups(rollout)
        for action in [one for group in rollout.groups for one in group.actions.values() if one.active]:
            self.repo.note(action, "canceled", [SERVER + "A force quit has been performed by server."])
            self.repo.end_cancelled(action, SYSTEM)
        rollout.deleted = True
        self.move(rollout, "deleted", SYSTEM)

    def _drop_scheduled(self, rollout: Rollout) -> None:
        for group in rollout.groups:
            for action in [one for one in group.actions.values() if one.status == "scheduled"]:
                self.repo.remove_action(action)

    def _end_groups(self, rollout: Rollout) -> None:
        """Nothing waits any more, and every group says `finished`, though most devices never got anything."""
        self._drop_scheduled(rollout)
        for group in rollout.groups:
            if group.status not in ("finished", "error"):
                group.status = "finished"
                group.touch(self.repo.now(), SYSTEM)

    # starting groups

    def start_next(self, rollout: Rollout, after: Group, *, by: str, cause: str, user: str = "") -> None:
        group = rollout.next_scheduled(after)
        if group is not None:
            self.start_group(group, by=by, cause=cause, user=user or by)

    def start_group(self, group: Group, *, by: str, cause: str, user: str) -> None:
        """Activate the group's waiting actions. Devices that already have the set assigned finish at once."""
        repo, rollout = self.repo, group.rollout
        creator = rollout.created_by
        for action in group.actions.values():
            if action.status != "scheduled":
                continue
            target = action.target
            if target.assigned is rollout.set:
                repo.turn(action, "finished", creator)
                words = SERVER + "Distribution Set is already assigned. Skipping this action."
                repo.note(action, "running", [words], timestamp=action.created_at)
                continue
            repo.withdraw_active(target, creator)
            repo.turn(action, "running", creator)
            words = f"Initiated by Rollout Group '{group.name}' [Rollout {rollout.name}:{rollout.id}]"
            repo.note(action, "running", [words], timestamp=action.created_at)
            target.assigned = rollout.set
            target.update_status = "pending"
            target.touch(repo.now(), creator)
        group.status = "running"
        group.unread_start = True
        group.touch(repo.now(), by)
        repo.starts.append(GroupStart(rollout.id, group.id, group.index, repo.now(), cause, user))
