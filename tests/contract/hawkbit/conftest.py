from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.hawkbit import Account, HawkbitSandbox
from sandbox.hawkbit.accounts import DEFAULT_ACCOUNTS, READS
from sandbox.wire import Receive, Scope, Send, WireServer
from tests.contract.hawkbit.world import World

ACCOUNTS = {
    **DEFAULT_ACCOUNTS,
    "handler": Account("handler", permissions=READS | {"HANDLE_ROLLOUT"}),
    "rollout-updater": Account("rollout-updater", permissions=READS | {"UPDATE_ROLLOUT"}),
    "target-updater": Account("target-updater", permissions=READS | {"UPDATE_TARGET"}),
    "set-updater": Account("set-updater", permissions=READS | {"UPDATE_DISTRIBUTION_SET"}),
    "set-rollout": Account("set-rollout", permissions=READS | {"UPDATE_DISTRIBUTION_SET", "UPDATE_ROLLOUT"}),
    "blind-updater": Account("blind-updater", permissions=frozenset({"UPDATE_TARGET"})),
    "roles-only": Account(
        "roles-only",
        roles=frozenset({"CREATE_ROLLOUT", "HANDLE_ROLLOUT", "READ_DISTRIBUTION_SET", "READ_ROLLOUT", "READ_TARGET"}),
    ),
    "stranger": Account("stranger", roles=frozenset({"TENANT_ADMIN"}), tenant="OTHER"),
}


class Standing:
    """One server for a module's tests; each test gets a stand-in of its own behind it."""

    def __init__(self) -> None:
        self.sandbox = HawkbitSandbox(accounts=ACCOUNTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.sandbox.app(scope, receive, send)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Standing, str] | None]:
    if request.config.getoption("--hawkbit-url"):
        yield None
        return
    front = Standing()
    async with WireServer(front) as server:
        yield front, server.url


@pytest_asyncio.fixture(loop_scope="module")
async def world(request: pytest.FixtureRequest, standing: tuple[Standing, str] | None) -> AsyncIterator[World]:
    if standing is None:
        url, user, password = (request.config.getoption(f"--hawkbit-{what}") for what in ("url", "user", "password"))
        made = World(url.rstrip("/"), None, user, password)
    else:
        front, url = standing
        front.sandbox = HawkbitSandbox(accounts=ACCOUNTS)
        made = World(url, front.sandbox, "admin", "admin")
    yield made
    await made.close()
