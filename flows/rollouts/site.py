"""One stack as the rollout flows see it, and how they read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.errors import NotFound
from core.ids import Channel, RolloutId, Stack, Tenant
from core.ports import Clock, Devices, Rollouts
from core.release_ports import FleetActions, Releases
from core.rollouts.facts import DistributionSet, GroupFacts, RolloutFacts, Snapshot
from core.rollouts.policies import Policies, PolicyRule
from core.rollouts.policy import PromotionPolicy
from core.rollouts.records import GroupEvidence, RolloutRecord
from core.rollouts.verify import judge, note_claims, note_members
from flows.rollouts.slot_reader import SlotReader


@dataclass(slots=True)
class Site:
    """One stack: its hawkBit, its tenants' devices, its policies. `policy` is the default one, whose fence timings all
    share; what decides about one rollout is `policy_of`. `account` is the bot's own everyday hawkBit user, `slots` asks
    RAUC on the devices where there is a relay."""

    stack: Stack
    rollouts: Rollouts
    actions: FleetActions
    releases: Releases
    devices: Mapping[Tenant, Devices]
    policy: PromotionPolicy
    channel: Channel
    account: str
    rules: Sequence[PolicyRule] = ()
    slots: SlotReader | None = None
    policies: Policies = field(init=False)
    _sets: dict[int, DistributionSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.adopt(Policies(self.policy, self.rules))

    def adopt(self, policies: Policies) -> None:
        """They decide from now on."""
        self.policies, self.policy, self.rules = policies, policies.default, policies.rules

    def policy_of(self, rollout: RolloutFacts, record: RolloutRecord) -> PromotionPolicy:
        """The policy that decides about this rollout: the one chosen when it was made, else by its name."""
        return self.policies.of(rollout.name, record.policy)

    async def snapshot(self, rollout: RolloutId, clock: Clock) -> Snapshot | None:
        """Groups first, then the rollout: its status and author are what a resume is compared with, so they are newest.
        None where it is gone."""
        try:
            groups = await self.rollouts.groups(rollout)
        except NotFound:
            return None
        facts = await self.rollouts.rollout(rollout)
        return None if facts is None else Snapshot(self.stack, facts, groups, clock.now())

    async def wanted(self, set_id: int) -> DistributionSet:
        """The set a rollout brings; name and version of a set never change once it is used."""
        if set_id not in self._sets:
            self._sets[set_id] = await self.rollouts.distribution_set(set_id)
        return self._sets[set_id]

    async def recount(
        self,
        snapshot: Snapshot,
        group: GroupFacts,
        evidence: GroupEvidence,
        policy: PromotionPolicy,
        clock: Clock,
        *,
        members: bool = True,
    ) -> GroupEvidence:
        """The group's claims, and with `members` its devices, as hawkBit tells them now; states judged anew."""
        wanted = await self.wanted(snapshot.rollout.set_id)
        if members:
            counted = await self.rollouts.members(snapshot.rollout.id, group.id)
            evidence = note_members(evidence, counted, clock.now())
        claims = await self.rollouts.claims(snapshot.rollout.id, group.id, wanted)
        evidence = note_claims(evidence, claims, clock.now())
        return judged(evidence, number_of(snapshot, group), wanted, policy, clock)


def number_of(snapshot: Snapshot, group: GroupFacts) -> int:
    """From 1, in starting order."""
    return next(number for number, one in enumerate(snapshot.groups, 1) if one.id == group.id)


def judged(
    evidence: GroupEvidence, number: int, wanted: DistributionSet, policy: PromotionPolicy, clock: Clock
) -> GroupEvidence:
    """The devices of the group of that number, each with its state as policy verifies that group."""
    now, by = clock.now(), policy.verified_by(number)
    devices = {n: judge(d, wanted.version, policy, now, by) for n, d in evidence.devices.items()}
    return replace(evidence, devices=devices)
