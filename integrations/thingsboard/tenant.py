"""The ports `Alarms` and `Devices` of one tenant of one ThingsBoard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import TypeAdapter, ValidationError

from core.alarms.facts import AlarmReport, Source
from core.alarms.parse import Unfit, read_alarm
from core.devices import DeviceFacts, Reading
from core.ids import AlarmId, DeviceName, Tenant
from integrations.thingsboard.errors import AlreadyDone, InvalidId, Missing, UnexpectedAnswer
from integrations.thingsboard.models import Attribute, Device, Me, Page, Sample, instant
from integrations.thingsboard.session import Credentials, Params, Session

PAGE_SIZE = 1000
"""ThingsBoard has no upper limit; 1,000 alarms take about a second and 780 kB (measured on 4.2.1)."""

_T = TypeVar("_T")
_ALARMS = TypeAdapter(Page[dict[str, Any]])
_DEVICES = TypeAdapter(Page[Device])
_DEVICE = TypeAdapter(Device)
_ME = TypeAdapter(Me)
_SAMPLES = TypeAdapter(dict[str, list[Sample]])
_ATTRIBUTES = TypeAdapter(list[Attribute])


class ThingsboardTenant:
    """Reads and acts with the bot's own account: a tenant administrator, or a user of one customer of a shared tenant.

    Every failure is a `core.errors.OutsideError`. Reads are not repeated here, writes never are.
    """

    def __init__(
        self,
        base_url: str,
        tenant: Tenant,
        credentials: Credentials,
        *,
        system: str = "ThingsBoard",
        timeout_s: float = 10.0,
        page_size: int = PAGE_SIZE,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`http` may be shared; without it one is made, and closed by `aclose`."""
        self._tenant = tenant
        self._page_size = page_size
        self._own_http = httpx.AsyncClient(follow_redirects=False) if http is None else None
        used = http or self._own_http
        assert used is not None
        self._session = Session(base_url, credentials, system=system, timeout_s=timeout_s, http=used)
        self._me: tuple[int, Me] | None = None

    async def aclose(self) -> None:
        if self._own_http is not None:
            await self._own_http.aclose()

    # Alarms

    async def active(self) -> Sequence[AlarmReport]:
        """Every alarm that is not cleared, oldest first. One that is cleared elsewhere while pages are read may push
        another across a page border, so an alarm missing here is read by its id before it is called gone."""
        found: dict[AlarmId, AlarmReport] = {}
        params: Params = {"statusList": "ACTIVE", "sortProperty": "createdTime", "sortOrder": "ASC"}
        async for page in self._pages("/api/v2/alarms", params, _ALARMS):
            reports = [self._report(row) for row in page.data]
            found.update({report.alarm_id: report for report in reports})
        return tuple(found.values())

    async def alarm(self, alarm: AlarmId) -> AlarmReport | None:
        try:
            answer = await self._session.get(f"/api/alarm/info/{self._uuid(alarm)}")
        except Missing:
            return None
        return self._report(answer)

    async def acknowledge(self, alarm: AlarmId) -> None:
        await self._once(f"/api/alarm/{self._uuid(alarm)}/ack")

    async def clear(self, alarm: AlarmId) -> None:
        await self._once(f"/api/alarm/{self._uuid(alarm)}/clear")

    def _report(self, answer: Any) -> AlarmReport:
        report = read_alarm(answer, Source.READ)
        if isinstance(report, Unfit):
            raise self._unexpected(f"an alarm that cannot be read ({report})")
        return report

    async def _once(self, path: str) -> None:
        try:
            await self._session.post(path)
        except AlreadyDone:
            return

    async def own_user_id(self) -> str:
        return (await self._account()).id.id

    async def _account(self) -> Me:
        """Who the bot is there; asked again after each new login, since a rotation may bring another account."""
        if self._me is None or self._me[0] != self._session.logins:
            me = self._parsed(_ME, await self._session.get("/api/auth/user"))
            self._me = (self._session.logins, me)
        return self._me[1]

    # Devices

    async def device(self, name: DeviceName, keys: Sequence[str]) -> DeviceFacts | None:
        found = await self._named(name)
        if found is None:
            return None
        values = f"/api/plugins/telemetry/DEVICE/{self._uuid(found.id.id)}/values"
        samples, attributes = await asyncio.gather(
            self._samples(f"{values}/timeseries", keys), self._session.get(f"{values}/attributes/SERVER_SCOPE")
        )
        texts = {row.key: row.text for row in self._parsed(_ATTRIBUTES, attributes) if row.value is not None}
        last = texts.get("lastActivityTime", "")
        return DeviceFacts(
            name=DeviceName(found.name),
            id=found.id.id,
            tenant=self._tenant,
            label=found.label,
            active={"true": True, "false": False}.get(texts.get("active", "")),
            last_activity_at=instant(int(last)) if last.isdecimal() and int(last) > 0 else None,
            readings=samples,
            attributes=texts,
        )

    async def names(self, *, limit: int) -> Sequence[DeviceName]:
        listed: list[DeviceName] = []
        path, params = await self._device_list()
        params = {**params, "sortProperty": "name", "sortOrder": "ASC"}
        async for page in self._pages(path, params, _DEVICES):
            listed += [DeviceName(row.name) for row in page.data]
            if len(listed) >= limit:
                break
        return listed[:limit]

    async def _named(self, name: DeviceName) -> Device | None:
        """By exact name. A customer's user can only search, by a part of the name."""
        path, _ = await self._device_list()
        if path == "/api/tenant/devices":
            try:
                answer = await self._session.get(path, {"deviceName": name})
            except Missing:
                return None
            found = self._parsed(_DEVICE, answer)
            return found if found.name == name else None
        async for page in self._pages(path, {"textSearch": name}, _DEVICES):
            for row in page.data:
                if row.name == name:
                    return row
        return None

    async def _device_list(self) -> tuple[str, Params]:
        me = await self._account()
        if me.authority == "CUSTOMER_USER":
            return f"/api/customer/{self._uuid(me.customerId.id)}/devices", {}
        return "/api/tenant/devices", {}

    async def _samples(self, path: str, keys: Sequence[str]) -> dict[str, Reading]:
        if not keys:
            return {}
        answer = self._parsed(_SAMPLES, await self._session.get(path, {"keys": ",".join(keys)}))
        newest = {key: rows[0] for key, rows in answer.items() if rows}
        return {key: Reading(row.value, row.at) for key, row in newest.items() if row.value is not None}

    # shared

    async def _pages(self, path: str, params: Params, adapter: TypeAdapter[Page[_T]]) -> AsyncIterator[Page[_T]]:
        number = 0
        while True:
            asked = {**params, "pageSize": self._page_size, "page": number}
            page = self._parsed(adapter, await self._session.get(path, asked))
            if page.hasNext and not page.data:
                raise self._unexpected("an empty page that is not the last")
            yield page
            if not page.hasNext:
                return
            number += 1

    def _parsed(self, adapter: TypeAdapter[_T], answer: Any) -> _T:
        try:
            return adapter.validate_python(answer)
        except ValidationError as error:
            raise self._unexpected(f"{error.error_count()} fields of another shape than expected") from error

    def _unexpected(self, what: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(f"{self._session.system} answered with {what}.", system=self._session.system)

    def _uuid(self, given: str) -> str:
        try:
            return str(UUID(given))
        except ValueError:
            text = f"{given[:40]!r} is not an id {self._session.system} could know."
            raise InvalidId(text, system=self._session.system) from None
