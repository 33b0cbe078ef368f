"""What flows ask of the world, named for what it gives. Each method raises `core.errors.OutsideError` and its kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from core.access import Authority
from core.alarms.facts import AlarmReport
from core.devices import DeviceAddress, DeviceFacts
from core.ids import AlarmId, Channel, DeviceName, GroupId, RolloutId, Subject
from core.members import Member
from core.rollouts.facts import (
    ActionFacts,
    Claim,
    DistributionSet,
    GroupFacts,
    RolloutFacts,
    TargetFacts,
)
from core.runs import CommandOutput


class Clock(Protocol):
    """`now` is UTC and aware; `monotonic` is for deadlines; `sleep` waits on the same clock."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Rollouts(Protocol):
    """The rollouts of one stack (hawkBit). Reads may be repeated; writes never are, by anyone."""

    async def active(self) -> Sequence[RolloutFacts]:
        """Every rollout in a non-terminal status, in one list call (paged past hawkBit's silent cap of 500)."""
        ...

    async def find(self, name: str) -> RolloutFacts | None: ...
    async def rollout(self, rollout: RolloutId) -> RolloutFacts | None:
        """None where it is gone: 404, or marked deleted."""
        ...

    async def groups(self, rollout: RolloutId) -> tuple[GroupFacts, ...]:
        """All groups in starting order, one call."""
        ...

    async def distribution_set(self, set_id: int) -> DistributionSet: ...

    async def claims(self, rollout: RolloutId, group: GroupId, wanted: DistributionSet) -> Mapping[DeviceName, Claim]:
        """The devices of the group whose installed set is `wanted` (one call per 500 devices)."""
        ...

    async def members(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]: ...

    async def failed(self, rollout: RolloutId, group: GroupId) -> frozenset[DeviceName]:
        """The devices of the group whose action ended in error."""
        ...

    async def start(self, rollout: RolloutId) -> None: ...
    async def pause(self, rollout: RolloutId) -> None: ...

    async def resume(self, rollout: RolloutId, *, timeout_s: float) -> None:
        """Sent once, never repeated. Conflict = not paused any more (somebody was first).
        OutcomeUnknown = may still be applied until the request's maximum life is over."""
        ...

    async def next_group(self, rollout: RolloutId, *, timeout_s: float) -> None:
        """Start the group after the last started one, whatever its share; by the brake account. For hawkBit 0.x alone:
        it names no group and compares nothing, so a second one starts one group more. As `resume` otherwise."""
        ...

    async def stop(self, rollout: RolloutId) -> None:
        """Final. By the brake account; NotAllowed where none is configured."""
        ...

    async def target(self, device: DeviceName) -> TargetFacts | None: ...
    async def actions(self, device: DeviceName) -> Sequence[ActionFacts]:
        """The device's newest actions, newest first, at most 20. `set` is read for the newest one only."""
        ...

    async def set_by_version(self, name: str, version: str) -> DistributionSet | None: ...

    async def assign(self, device: DeviceName, set_id: int, *, offline: bool = False) -> bool:
        """Assign a set as forced, by the brake account. False: hawkBit answered `alreadyAssigned`, nothing happens."""
        ...

    async def userinfo(self) -> tuple[str, frozenset[str]]:
        """(username, permissions) of the everyday account."""
        ...


class Alarms(Protocol):
    """The alarms of one tenant (ThingsBoard)."""

    async def active(self) -> Sequence[AlarmReport]: ...
    async def alarm(self, alarm: AlarmId) -> AlarmReport | None:
        """None where it was deleted."""
        ...

    async def acknowledge(self, alarm: AlarmId) -> None:
        """A repeat (400, code 31) is success."""
        ...

    async def clear(self, alarm: AlarmId) -> None:
        """A repeat (400, code 31) is success."""
        ...

    async def own_user_id(self) -> str:
        """The bot's own ThingsBoard user, to drop echoes of its own acts."""
        ...


class Devices(Protocol):
    """The devices of one tenant (ThingsBoard)."""

    async def device(self, name: DeviceName, keys: Sequence[str]) -> DeviceFacts | None:
        """By exact name, with the latest value of each telemetry key (unknown keys are left out) and all SERVER_SCOPE
        attributes. None where there is no such device in this tenant."""
        ...

    async def names(self, *, limit: int) -> Sequence[DeviceName]: ...


