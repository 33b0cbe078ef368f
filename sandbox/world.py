"""A whole CDM on one machine: Slack, ThingsBoard, hawkBit, Keycloak, the relay and a fleet, in one event loop.

Everything the bot meets it meets on the wire, and everything it needs to start is written to one directory.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import socket
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from html import unescape
from pathlib import Path
from typing import Any, Literal

import asyncssh
import httpx

from sandbox import cast
from sandbox.browser import Browser
from sandbox.cast import PIPELINE, TENANTS
from sandbox.fleet import Fleet, Pace, SimulatedDevice
from sandbox.furnish import Wired, fill_hawkbit, fill_realm, fill_slack, fill_thingsboard
from sandbox.hawkbit import Account, HawkbitSandbox
from sandbox.hawkbit.accounts import BRAKE, EVERYDAY, RELEASE
from sandbox.keycloak.app import create_app
from sandbox.keycloak.realm import Realm
from sandbox.pipeline import Pipeline
from sandbox.relay import DeviceHost, RelaySandbox, control_app
from sandbox.settings_file import BOT, DATA, KEY_FILE, KNOWN_HOSTS, RELAY, Surroundings, write_private
from sandbox.settings_file import BRAKE as BRAKE_ACCOUNT
from sandbox.settings_file import RELEASE as RELEASE_ACCOUNT
from sandbox.slack import SlackSandbox
from sandbox.slack.client import SlackPeople
from sandbox.tempo import Tempo
from sandbox.thingsboard import ThingsboardSandbox
from sandbox.wire import App, WireServer
from sandbox.wiring import ThingsboardAccount

CALLBACK = "/oidc/callback"
"""Where Keycloak sends a browser back to, below the bot's address."""
BOT_PORTS = (20_000, 32_000)
"""Below the ports Linux gives to outgoing connections, so that nobody takes the bot's while it restarts."""
ACTIVITY_CHECK_S = 2.0
LEAST_SILENCE_S = 10.0
"""A device that says nothing for so long, or for two and a half times of what is usual, counts as inactive."""
_URL = re.compile(r"https?://[^\s<>|\"'\\]+")


