"""One process from start to end: the store first, then everything that needs it; the other way round at the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
import uvicorn
from redis.exceptions import RedisError

from bot.adapters import build_adapters
from bot.health import Check, Readiness
from bot.settings import Settings
from bot.slack_account import SlackAccount
from bot.socket_mode import SocketLink
from bot.ticker import Ticker
from bot.wiring import Parts, build_http, wire
from core.errors import Refused, Unavailable
from core.ids import Channel
from core.messages.blocks import compose, section
from core.ports import Clock
from flows.linking.device import TICK_S as LINK_TICK_S
from handlers.webhooks.thingsboard import in_front_of
from integrations.clock import SystemClock
from integrations.store.connection import STORE_DOWN, Store, check_schema, check_store, connect, in_danger
from integrations.store.embedded import EmbeddedStore
from integrations.store.outbox import Priority, Wanted
from runbooks import Catalog

log = structlog.get_logger(__name__)

STALE_S = 300.0


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises OutsideError where the bot must not start, with the fix in its text."""
    clock = SystemClock()
    catalog = Catalog.load(settings.runbooks_dir)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(settings))
        adapters = await build_adapters(settings, clock, stack)
        parts = wire(settings, adapters, store, clock, catalog)
        account = SlackAccount(adapters.posts, settings, clock)
        keep_pauses_short()
        await _run(settings, parts, account, store, clock, stop)
    log.info("bot_stopped")


def keep_pauses_short() -> None:
    """What start-up made stays, and the full collections become rare: with an alarm storm in memory each of them stops
    the process for 70 ms (measured), which every acknowledgement of that moment waits for."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    sys.setswitchinterval(0.001)  # work done aside in a thread gives way to the loop within a millisecond


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of the settings, embedded or by URL, checked. Raises StoreUnsafe, Unavailable or Refused."""
    async with AsyncExitStack() as stack:
        url, password = settings.store.url, settings.store.password
        if url is None:
            embedded = EmbeddedStore(settings.data_dir / "store", appendfsync=settings.store.appendfsync)
            await embedded.start()
            stack.push_async_callback(embedded.stop)
            url = embedded.url
        try:
            store = connect(url, password=password.read() if password else None)
        except ValueError:  # whose text may quote a password out of the URL
            text = (
                "store.url in cdm.yaml is no address of a store. Write redis://host:port, rediss://… or unix:///path."
            )
            raise Refused(text, system="store") from None
        stack.push_async_callback(store.aclose)
        try:
            if not settings.store.trust_persistence:
                found = await check_store(store)
                log.info("store_checked", **{key.replace("-", "_"): value for key, value in found.items()})
            await check_schema(store)
        except RedisError as error:
            text = f"The store does not answer as it should ({error}). Start it, or correct store.url in cdm.yaml."
            raise Unavailable(text, system="store") from error
        if settings.store.url is None:
            await _end_old_leases(store)
        yield store


async def _end_old_leases(store: Store) -> None:
    """The embedded store serves one bot at a time, so what still holds a lease in it is an earlier life of this one,
    which can act no more. Without this, alarms and answers would wait up to 25 s after a crash, files 70 s."""
    held = [key async for key in store.scan_iter(match="cdm:lease:*", count=1_000)]
    if held:
        await store.delete(*held)
        log.info("old_leases_ended", leases=len(held))


async def _run(
    settings: Settings, parts: Parts, account: SlackAccount, store: Store, clock: Clock, stop: asyncio.Event
) -> None:
    ticker = _ticker(settings, parts, clock)
    ticker.every(30, "slack", lambda: account.look(parts.worker))
    link = SocketLink(
        parts.slack,
        settings.slack.app_token.read if settings.slack.app_token else str,
        parts.replicas.count,
        _tell_of_sharing(settings, parts),
        clock,
    )
    readiness = Readiness(must=_musts(settings, account, store, link), told=_ages(ticker))
    server = _Server(build_http(settings, parts, readiness), parts, settings)
    await parts.queue.prepare()
    await parts.replicas.beat()  # before Slack can count our connection
    await server.start()
    work = partial(parts.work.run, alone=settings.store.url is None)
    background = [
        asyncio.create_task(_forever(name, run), name=name)
        for name, run in (("outbox", parts.worker.run), ("work", work), ("fold", parts.fold.run))
    ]
    ticker.start()
    if settings.slack.mode == "socket":
        background.append(asyncio.create_task(_forever("socket", lambda: _connected(link, clock)), name="socket"))
    log.info("bot_started", url=settings.server.public_url, port=settings.server.port, slack=settings.slack.mode)
    try:
        await stop.wait()
    finally:
        log.info("bot_stopping")
        with contextlib.suppress(Exception):
            await asyncio.wait_for(link.close(), 3)
        await server.stop()
        ticker.stop()
        for task in background:
            if task.get_name() != "outbox":  # answers still go out while what was begun is finished
                task.cancel()
        await parts.work.drain(settings.timing.shutdown_s)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        with contextlib.suppress(*STORE_DOWN):
            await parts.replicas.leave()


