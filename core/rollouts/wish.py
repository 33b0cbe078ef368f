"""A release as a person wishes it: read, named, and held against the fleet as it is. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from core.errors import Refused
from core.ids import Stack
from core.rollouts.facts import DistributionSet, RolloutFacts
from core.rollouts.policy import PromotionPolicy

SHARES = (5.0, 25.0, 70.0)
"""The groups of a release, in per cent of its devices."""
MAX_GROUPS = 50
QUERY_LIMIT = 2_000
_STEM = 100
_RESERVED = "rollback-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseWish:
    """`where` is a filter in hawkBit's language; `tenant` the one it was made for, "" where the person wrote it.
    `start_at` None: a person starts it. `policy` "": the one whose pattern fits. `label` tells a second release of the
    same set to the same devices from the first."""

    stack: Stack
    set_name: str
    version: str
    where: str
    tenant: str = ""
    shares: tuple[float, ...] = SHARES
    forced: bool = True
    start_at: datetime | None = None
    policy: str = ""
    label: str = ""

    @property
    def set(self) -> str:
        return f"{self.set_name}:{self.version}"

    @property
    def name(self) -> str:
        """The rollout's name in hawkBit, which takes each once: so the same wish makes one rollout, however often."""
        digest = hashlib.sha256("\n".join((self.set, self.where, self.label)).encode()).hexdigest()[:6]
        stem = "-".join(part for part in (self.set_name, self.version, self.label) if part)
        return f"{stem[:_STEM]}-{digest}"

    @property
    def groups(self) -> str:
        """ "5/25/70"."""
        return "/".join(str(share).removesuffix(".0") for share in self.shares)

    @property
    def kind(self) -> str:
        return "forced" if self.forced else "soft"

    @property
    def start(self) -> str:
        return f"{self.start_at:%Y-%m-%d %H:%M} UTC" if self.start_at is not None else "by hand"

    def params(self) -> Mapping[str, str]:
        """As strings, for an order; `wish_of` reads them back."""
        return {
            "stack": self.stack,
            "set": self.set,
            "where": self.where,
            "tenant": self.tenant,
            "groups": self.groups,
            "kind": self.kind,
            "start": self.start_at.isoformat() if self.start_at is not None else "",
            "policy": self.policy,
            "label": self.label,
        }


def wish_of(params: Mapping[str, str]) -> ReleaseWish:
    """Raises Refused in words for a person."""
    set_name, version = parse_set(params["set"])
    return ReleaseWish(
        stack=Stack(params["stack"]),
        set_name=set_name,
        version=version,
        where=_filter(params["where"]),
        tenant=params["tenant"],
        shares=parse_shares(params["groups"]),
        forced=params["kind"] != "soft",
        start_at=parse_start(params["start"]),
        policy=params["policy"],
        label=parse_label(params["label"]),
    )


def parse_set(text: str) -> tuple[str, str]:
    """Name and version of "name:version"; a name may hold colons."""
    name, colon, version = text.strip().rpartition(":")
    if not colon or not name or not version:
        raise Refused(f"{text[:80]!r} names no set: write <name>:<version>, as in edge:1.2.0.")
    return name, version


def parse_shares(text: str) -> tuple[float, ...]:
    """ "5/25/70": what each group takes, in per cent of all devices."""
    try:
        found = tuple(Fraction(part.strip()) for part in text.split("/"))
    except (ValueError, ZeroDivisionError):
        raise Refused(f"{text[:80]!r} are no groups: write their shares in per cent, as in 5/25/70.") from None
    if any(share <= 0 for share in found):
        raise Refused(f"Each group needs a share above 0; {text[:80]} has one without.")
    if sum(found) != 100:
        raise Refused(f"The groups take {float(sum(found)):g} % of the devices together; they must take 100 %.")
    if len(found) > MAX_GROUPS:
        raise Refused(f"{len(found)} groups are too many to be judged one by one; take at most {MAX_GROUPS}.")
    return tuple(float(share) for share in found)