class SandboxWorld:
    """`async with SandboxWorld(directory) as world`: then `world.config` is the settings file of a bot to be started.

    `servers` holds the HTTP side of each stand-in by name (slack, thingsboard, hawkbit, keycloak, relay), with its
    faults; `slack_rate` scales Slack's rate limits, for Slack and in the bot's settings alike; `thingsboard_pace` the
    times ThingsBoard waits. With `keycloak_url` a real Keycloak is used, whose realm is its owner's to set up.
    """

    def __init__(
        self,
        directory: Path,
        *,
        devices: int = 500,
        pace: Pace | None = None,
        hawkbit_tick_s: float = 0.5,
        slack_mode: Literal["socket", "http"] = "socket",
        keycloak_url: str | None = None,
        thingsboard_pace: float = 1.0,
        slack_rate: float = 1.0,
        speed: float = 1.0,
        seed: int = 1,
    ) -> None:
        self.tempo = Tempo(speed)
        self.directory = directory
        self.slack_mode = slack_mode
        self.slack_rate = slack_rate
        self.bot_port = _free_bot_port()
        self.bot_url = f"http://127.0.0.1:{self.bot_port}"
        self.config = directory / "cdm.yaml"
        self.counts = cast.split(devices)
        self.slack = SlackSandbox(team_id=cast.TEAM, seed=seed)
        self.thingsboard = ThingsboardSandbox(seed=seed, pace=thingsboard_pace)
        self._passwords = {
            name: secrets.token_urlsafe(12) for name in (BOT, BRAKE_ACCOUNT, RELEASE_ACCOUNT, "admin", PIPELINE)
        }
        self.hawkbit = HawkbitSandbox(tick_s=hawkbit_tick_s, accounts=self._accounts(), seed=seed)
        self.realm = Realm.load()
        self._keycloak_url = keycloak_url
        self._webhook_secrets = {tenant.id: secrets.token_urlsafe(24) for tenant in TENANTS}
        self._bot_key = asyncssh.generate_private_key("ssh-ed25519")
        self.servers: dict[str, WireServer] = {}
        self.hawkbit_restarting = False
        self.people: SlackPeople
        self.fleet: Fleet
        self.relay: RelaySandbox
        self.pipeline: Pipeline
        self.by_hand: Pipeline
        self._pace = pace or Pace()
        self._seed = seed
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> SandboxWorld:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    # what tests and the story do

    def url(self, name: str) -> str:
        return self._keycloak_url if name == "keycloak" and self._keycloak_url else self.servers[name].url

    async def login(self, slack_user: str, username: str, password: str = cast.PASSWORD) -> str:
        """Link a Slack person with a Keycloak account as people do: `/cdm link`, the browser, the login, the
        confirmation. Answers the last page's text."""
        url = await self._link_url(slack_user)
        async with Browser() as browser:
            await browser.open(url)
            for _ in range(4):
                if browser.asks_for_login:
                    await browser.log_in(username, password)
                elif browser.has_form:
                    await browser.submit()
            return browser.text

    async def _link_url(self, slack_user: str) -> str:
        before = {said.ts for said in await self.people.ephemerals(slack_user)}
        await self.people.slash(slack_user, cast.ROLLOUTS, "/cdm", "link")
        said = await self.people.wait_for_ephemeral(
            slack_user, lambda e: e.ts not in before and bool(_URL.search(json.dumps(e.blocks) + e.text))
        )
        found = _URL.search(json.dumps(said.blocks) + " " + said.text)
        assert found is not None
        return unescape(found[0])

    async def restart_hawkbit(self, away_s: float) -> None:
        """As when its process is restarted: open requests are cut, connections refused for so long, and what its
        database holds is kept. Returns once it is away."""
        server = self.servers["hawkbit"]
        self.hawkbit_restarting = True
        await server.stop()
        self._run(self._bring_back(server, away_s), "hawkbit restart")

    async def _bring_back(self, gone: WireServer, away_s: float) -> None:
        await asyncio.sleep(away_s)
        server = WireServer(self.hawkbit.app, gone.port, self._seed)
        server.faults.active.extend(gone.faults.active)
        self.servers["hawkbit"] = await server.start()
        self.hawkbit_restarting = False

    async def thingsboard_account(self, tenant: str) -> ThingsboardAccount:
        """The tenant's bot account, over REST. The caller may use it as long as the world runs."""
        return await ThingsboardAccount.login(self._tb_http, *self._thingsboard_login(tenant))

    def device(self, name: str) -> SimulatedDevice:
        """LookupError where there is none."""
        found = self.fleet.lookup(name)
        if found is None:
            raise LookupError(f"no device {name}")
        return found

    def cut_off(self, devices: Iterable[SimulatedDevice], cut: bool) -> None:
        """Whether they are without power or VPN: no polls, no telemetry, and nobody answers at their addresses."""
        for device in devices:
            device.cut_off = cut
            self.relay.devices.switches(device.name).link = "silent" if cut else "up"

    def write_config(
        self, *, name: str = "cdm.yaml", port: int | None = None, data_dir: str = DATA, **overrides: Any
    ) -> Path:
        """A settings file for one bot, with its secrets. `overrides` are laid over it, section by section. Slack (in
        mode http), ThingsBoard and browsers go on using the first bot's address."""
        surroundings = Surroundings(
            directory=self.directory,
            bot_url=self.bot_url,
            slack_url=self.url("slack"),
            slack_mode=self.slack_mode,
            slack_token=self.slack.bot_token,
            slack_secret=self.slack.app_token if self.slack_mode == "socket" else self.slack.signing_secret,
            slack_rate=self.slack_rate,
            keycloak_url=self.url("keycloak"),
            realm=self.realm.name,
            client_secret=self.realm.clients[BOT].secret,
            thingsboard_url=self.url("thingsboard"),
            logins={tenant.id: self._thingsboard_login(tenant.id) for tenant in TENANTS},
            webhook_secrets=self._webhook_secrets,
            hawkbit_url=self.url("hawkbit"),
            hawkbit_passwords=self._passwords,
            tick_s=self.hawkbit.tick_s,
            relay_port=self.relay.port,
        )
        return surroundings.write(name, port or self.bot_port, data_dir, overrides)

    def _thingsboard_login(self, tenant: str) -> tuple[str, str]:
        return f"cdm-bot@{tenant}.example", f"{self._webhook_secrets[tenant]}-login"

    # the start

    async def _start(self) -> None:
        self._exit.push_async_callback(self._stop_servers)
        await self._serve("slack", self.slack.app)
        await self._serve("thingsboard", self.thingsboard.app)
        await self._serve("hawkbit", self.hawkbit.app)
        if self._keycloak_url is None:
            fill_realm(self.realm, f"{self.bot_url}{CALLBACK}")
            await self._serve("keycloak", create_app(self.realm))
        self._exit.push_async_callback(self.slack.close)
        self.people = await self._exit.enter_async_context(SlackPeople(self.url("slack")))
        self._tb_http = await self._exit.enter_async_context(
            httpx.AsyncClient(base_url=self.url("thingsboard"), timeout=15, trust_env=False)
        )
        self.pipeline = self._pipeline(PIPELINE)
        self.by_hand = self._pipeline("admin")
        self._set_up_slack()
        await self._set_up_thingsboard()
        self._run(self.thingsboard.run(), "thingsboard")
        self._set_up_fleet()
        await self._set_up_relay()
        self._run(self._tick_hawkbit(), "hawkbit")
        self._run(self._check_activity(), "activity check")
        self._run(self.fleet.run(), "fleet")
        self.write_config()

    async def _serve(self, name: str, app: App) -> None:
        self.servers[name] = await WireServer(app, seed=self._seed).start()

    async def _stop_servers(self) -> None:
        await asyncio.gather(*(server.stop() for server in self.servers.values()))

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """In the background until the world ends. One that ends by an error tells the loop's exception handler."""
        task = asyncio.create_task(work, name=f"sandbox:{name}")

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                context = {"message": f"the sandbox's {name} failed", "exception": error, "task": done}
                asyncio.get_running_loop().call_exception_handler(context)

        task.add_done_callback(ended)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._exit.push_async_callback(stop)

    def _set_up_slack(self) -> None:
        fill_slack(self.slack)
        self.slack.rates.scale = self.slack_rate
        if self.slack_mode == "http":
            self.slack.courier.use_http(f"{self.bot_url}/slack/events")

    async def _tick_hawkbit(self) -> None:
        """hawkBit's scheduler. Slow time slows it; fast time does not make it faster than the bot was told it is, for
        the bot's promotions are safe only while a read and a request fit into one tick."""
        clock = asyncio.get_running_loop().time
        while True:
            tick_s, began = self.hawkbit.tick_s, clock()
            await self.tempo.sleep(tick_s)
            await asyncio.sleep(tick_s - (clock() - began))
            if not self.hawkbit_restarting:
                self.hawkbit.tick()

    async def _check_activity(self) -> None:
        """As a ThingsBoard does that is set to look for silent devices more often than once a minute."""
        while True:
            await asyncio.sleep(ACTIVITY_CHECK_S)
            self.thingsboard.field.check_inactivity()

    async def _set_up_thingsboard(self) -> None:
        logins = {tenant.id: self._thingsboard_login(tenant.id) for tenant in TENANTS}
        silence_s = max(LEAST_SILENCE_S, 2.5 * self._pace.telemetry_s) / self.thingsboard.pace
        wired = Wired(self.bot_url, self.counts, logins, self._webhook_secrets, round(1000 * silence_s))
        await fill_thingsboard(self.thingsboard, self._tb_http, wired)

    def _set_up_fleet(self) -> None:
        devices = fill_hawkbit(self.hawkbit, self.counts)
        self.fleet = Fleet(
            devices,
            hawkbit_url=self.url("hawkbit"),
            gateway_token=self.hawkbit.gateway_token,
            thingsboard_url=self.url("thingsboard"),
            pace=self._pace,
            tempo=self.tempo,
            seed=self._seed,
        )

    async def _set_up_relay(self) -> None:
        """A device that is rebooting cuts whoever reaches its address."""
        names = list(self.fleet.devices)

        def lookup(name: str) -> SimulatedDevice | None:
            found = self.fleet.lookup(name)
            return found if found is not None and found.online else None

        devices = DeviceHost(lookup, self._bot_key)
        self.relay = RelaySandbox(devices, self.fleet.at_address, self._bot_key, name=RELAY)
        await self._exit.enter_async_context(self.relay)
        await self._serve("relay", control_app(self.relay, lambda: names))
        key = self._bot_key.export_private_key("openssh").decode()
        write_private(self.directory / KEY_FILE, key)
        known = self.relay.known_hosts() + devices.known_hosts(names)
        (self.directory / KNOWN_HOSTS).write_text(known)

    def _accounts(self) -> dict[str, Account]:
        return {
            BOT: Account(self._passwords[BOT], permissions=EVERYDAY),
            BRAKE_ACCOUNT: Account(self._passwords[BRAKE_ACCOUNT], permissions=BRAKE),
            RELEASE_ACCOUNT: Account(self._passwords[RELEASE_ACCOUNT], permissions=RELEASE),
            PIPELINE: Account(self._passwords[PIPELINE], permissions=EVERYDAY),
            "admin": Account(self._passwords["admin"], roles=frozenset({"TENANT_ADMIN"})),
        }

    def _pipeline(self, account: str) -> Pipeline:
        made = Pipeline(self.url("hawkbit"), account, self._passwords[account])
        self._exit.push_async_callback(made.close)
        return made


def _free_bot_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    for port in random.sample(range(*BOT_PORTS), 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port on 127.0.0.1 within {BOT_PORTS}")
