"""A stand-in hawkBit behind the wire, the client, and short cuts to what people and devices do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from core.errors import (
    OutsideError,
)
from core.ids import DeviceName
from integrations.hawkbit import HawkbitAccount, HawkbitRollouts
from sandbox.hawkbit import HawkbitSandbox, control
from sandbox.hawkbit.model import Conditions, Rollout
from sandbox.hawkbit.operations import RolloutWish, even_groups
from sandbox.hawkbit.repository import Repository
from sandbox.wire import Faults, WireServer

PAUSE = Conditions(success_threshold="95", success_action="PAUSE", error_threshold="20")
TIMEOUT_S = 2.0
SHORT_S = 0.2
Call = Callable[[HawkbitRollouts], Awaitable[object]]


class Bench:
    """A stand-in with one product in two versions, the client, and short cuts to what people and devices do."""

    def __init__(self, url: str, faults: Faults, sandbox: HawkbitSandbox) -> None:
        self.url = url
        self.faults = faults
        self.sandbox = sandbox
        self.v1 = control.seed_set(self.repo, "FW", "1.0.0")
        self.v2 = control.seed_set(self.repo, "FW", "2.0.0")
        brake = HawkbitAccount("brake", lambda: "brake")
        self.client = self.make_client(brake=brake)

    @property
    def repo(self) -> Repository:
        return self.sandbox.tenant().repo

    def make_client(
        self, user: str = "bot", password: str = "bot", brake: HawkbitAccount | None = None, url: str = ""
    ) -> HawkbitRollouts:
        """With a release account."""
        return HawkbitRollouts(
            url or self.url,
            HawkbitAccount(user, lambda: password),
            brake,
            release=HawkbitAccount("release", lambda: "release"),
            system="hawkBit eu1",
            timeout_s=TIMEOUT_S,
            verify=False,
        )

    def devices(self, number: int, prefix: str = "dev", *, on_v1: bool = False) -> list[DeviceName]:
        installed = self.v1 if on_v1 else None
        names = [DeviceName(f"{prefix}-{index:04}") for index in range(number)]
        for name in names:
            control.seed_target(self.repo, name, installed=installed)
        return names

    def ready(self, name: str = "r1", groups: int = 2, filter_: str = "controllerId==dev-*") -> Rollout:
        wish = RolloutWish(name, filter_, self.v2, groups=even_groups(groups, PAUSE))
        made = self.sandbox.tenant().operations.create(wish, "bot", may_lock=True)
        self.sandbox.tick()
        return made

    def running(self, name: str = "r1", groups: int = 2, filter_: str = "controllerId==dev-*") -> Rollout:
        made = self.ready(name, groups, filter_)
        self.sandbox.tenant().operations.start(made, "bot")
        self.sandbox.tick()
        return made

    def finish(self, rollout: Rollout, index: int) -> None:
        for action in rollout.groups[index].actions.values():
            if action.active:
                control.finish(self.repo, action.target.controller_id)
        self.sandbox.tick()


class Front:
    sandbox: HawkbitSandbox

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await self.sandbox.app(scope, receive, send)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front() -> AsyncIterator[tuple[Front, WireServer]]:
    app = Front()
    async with WireServer(app) as server:
        yield app, server


@pytest_asyncio.fixture(loop_scope="module")
async def bench(front: tuple[Front, WireServer]) -> AsyncIterator[Bench]:
    app, server = front
    app.sandbox = HawkbitSandbox()
    server.faults.clear()
    made = Bench(server.url, server.faults, app.sandbox)
    yield made
    await made.client.aclose()


async def failure(call: Awaitable[object]) -> OutsideError:
    with pytest.raises(OutsideError) as caught:
        await call
    assert "hawkBit eu1" in caught.value.user_text
    assert caught.value.system == "hawkBit eu1"
    return caught.value
