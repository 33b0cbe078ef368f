"""Which devices a rollout covers and how they are shared out to its groups."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from sandbox.hawkbit import fields, rsql
from sandbox.hawkbit.model import Group, Target
from sandbox.hawkbit.repository import Repository

_FAILED = re.compile(r"failedrollout==(\d+)")


def candidates(
    repo: Repository, text: str, created_before: int | None = None, *, among: list[Target] | None = None
) -> list[Target]:
    """The devices a filter matches, of those that existed when the rollout was created."""
    failed = _FAILED.fullmatch(text)
    if failed is not None:
        groups = repo.rollout(int(failed[1])).groups
        return [one.target for group in groups for one in group.actions.values() if one.status == "error"]
    pool = list(repo.targets.values()) if among is None else among
    if not text:
        return list(pool)
    test = rsql.parse(text, fields.TARGET).test
    return [
        target for target in pool if (created_before is None or target.created_at <= created_before) and test(target)
    ]


def share_of(group: Group, groups: Sequence[Group], remaining: int) -> int:
    """How many of the `remaining` devices go to this group. Percentages are of all devices (5/25/70 as written)."""
    to_serve = 100.0
    for earlier in groups[: group.index]:
        if earlier.filter == group.filter:
            to_serve -= earlier.percentage
    of_rest = 100.0 if to_serve <= 1 else min(100.0, group.percentage * 100 / to_serve)
    return min(remaining, math.floor(of_rest * remaining / 100 + 0.5))


def plan(groups: Sequence[Group], repo: Repository, targets: list[Target]) -> tuple[list[int], int]:
    """Sizes of the groups, and how many devices none of them takes."""
    left = list(targets)
    sizes = []
    for group in groups:
        matching = candidates(repo, group.filter, among=left)
        size = share_of(group, groups, len(matching))
        taken = set(matching[:size])
        left = [target for target in left if target not in taken]
        sizes.append(size)
    return sizes, len(left)
