"""One tenant's data and the acts that change devices and actions. Everything here is one transaction: no awaits.

Messages and orders of effects are those of hawkBit 1.1.0 (measured where the facts say so, else read in its source).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.hawkbit import errors
from sandbox.hawkbit.model import (
    ENDED,
    Action,
    DistributionSet,
    Group,
    Rollout,
    Row,
    SoftwareModule,
    StatusEntry,
    Target,
)

SERVER = "Update Server: "
DEFAULT_WEIGHT = 1000


@dataclass(slots=True)
class Quotas:
    """hawkBit's defaults."""

    groups_per_rollout: int = 500
    targets_per_group: int = 20_000
    actions_per_target: int = 2_000
    statuses_per_action: int = 1_000
    assignments_per_request: int = 5_000


class Ids:
    """Row ids, one sequence a kind, shared by all tenants as in one database."""

    def __init__(self) -> None:
        self._sequences: dict[str, itertools.count[int]] = {}

    def next(self, kind: str) -> int:
        return next(self._sequences.setdefault(kind, itertools.count(1)))


@dataclass(slots=True)
class Setting(Row):
    value: Any = None


@dataclass(slots=True)
class GroupStart:
    """One group that began, by whose act. For tests that prove one start per decision."""

    rollout: int
    group: int
    index: int
    at: int
    by: str
    user: str


