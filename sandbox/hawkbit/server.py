"""The stand-in for Eclipse hawkBit 1.1.0: one ASGI app and its scheduler."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sandbox.hawkbit.accounts import DEFAULT_ACCOUNTS, Account
from sandbox.hawkbit.engine import Engine
from sandbox.hawkbit.operations import Operations
from sandbox.hawkbit.repository import GroupStart, Ids, Quotas, Repository
from sandbox.hawkbit.routes import routes
from sandbox.hawkbit.wire import failure, servlet_error

GATEWAY_TOKEN = "labgateway"


@dataclass(slots=True)
class Tenant:
    repo: Repository
    engine: Engine
    operations: Operations


class HawkbitSandbox:
    """`app` answers, `run()` is the scheduler with a fixed delay, `tick()` is one pass of it for tests without a clock.

    `pause_race`       a pause that comes just as a NEXTGROUP group moves on is overtaken: 204, next group still
                       `scheduled` in the next read, then it starts anyway
    `mixed_snapshots`  the first deploygroups reply after a group began shows it `scheduled` with devices `running`
    """

    def __init__(
        self,
        tick_s: float = 2.0,
        accounts: Mapping[str, Account] = DEFAULT_ACCOUNTS,
        gateway_token: str = GATEWAY_TOKEN,
        clock: Callable[[], float] = time.time,
        seed: int = 1,
    ) -> None:
        self.tick_s = tick_s
        self.accounts = dict(accounts)
        self.gateway_token = gateway_token
        self.clock = clock
        self.quotas = Quotas()
        self.pause_race = False
        self.mixed_snapshots = False
        self.starts: list[GroupStart] = []
        self._rng = random.Random(seed)
        self._ids = Ids()
        self._tenants: dict[str, Tenant] = {}
        self.app = Starlette(routes=routes(self), exception_handlers={HTTPException: _no_route})
        self.app.router.redirect_slashes = False

    @property
    def tenant_names(self) -> frozenset[str]:
        return frozenset(account.tenant for account in self.accounts.values())

    def tenant(self, name: str = "DEFAULT") -> Tenant:
        if name not in self._tenants:
            repo = Repository(name, self._ids, self.clock, self._rng, self.quotas, self.starts)
            engine = Engine(repo)
            self._tenants[name] = Tenant(repo, engine, Operations(repo, engine))
        return self._tenants[name]

    def tick(self) -> None:
        for tenant in list(self._tenants.values()):
            tenant.engine.tick()

    async def run(self) -> None:
        """Until cancelled. The delay runs from the end of one pass to the start of the next."""
        while True:
            await asyncio.sleep(self.tick_s)
            self.tick()


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "Not Found", 405: "Method Not Allowed"}.get(error.status_code, error.detail)
    return failure(servlet_error(error.status_code, words))