class Roles(Protocol):
    """Who a person is right now (Keycloak). Never cached beyond the request."""

    async def authority(self, subject: Subject) -> Authority | None:
        """One live reading of enabled, verified, roles and groups. None: the user was deleted. Anything odd raises."""
        ...

    async def admins_of(self, group_path: str, *, limit: int = 20) -> Sequence[str]:
        """User names of enabled members of the group, for a refusal's "who has it". At most `limit` read."""
        ...


class Watched(Protocol):
    """A system people should hear of when it goes away."""

    async def answers(self) -> None:
        """One small live reading of what it is needed for. Raises where that could not be read now."""
        ...


class Posts(Protocol):
    """Slack's Web API as the outbox worker uses it. Posts are never repeated inside a call."""

    async def post(
        self,
        channel: Channel,
        *,
        text: str,
        blocks: Sequence[Mapping[str, Any]],
        thread_ts: str | None,
        outbox_id: str,
    ) -> str:
        """The message's ts. `outbox_id` goes into the message's metadata."""
        ...

    async def update(
        self, channel: Channel, ts: str, *, text: str, blocks: Sequence[Mapping[str, Any]], outbox_id: str
    ) -> None: ...

    async def delete(self, channel: Channel, ts: str) -> None: ...

    async def find(self, channel: Channel, outbox_id: str, *, oldest: str, thread_ts: str | None) -> Sequence[str]:
        """The ts of every message of ours that carries this id, oldest first (more than one: twins)."""
        ...

    async def upload(
        self, channel: Channel, *, thread_ts: str | None, filename: str, content: bytes, comment: str
    ) -> None: ...

    async def tell(self, channel: Channel, user: str, *, text: str, blocks: Sequence[Mapping[str, Any]]) -> None:
        """An ephemeral message: only this person sees it, best effort by Slack's own word."""
        ...

    async def respond(self, response_url: str, *, text: str, blocks: Sequence[Mapping[str, Any]]) -> None:
        """Answer a command or click privately through its own URL (5 times in 30 minutes)."""
        ...


class Members(Protocol):
    """The people of the workspace (Slack). One call of `users.info`: 100 and more a minute for the whole workspace."""

    async def member(self, user: str, *, timeout_s: float) -> Member | None:
        """What Slack says of them now; None where it knows nobody of that id."""
        ...


@dataclass(frozen=True, slots=True)
class ViewRef:
    """A form on a person's screen. `external_id` is ours; `id` and `hash` are Slack's, None where its answer was lost.

    With a `hash`, an update is refused (Conflict) where the form has changed since. `title`: what stands over it, where
    that is not the form for a run.
    """

    external_id: str
    id: str | None = None
    hash: str | None = None
    title: str = ""


class Views(Protocol):
    """Forms and home tabs (Slack). No call is repeated inside; each is over within the time it is given."""

    async def open_view(self, trigger_id: str, view: Mapping[str, Any], *, timeout_s: float) -> ViewRef:
        """Show a form; the view's own `external_id` names it. OutcomeUnknown: it may stand. Conflict: another delivery
        of the same click has opened it. Refused: the trigger's three seconds are over."""
        ...

    async def update_view(self, ref: ViewRef, view: Mapping[str, Any], *, timeout_s: float) -> None:
        """Raises NotFound where it is closed (or not open yet), Conflict where it has changed since `ref.hash`."""
        ...

    async def publish_home(self, user: str, view: Mapping[str, Any], *, timeout_s: float) -> None:
        """Replace what this person sees in the app's Home tab."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A login that was begun. `user_code` is for the person; `device_code`, `nonce` and `verifier` are secrets of
    whoever began it: together they are the person's login, once it is approved."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    interval_s: int
    expires_in_s: int
    nonce: str
    verifier: str


class DeviceLogins(Protocol):
    """Logins approved on a page of the identity provider, in any browser (the OAuth device grant)."""

    async def begin(self) -> DeviceCode: ...

    async def poll(self, code: DeviceCode) -> str | None:
        """The ID token, once; None while nobody has approved. RateLimited: wait `retry_after_s` longer from now on."""
        ...


class Relay(Protocol):
    """Commands on devices of one stack, through its relay host."""

    async def run(
        self,
        address: DeviceAddress,
        argv: Sequence[str],
        *,
        inside: IPv4Network | IPv6Network,
        timeout_s: float,
        max_bytes: int,
    ) -> CommandOutput:
        """Run one command. The address must lie `inside` the tenant's WireGuard range; host keys go by device name."""
        ...
