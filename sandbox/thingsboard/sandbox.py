"""The stand-in as tests and the demo use it: one object, one ASGI app, one background task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from sandbox.thingsboard import api_access, api_alarms, api_devices, api_rules
from sandbox.thingsboard.api import Server, answer
from sandbox.thingsboard.auth import Auth
from sandbox.thingsboard.buckets import Buckets
from sandbox.thingsboard.engine import Engine
from sandbox.thingsboard.entities import NO_CUSTOMER, Authority, Customer, Device, Json, Profile, Tenant, User, Version
from sandbox.thingsboard.field import INACTIVITY_CHECK_S, Field
from sandbox.thingsboard.seed import Seed
from sandbox.thingsboard.world import World
from sandbox.wire import App

SYSADMIN = ("sysadmin@thingsboard.org", "sysadmin")
STALL_EVERY_S = (12.0, 20.0)
STALL_S = (1.2, 1.6)
"""The whole server halts this long this often: why a burst on Main loses some even to a webhook that answers at once
(12 of 2,000 measured, about 50 here)."""


class ThingsboardSandbox:
    """A ThingsBoard CE server of `version` with a system administrator and no tenant.

    `pace` scales every time the server itself waits (queues, retries, time-outs, inactivity checks, RPC), so that tests
    are quick; the webhook's own time and the lifetimes of tokens are not scaled.
    `app` is served with `sandbox.wire.WireServer`; nothing is raised or sent unless `run()` runs.
    """

    def __init__(
        self,
        version: Version = "4.2.1",
        clock: Callable[[], float] = time.time,
        seed: int = 1,
        pace: float = 1.0,
        stalls: bool = True,
    ) -> None:
        self.pace = pace
        self.stalls = stalls
        self.world = World(version, clock, seed)
        self.engine = Engine(self.world, pace)
        self.auth = Auth(self.world)
        self.field = Field(self.world, self.engine, pace)
        self._server = Server(self.world, self.auth, self.engine, self.field)
        self._seed = Seed(self._server)
        email, password = SYSADMIN
        self._seed.user(NO_CUSTOMER, email, password=password, authority="SYS_ADMIN")
        self.app: App = self._make_app()

    def _make_app(self) -> App:
        groups = (api_access, api_alarms, api_devices, api_rules)
        routes = [route for group in groups for route in group.routes(self._server)]

        async def nothing_here(request: Request, error: Exception) -> Response:
            path = request.url.path.lstrip("/")
            shown = {"message": f"No static resource {path}.", "errorCode": 32, "status": 404}
            return answer(shown | {"timestamp": self.world.now()}, 404)

        return Starlette(routes=routes, exception_handlers={404: nothing_here})

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self.engine.caller.start()
        self.engine.broker.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check_inactivity())
                if self.stalls:
                    group.create_task(self._stall())
        finally:
            await self.engine.broker.stop()
            await self.engine.caller.stop()

    async def _check_inactivity(self) -> None:
        while True:
            await asyncio.sleep(INACTIVITY_CHECK_S * self.pace)
            self.field.check_inactivity()

    async def _stall(self) -> None:
        rng, awake = self.world.rng, self.engine.broker.awake
        while True:
            await asyncio.sleep(rng.uniform(*STALL_EVERY_S) * self.pace)
            awake.clear()
            await asyncio.sleep(rng.uniform(*STALL_S) * self.pace)
            awake.set()

    def restart(self) -> None:
        """As when the process is restarted: queues, calls in flight and rule counters are gone, the database stays."""
        self.engine.broker.lose_everything()
        self.engine.alarms.forget_counters()

    @property
    def failed_calls(self) -> Sequence[str]:
        """Why REST nodes failed, oldest first."""
        return tuple(self.engine.caller.failures)

    # seeding

    def add_tenant(self, title: str, *, rest_limits: str = "", telemetry_limits: str = "") -> Tenant:
        tenant = self._seed.tenant(title)
        tenant.rest_limits = Buckets.parse(rest_limits, self.world.clock())
        tenant.telemetry_limits = telemetry_limits
        return tenant

    def add_user(
        self,
        tenant: Tenant,
        email: str,
        password: str,
        *,
        authority: Authority = "TENANT_ADMIN",
        customer: Customer | None = None,
        first: str = "",
        last: str = "",
    ) -> User:
        owner = customer.id if customer else NO_CUSTOMER
        return self._seed.user(
            tenant.id, email, password=password, authority=authority, customer=owner, first=first, last=last
        )

    def add_customer(self, tenant: Tenant, title: str) -> Customer:
        return self._seed.customer(tenant.id, title)

    def add_profile(self, tenant: Tenant, name: str, *, alarms: Sequence[Json] | None = None) -> Profile:
        body: Json = {"name": name, "profileData": {"alarms": list(alarms) if alarms else None}}
        return self._seed.profile(tenant.id, body)

    def add_device(
        self,
        tenant: Tenant,
        name: str,
        *,
        profile: Profile | None = None,
        label: str | None = None,
        customer: Customer | None = None,
        token: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Device:
        """`attributes` are SERVER_SCOPE ones."""
        used = profile or self.world.profile_named(tenant.id, "default")
        assert used is not None
        owner = customer.id if customer else NO_CUSTOMER
        device = self._seed.device(tenant.id, name, used, label=label, customer=owner, token=token)
        now = self.world.now()
        device.attributes["SERVER_SCOPE"].update({k: (now, v) for k, v in (attributes or {}).items()})
        return device
