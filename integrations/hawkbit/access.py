"""One hawkBit, the accounts the bot has on it, and how its lists are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from integrations.hawkbit import errors
from integrations.hawkbit.models import Page, Row
from integrations.hawkbit.wire import HawkbitAccount, HawkbitWire

PAGE = 500
"""hawkBit's silent cap: a greater limit is cut to this."""
REREADS = 3
RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True)
class HawkbitAccess:
    """Three accounts: no everyday call can skip groups (the right to stop is the right to skip) or change sets."""

    wire: HawkbitWire
    everyday: HawkbitAccount
    brake: HawkbitAccount | None = None
    release: HawkbitAccount | None = None

    def brake_account(self, doing: str) -> HawkbitAccount:
        if self.brake is None:
            raise errors.NoBrakeAccount(self._missing("brake", doing), system=self.wire.system)
        return self.brake

    def release_account(self, doing: str) -> HawkbitAccount:
        if self.release is None:
            raise errors.NoReleaseAccount(self._missing("release", doing), system=self.wire.system)
        return self.release

    def _missing(self, kind: str, doing: str) -> str:
        return f"No {kind} account is configured for {self.wire.system}, so the bot cannot go on {doing}."

    async def rows(
        self, model: type[RowT], path: str, doing: str, by: HawkbitAccount | None = None, /, **params: str
    ) -> list[RowT]:
        """Every row of a list, page by page. `by` None: the everyday account.

        A row that leaves the list between two pages pulls another into the gap, unseen: a total that shrank, or a page
        that came empty too early, means a fresh start.
        """
        for _ in range(REREADS):
            rows: list[RowT] = []
            total = 0
            while True:
                answer = await self.wire.read(by or self.everyday, path, doing, **params, offset=len(rows), limit=PAGE)
                page = self.wire.parse(Page[model], answer, doing)  # type: ignore[valid-type]
                rows.extend(page.content)
                if page.total < total or (not page.content and len(rows) < page.total):
                    break
                total = page.total
                if len(rows) >= total:
                    return rows
        raise errors.HawkbitUnavailable(
            f"{self.wire.system} changed the list at every page while {doing}.", system=self.wire.system
        )
