"""Whether a policy can pass at all, and what about it deserves a second look, before a release depends on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.rollouts.policy import PromotedBy, PromotionPolicy, Verification
from core.windows import next_free

DEFAULT_SHARES = (5.0, 25.0, 70.0)
LAST_GROUP_PCT = 30.0
"""After the last group nothing is decided any more: what it starts can only be stopped."""


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """`field` is the policy's, or "groups". `refused`: it is unsafe, or no group could ever pass; else a warning."""

    field: str
    text: str
    fix: str
    refused: bool = True


def group_sizes(devices: int, shares: Sequence[float]) -> tuple[int, ...]:
    """How many devices each group gets of so many: the shares add up, as hawkBit fills its groups."""
    ends = [round(devices * sum(shares[: n + 1]) / 100) for n in range(len(shares))]
    return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))


def check_policy(
    policy: PromotionPolicy, now: datetime, *, shares: Sequence[float], devices: int | None, relay: bool
) -> Iterator[PolicyFinding]:
    """`devices` of the fleet, None where nobody said: then nothing that depends on the groups' sizes is checked.
    `relay`: devices can be reached over one."""
    gated = group_sizes(devices, shares)[:-1] if devices is not None else ()
    if devices is not None and 0 in gated:
        yield PolicyFinding(
            "groups",
            f"with groups of {_shares(shares)} % of {devices} devices a group would be empty.",
            "Take fewer or larger groups.",
        )
    for problem in policy.problems([size for size in gated if size > 0]):
        yield PolicyFinding(_field_in(problem), problem, "Change the number it names.")
    yield from _windows(policy, now)
    proofs = set(policy.verify)
    if not relay and proofs & {Verification.RAUC, Verification.BOTH}:
        yield PolicyFinding(
            "verify",
            "devices are to be verified by `rauc status`, but the stack has no relay to reach them: none ever is.",
            "Give the stack a relay, or verify by telemetry.",
        )
    if Verification.CLAIMED in proofs:
        yield PolicyFinding(
            "verify",
            "hawkBit's claim counts as proof, and it comes before the reboot: a device that falls back is not noticed.",
            "Verify by telemetry or rauc, at least the canaries.",
            refused=False,
        )
    if policy.enabled and PromotedBy.SCHEDULER not in policy.promoted_by:
        yield PolicyFinding(
            "promoted_by",
            "promotion by the scheduler is enabled, but every group waits for a person.",
            "Name scheduler for the groups that may go on by themselves, or set enabled: false.",
            refused=False,
        )
    if shares[-1] > LAST_GROUP_PCT:
        yield PolicyFinding(
            "groups",
            f"the last group is {shares[-1]:g} % of the devices. No gate comes after it: it can only be stopped, and "
            "what has started by then installs.",
            f"Make more groups, so that the last one is at most {LAST_GROUP_PCT:g} %.",
            refused=False,
        )


def _windows(policy: PromotionPolicy, now: datetime) -> Iterator[PolicyFinding]:
    if next_free([policy.freeze], now) is None:
        yield PolicyFinding(
            "freeze", "the freeze never ends: no group could ever start.", "Leave a time free in its windows."
        )
        return
    for tenant, production in policy.production.items():
        if next_free([policy.freeze, production], now) is None:
            yield PolicyFinding(
                "production",
                f"the production of {tenant} and the freeze leave no time free: no group with its devices could ever "
                "start.",
                "Leave a time free in one of them.",
            )
    for tenant, windows in policy.reboot_windows.items():
        if not (windows.covers(now) or windows.next_opening(now)):
            yield PolicyFinding(
                "reboot_windows",
                f"the reboot windows of {tenant} never open again: its devices could never be rebooted.",
                "Give a weekly window, or later ones.",
            )


_IN_PROBLEMS = ("confidence_pct", "minimum_sample", "threshold_pct", "owners", "request_timeout_s", "lease_s")


def _field_in(problem: str) -> str:
    """The field that a problem of the policy names."""
    return next((name for name in _IN_PROBLEMS if name in problem), "")


def _shares(shares: Sequence[float]) -> str:
    return "/".join(f"{share:g}" for share in shares)
