"""What people who decide about a rollout are shown, and what their agreement is bound to (DESIGN.md section 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from core.evidence import Evidence, Fact
from core.rollouts.cause import following, started_index
from core.rollouts.facts import DistributionSet, Snapshot

NAMED = 500
"""So many devices are written down by name; of more only their number and a digest."""
OBJECTIONS = "objections"


def rollout_evidence(
    snapshot: Snapshot,
    wanted: DistributionSet,
    objections: Iterable[str],
    *,
    targets: Iterable[str],
    refuted: Iterable[str],
    failed: Iterable[str],
) -> Evidence:
    """`objections` are the gates in the way, `targets` the devices of the next group. Counts that merely improve are
    not in it."""
    nexts = following(snapshot)
    facts: dict[str, Fact] = {
        "rollout": f"{snapshot.rollout.name} ({snapshot.stack}/{snapshot.rollout.id})",
        "set": f"{wanted} ({wanted.id}{'' if wanted.valid else ', invalidated'})",
        "groups started": f"{started_index(snapshot)} of {len(snapshot.groups)}",
        "devices of the next group": device_names(targets) if nexts is not None else "none",
        OBJECTIONS: tuple(objections),
        "refuted devices": device_names(refuted),
        "failed devices": device_names(failed),
    }
    return Evidence(facts)


def start_evidence(snapshot: Snapshot, wanted: DistributionSet, targets: Iterable[str]) -> Evidence:
    """Before a rollout's first group starts; `targets` are its devices."""
    return Evidence(
        {
            "rollout": f"{snapshot.rollout.name} ({snapshot.stack}/{snapshot.rollout.id})",
            "set": f"{wanted} ({wanted.id}{'' if wanted.valid else ', invalidated'})",
            "status": snapshot.rollout.status.value,
            "groups": "/".join(f"{group.total}" for group in snapshot.groups),
            "devices of group 1": device_names(targets),
        }
    )


def device_names(names: Iterable[str]) -> Fact:
    """As a fact: by name, or of very many their number and a digest of which."""
    found: Sequence[str] = sorted(set(names))
    if len(found) <= NAMED:
        return tuple(found)
    return f"{len(found)} devices ({hashlib.sha256('|'.join(found).encode()).hexdigest()[:12]})"