def _ticker(settings: Settings, parts: Parts, clock: Clock) -> Ticker:
    ticker = Ticker(clock)
    polls = {stack.name: stack.hawkbit.poll_s for stack in settings.stacks}
    for name, watch in parts.watches.items():
        ticker.every(polls[name], f"rollouts:{name}", watch.tick)
    ticker.every(settings.timing.reconcile_s, "reconcile", parts.reconciler.tick)
    for realm, keycloak in settings.realms().items():
        ticker.every(keycloak.poll_s, f"keycloak {realm}".strip(), parts.keycloak[realm].tick)
    ticker.every(10, "replica", parts.replicas.beat)
    ticker.every(2, "approvals", parts.carrying.tick)
    ticker.every(2, "reboots", parts.reboots.tick)
    ticker.every(10, "releases", parts.maker.tick)
    ticker.every(3, "homes", parts.homes.tick)
    ticker.every(60, "calendars", parts.calendars.tick)
    ticker.every(60, "policies", parts.policy_changes.tick)
    ticker.every(60, "audit_anchor", parts.anchors.tick)
    ticker.every(2, "refused_requests", parts.limit.tick)
    if parts.linking.device is not None:
        ticker.every(LINK_TICK_S, "link_grants", parts.linking.device.tick)
    return ticker


async def _forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A loop that must not end: where it fails, say so and begin it again."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("loop_failed", loop=name)
        await asyncio.sleep(1)


async def _connected(link: SocketLink, clock: Clock) -> None:
    """Connect; afterwards the client renews the connection by itself."""
    try:
        await link.connect()
    except BaseException:
        await link.close()
        raise
    await asyncio.Event().wait()


def _musts(settings: Settings, account: SlackAccount, store: Store, link: SocketLink) -> dict[str, Check]:
    async def store_ready() -> str | None:
        problem = await in_danger(store)
        return f"the store {problem}" if problem else None

    async def slack_ready() -> str | None:
        return account.problem

    checks: dict[str, Check] = {"store": store_ready, "slack": slack_ready}
    if settings.slack.mode == "socket":
        checks["socket_mode"] = link.problem
    return checks


def _ages(ticker: Ticker) -> dict[str, Check]:
    def check_of(name: str) -> Check:
        async def check() -> str | None:
            age = ticker.age(name)
            return f"no good read for {age:.0f} s" if age > STALE_S else None

        return check

    return {name: check_of(name) for name in ticker.names()}


def _tell_of_sharing(settings: Settings, parts: Parts) -> Callable[[int, int], Awaitable[None]]:
    async def tell(connections: int, own: int) -> None:
        text = (
            f"⚠️ Slack counts {connections} Socket Mode connections of this app token, this installation holds "
            f"{own}. Another installation uses the same token and takes some of our clicks. Give each its own app."
        )
        wanted = Wanted(
            key="notice:app-token-shared",
            channel=Channel(settings.slack.admin_channel),
            message=compose(text, section(text)),
            priority=Priority.NOTE,
            open=False,
        )
        await parts.outbox.put(wanted)

    return tell


class _Server:
    """uvicorn in our own loop: it handles no signals, and stops when told to."""

    def __init__(self, http: object, parts: Parts, settings: Settings) -> None:
        config = uvicorn.Config(
            in_front_of(http, parts.webhook),
            host=settings.server.host,
            port=settings.server.port,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=3,
            timeout_keep_alive=75,
            server_header=False,
            proxy_headers=False,  # nothing here depends on the peer, and each layer is paid per alarm
        )
        self._config = config
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listening when it returns. Raises OSError where the port is taken."""
        family = socket.AF_INET6 if ":" in self._config.host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._config.host, self._config.port))
        self._task = asyncio.create_task(self._server._serve([listener]), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
