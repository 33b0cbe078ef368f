"""A ThingsBoard for each test: the stand-in, or the server named by --thingsboard-url with a tenant of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.thingsboard import SYSADMIN, ThingsboardSandbox
from sandbox.wire import WireServer
from tests.contract.thingsboard.site import Account, Customized, Site, Webhook

PACE = 0.03
"""How fast the stand-in's own waits go; a test that needs another says `@pytest.mark.parametrize("pace", [...])`."""


@pytest.fixture
def version(request: pytest.FixtureRequest) -> str:
    """4.2.1 unless a test is parametrized with another."""
    return str(request.config.getoption("--thingsboard-version"))


@pytest.fixture
def pace() -> float:
    return PACE


@pytest.fixture
async def site(request: pytest.FixtureRequest, version: str, pace: float) -> AsyncIterator[Site]:
    given = request.config.getoption
    servers: list[WireServer] = []
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(_stop_all, servers)
        if given("--thingsboard-url"):
            if not version.startswith(str(given("--thingsboard-version"))[:3]):
                pytest.skip(f"the server is not a {version}")
            url, login, sandbox = given("--thingsboard-url"), ("--thingsboard-user", "--thingsboard-password"), None
            email, password = (given(name) for name in login)
            pace = 1.0
        else:
            sandbox = ThingsboardSandbox(version=version, pace=pace, stalls=False)  # type: ignore[arg-type]
            running = asyncio.create_task(sandbox.run())
            stack.push_async_callback(_cancelled, running)
            servers.append(await WireServer(sandbox.app).start())
            url, (email, password) = servers[0].url, SYSADMIN
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
        site = Site(http, version, pace, sandbox=sandbox, servers=servers)
        site.sysadmin = await Account(site, email, password).login()
        yield site


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _stop_all(servers: list[WireServer]) -> None:
    await asyncio.gather(*(server.stop() for server in servers))


@pytest.fixture
def stand_in(site: Site) -> ThingsboardSandbox:
    """For what cannot be done to a real server from outside: restarting it, bending its token lifetime."""
    if site.sandbox is None:
        pytest.skip("needs a switch of the stand-in")
    return site.sandbox


@pytest.fixture
async def tenant(site: Site) -> Customized:
    return await site.tenant()


@pytest.fixture
async def webhook(site: Site) -> tuple[Webhook, str]:
    """What hears, and its base address."""
    listener = Webhook()
    site.servers.append(await WireServer(listener).start())
    return listener, site.servers[-1].url