def parse_start(text: str) -> datetime | None:
    """None where it is empty: by hand. An instant without its zone means nothing to a fleet in several."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused(f"{text[:80]!r} is no time: write it as 2026-11-24T22:00:00+01:00.") from None
    if found.tzinfo is None:
        raise Refused(f"{text[:80]} does not say its zone: write it as 2026-11-24T22:00:00+01:00.")
    return found


def _filter(text: str) -> str:
    if len(text) > QUERY_LIMIT:
        raise Refused(f"The filter has {len(text)} characters; at most {QUERY_LIMIT} are taken. Tag the devices.")
    return text.strip()


def narrowed(tenant_filter: str, more: str) -> str:
    """The filter of one tenant's devices, and of these only those that pass `more` too. Raises Refused where `more`
    could reach beyond: a comma (or) outside of its own brackets is kept inside of ours, a bracket too many is not."""
    if not more.strip():
        return tenant_filter
    depth, quote, escaped = 0, "", False
    for char in more:
        if quote:
            quote, escaped = ("" if char == quote and not escaped else quote), char == "\\" and not escaped
        elif char in "'\"":
            quote = char
        else:
            depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    if depth or quote:
        raise Refused("The brackets or quotes of the filter do not match, so it is not clear what it means.")
    return f"({tenant_filter});({more.strip()})"


def parse_label(text: str) -> str:
    """In small letters: names in hawkBit may or may not tell capitals apart. Raises Refused."""
    label = text.strip().lower()
    if label and not (len(label) <= 30 and all(c.isascii() and (c.isalnum() or c in ".-") for c in label)):
        raise Refused(f"{text[:40]!r} is no label: at most 30 letters, digits, dots and hyphens.")
    return label


def group_sizes(total: int, shares: Sequence[float]) -> tuple[int, ...]:
    """How many devices each group gets: hawkBit shares out what is left, rounding half up, and the last group takes the
    rest (read in hawkBit 1.1.0's source)."""
    left, to_serve, sizes = total, Fraction(100), []
    for share in map(Fraction, map(str, shares)):
        of_rest = min(Fraction(1), share / to_serve) if to_serve > 1 else Fraction(1)
        size = min(left, math.floor(of_rest * left + Fraction(1, 2)))
        sizes.append(size)
        left -= size
        to_serve -= share
    return tuple(sizes)


def obstacles(
    wish: ReleaseWish, found: DistributionSet, devices: int, already: int, policy: PromotionPolicy, now: datetime
) -> tuple[str, ...]:
    """Why this release must not be made. `already`: how many devices have the set. Empty: nothing stands against it."""
    said = []
    if not found.valid:
        said.append(f"{found} was invalidated in hawkBit, for ever. Upload a corrected bundle under a new version.")
    if wish.name.lower().startswith(_RESERVED):
        said.append(f"Names that begin with {_RESERVED} are those of rollbacks. Rename the set.")
    if wish.start_at is not None and wish.start_at <= now:
        said.append(f"The start, {wish.start}, is over. Choose a later time, or start it by hand.")
    if not devices:
        said.append("No device passes the filter.")
        return tuple(said)
    if already >= devices:
        said.append(f"All {devices} devices have {found} installed already; nothing would be done on any.")
    sizes = group_sizes(devices, wish.shares)
    for number, (size, share) in enumerate(zip(sizes, wish.shares, strict=True), 1):
        if not size:
            said.append(
                f"Group {number} would be empty: {share:g} % of {devices} devices is none. Take fewer or larger groups."
            )
    if all(sizes):
        said += policy.problems(sizes)
    return tuple(said)


def differences(wish: ReleaseWish, found: DistributionSet, there: RolloutFacts) -> tuple[str, ...]:
    """In what the rollout of that name is another one than is wished for. Empty: it is the same, made before."""
    told = {
        "another set": there.set_id != found.id,
        f"the filter {there.target_filter}": there.target_filter.strip() != wish.where,
        f"{there.total_groups} groups": there.total_groups != len(wish.shares),
        f"the type {there.action_type}": there.action_type != wish.kind,
    }
    return tuple(words for words, differs in told.items() if differs)
