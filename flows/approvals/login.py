"""A fresh login for one act: the person proves now, in a browser, that it is really them (issue: fresh login).

Keycloak's `prompt=login` asks for the password again within the same session; `max_age` makes it say when that was.
The request's parameters prove nothing, so the answer is checked: the account, the nonce, `auth_time` after the link was
made, and the level `acr` where the realm offers one (facts/keycloak.md section 7). Bound to one purpose, once, minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from core.access import Identity
from core.ids import Realm, SlackUser, Subject, realm_of
from core.messages.approval import login_message
from core.messages.blocks import Message
from core.ports import Clock
from flows.trips import LIFE_S, Leaving, Stop, TripEnded, Trips
from integrations.store.audit import AuditLog

log = structlog.get_logger(__name__)

PREFIX = "fresh-"
SKEW = timedelta(seconds=2)
"""`auth_time` has whole seconds, and Keycloak's clock may differ by a little."""

AGAIN = "Nothing was done. Press the button in Slack again for a new link."
_ENDED: Mapping[Stop, str] = {
    Stop.EXPIRED: f"This link was used before, or its five minutes are over. {AGAIN}",
    Stop.OTHER_BROWSER: f"This is not the browser in which the link was opened. {AGAIN}",
    Stop.OTHER_ISSUER: f"The answer did not come from the configured Keycloak. {AGAIN}",
    Stop.CANCELLED: f"The login at Keycloak was not completed. {AGAIN}",
}


class LoginRefused(Exception):
    """Nothing was done. `text` says why and what to do; `expired` where the link is used up."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text

    @property
    def expired(self) -> bool:
        return self.reason == Stop.EXPIRED


@dataclass(frozen=True, slots=True)
class Confirmed:
    """`user` logged in anew as `subject` at `login_at`, for this purpose."""

    user: SlackUser
    subject: Subject
    purpose: Mapping[str, str]
    login_at: datetime


class FreshLogin:
    """`acr` is the level that each realm's step-up flow gives, "" where it has none."""

    def __init__(
        self, *, trips: Trips, audit: AuditLog, clock: Clock, public_url: str, acr: Mapping[Realm, str]
    ) -> None:
        self._trips = trips
        self._audit = audit
        self._clock = clock
        self._public_url = public_url.rstrip("/")
        self._acr = acr

    async def begin(self, user: SlackUser, subject: Subject, what: str, purpose: Mapping[str, str]) -> Message:
        """The private answer with the link, to the realm of `subject`. `what` says in words what the login confirms."""
        payload = {
            **{f"for:{name}": value for name, value in purpose.items()},
            "team": user.team,
            "user": user.user,
            "subject": subject,
            "begun_at": self._clock.now().isoformat(),
        }
        state = await self._trips.begin(realm_of(subject), payload)
        return login_message(what, f"{self._public_url}/confirm/{state}", LIFE_S // 60)

    async def leave(self, state: str) -> Leaving:
        try:
            return await self._trips.leave(state, max_age=0, acr_values=self._acr)
        except TripEnded as ended:
            raise await self._refused(ended.payload, ended.stop, _ENDED[ended.stop]) from None

    def is_mine(self, query: Mapping[str, str]) -> bool:
        return self._trips.is_mine(query)

    async def arrive(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> Confirmed:
        """Raises LoginRefused or OutsideError."""
        try:
            who, left = await self._trips.arrive(query, cookies)
        except TripEnded as ended:
            raise await self._refused(ended.payload, ended.stop, _ENDED[ended.stop]) from None
        login_at = await self._checked(who, left)
        purpose = {name.removeprefix("for:"): value for name, value in left.items() if name.startswith("for:")}
        return Confirmed(SlackUser(left["team"], left["user"]), who.subject, purpose, login_at)

    async def _checked(self, who: Identity, left: Mapping[str, str]) -> datetime:
        if who.subject != left["subject"]:
            text = "You logged in with another account than the one your Slack user is linked with."
            raise await self._refused(left, "other_account", f"{text} {AGAIN}")
        if who.auth_time is None:
            text = (
                "Keycloak does not say when you logged in: its realm lacks the client scope `basic` (auth_time). An "
                "administrator of the realm adds it: deploy/keycloak in the bot's files has the settings."
            )
            raise await self._refused(left, "no_auth_time", f"{text} {AGAIN}")
        if who.auth_time < datetime.fromisoformat(left["begun_at"]) - SKEW:
            text = "Keycloak did not ask you to log in anew: this login is older than the link."
            raise await self._refused(left, "old_login", f"{text} {AGAIN}")
        wanted = self._acr.get(realm_of(who.subject), "")
        if wanted and who.acr != wanted:
            text = (
                f"Keycloak says that this login is of level {who.acr or 'none'!r}, and {wanted!r} is needed. An "
                "administrator looks at keycloak.step_up_acr, the client scope `acr` and the realm's step-up flow."
            )
            raise await self._refused(left, "low_level", f"{text} {AGAIN}")
        return who.auth_time

    async def _refused(self, left: Mapping[str, str], reason: str, text: str) -> LoginRefused:
        if left:
            slack = f"slack:{left['team']}/{left['user']}"
            purpose = {name.removeprefix("for:"): value for name, value in left.items() if name.startswith("for:")}
            await self._audit.note(left["subject"], "refused:fresh_login", slack, {"reason": str(reason), **purpose})
        log.warning("fresh_login_refused", reason=str(reason))
        return LoginRefused(str(reason), text)