@dataclass(slots=True)
class Repository:
    tenant: str
    ids: Ids
    clock: Callable[[], float]
    rng: random.Random
    quotas: Quotas
    starts: list[GroupStart]
    targets: dict[str, Target] = field(default_factory=dict)
    modules: dict[int, SoftwareModule] = field(default_factory=dict)
    sets: dict[int, DistributionSet] = field(default_factory=dict)
    rollouts: dict[int, Rollout] = field(default_factory=dict)
    actions: dict[int, Action] = field(default_factory=dict)
    settings: dict[str, Setting] = field(default_factory=dict)

    def now(self) -> int:
        return int(self.clock() * 1000)

    def row(self, kind: str, by: str) -> dict[str, Any]:
        """The columns every row has, for a new one."""
        now = self.now()
        return {
            "id": self.ids.next(kind),
            "created_at": now,
            "created_by": by,
            "modified_at": now,
            "modified_by": by,
        }

    # targets

    def add_target(self, controller_id: str, by: str, **columns: Any) -> Target:
        token = f"{self.rng.getrandbits(128):032x}"
        target = Target(
            **self.row("target", by),
            controller_id=controller_id,
            name=columns.pop("name", None) or controller_id,
            security_token=columns.pop("security_token", None) or token,
            **columns,
        )
        self.targets[controller_id] = target
        return target

    def target(self, controller_id: str) -> Target:
        if controller_id not in self.targets:
            raise errors.not_found("Target", controller_id)
        return self.targets[controller_id]

    def remove_target(self, target: Target) -> None:
        """With all its actions: counts of its groups lose it, totals follow when the scheduler looks."""
        for action in list(target.actions):
            self.remove_action(action)
        del self.targets[target.controller_id]

    # sets

    def add_set(
        self, name: str, version: str, by: str, *, set_type: str = "os", modules: list[SoftwareModule]
    ) -> DistributionSet:
        if any(one.name == name and one.version == version for one in self.sets.values()):
            raise errors.already_exists()
        made = DistributionSet(**self.row("set", by), name=name, version=version, type=set_type, modules=modules)
        self.sets[made.id] = made
        return made

    def set_for_use(self, set_id: int) -> DistributionSet:
        """The set, if it may be given to devices."""
        found = self.set(set_id)
        if not found.valid:
            raise errors.set_invalid(found.type, found.id)
        if not found.complete:
            raise errors.set_incomplete(found.type, found.id)
        return found

    def set(self, set_id: int) -> DistributionSet:
        if set_id not in self.sets:
            raise errors.not_found("DistributionSet", set_id)
        return self.sets[set_id]

    def lock(self, found: DistributionSet, by: str) -> None:
        now = self.now()
        found.locked = True
        found.touch(now, by)
        for module in found.modules:
            if not module.locked:
                module.locked = True
                module.touch(now, by)

    # actions

    def action(self, target: Target, action_id: int) -> Action:
        found = self.actions.get(action_id)
        if found is None or found.target is not target:
            raise errors.not_found("Action", action_id)
        return found

    def add_action(
        self, target: Target, to: DistributionSet, by: str, *, status: str, group: Group | None = None, **columns: Any
    ) -> Action:
        action = Action(
            **self.row("action", by),
            target=target,
            set=to,
            status=status,
            active=status == "running",
            group=group,
            **columns,
        )
        self.actions[action.id] = action
        target.actions.append(action)
        if group is not None:
            group.actions[action.id] = action
            group.counts[action.bucket] += 1
        return action

    def remove_action(self, action: Action) -> None:
        """The device's own row is left as it is: `pending` with the set assigned and no action (measured)."""
        del self.actions[action.id]
        action.target.actions.remove(action)
        if action.group is not None:
            action.group.counts[action.bucket] -= 1
            del action.group.actions[action.id]

    def turn(self, action: Action, status: str, by: str | None = None) -> None:
        """Change an action's status. `by` None leaves author and time alone, as device feedback does (measured)."""
        if action.group is not None:
            action.group.counts[action.bucket] -= 1
        action.status = status
        action.active = status not in ENDED and status != "scheduled"
        if action.group is not None:
            action.group.counts[action.bucket] += 1
        if by is not None:
            action.touch(self.now(), by)

    def note(
        self,
        action: Action,
        kind: str,
        messages: Iterable[str],
        *,
        timestamp: int | None = None,
        code: int | None = None,
    ) -> StatusEntry:
        now = self.now()
        entry = StatusEntry(
            id=self.ids.next("status"),
            type=kind,
            messages=list(messages),
            timestamp=now if timestamp is None else timestamp,
            reported_at=now,
            code=code,
        )
        action.history.append(entry)
        return entry

    def cancel(self, action: Action, by: str) -> None:
        """A person's cancel: only withdraws; the action stays open until the device confirms."""
        if action.cancelling:
            raise errors.not_cancelable("Actions in canceling or canceled state cannot be canceled")
        if not action.active:
            raise errors.not_cancelable(f"Action [id: {action.id}] is not active and cannot be canceled")
        self.turn(action, "canceling", by)
        self.note(action, "canceling", [SERVER + "manual cancelation requested"])

    def force_quit(self, action: Action, by: str) -> None:
        if not action.cancelling:
            raise errors.not_force_quitable(f"{action.id} is not canceled yet and cannot be force quit")
        if not action.active:
            raise errors.not_force_quitable(f"{action.id} is not active and cannot be force quit")
        self.note(action, "canceled", [SERVER + "A force quit has been performed."])
        self.end_cancelled(action, by)

    def end_cancelled(self, action: Action, by: str | None = None) -> None:
        """The device falls back: to its next open action, else to what it has installed, `in_sync`."""
        self.turn(action, "canceled", by)
        target = action.target
        others = target.active_actions()
        if others:
            target.assigned = others[0].set
        else:
            target.assigned = target.installed
            target.update_status = "in_sync"

    def withdraw_scheduled(self, target: Target) -> None:
        """A newer assignment cancels, for good, what only waits to be started."""
        for action in target.actions:
            if action.status == "scheduled":
                self.turn(action, "canceled")

    def withdraw_active(self, target: Target, by: str) -> None:
        for action in target.active_actions():
            if not action.cancelling:
                self.turn(action, "canceling", by)
                self.note(action, "canceling", [SERVER + "cancel obsolete action due to new update"])

    def check_quota(self, targets: Iterable[Target]) -> None:
        """Before anything is changed: may each of these devices take one more action?"""
        limit = self.quotas.actions_per_target
        for target in targets:
            if len(target.actions) >= limit:
                raise errors.quota_of(1, "Action", f"Target '{target.controller_id}'", limit)

    def assign(
        self, targets: list[Target], to: DistributionSet, by: str, *, force_type: str, **columns: Any
    ) -> list[Action]:
        """Give the set to devices that do not have it assigned; returns the new actions."""
        made = []
        for target in targets:
            if target.assigned is to:
                continue
            self.withdraw_active(target, by)
            self.withdraw_scheduled(target)
            target.assigned = to
            target.update_status = "pending"
            action = self.add_action(target, to, by, status="running", force_type=force_type, **columns)
            target.touch(action.created_at, by)
            self.note(action, "running", [f"Assignment initiated by user '{by}'"], timestamp=action.created_at)
            made.append(action)
        return made

    def assign_offline(
        self, targets: list[Target], to: DistributionSet, by: str, *, force_type: str, **columns: Any
    ) -> list[Action]:
        """Record what a device already runs. Nothing happens where an action is open (measured)."""
        made = []
        for target in targets:
            if target.assigned is to or target.update_status == "pending":
                continue
            self.withdraw_scheduled(target)
            action = self.add_action(target, to, by, status="finished", force_type=force_type, **columns)
            target.assigned = target.installed = to
            target.installed_at = action.created_at
            target.update_status = "in_sync"
            target.touch(action.created_at, by)
            words = [f"Assignment initiated by user '{by}'", SERVER + "Action reported as offline deployment"]
            self.note(action, "finished", words, timestamp=action.created_at)
            made.append(action)
        return made

    def rollout(self, rollout_id: int) -> Rollout:
        if rollout_id not in self.rollouts:
            raise errors.not_found("Rollout", rollout_id)
        return self.rollouts[rollout_id]
