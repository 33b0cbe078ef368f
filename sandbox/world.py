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
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from html import unescape
from pathlib import Path
from typing import Any, Literal

import asyncssh
import httpx

from sandbox import cast, wiring
from sandbox.browser import Browser
from sandbox.cast import PIPELINE, TENANTS
from sandbox.fleet import Fleet, Pace, SimulatedDevice
from sandbox.hawkbit import Account, HawkbitSandbox
from sandbox.hawkbit.accounts import BRAKE, EVERYDAY
from sandbox.hawkbit.control import seed_set, seed_target
from sandbox.keycloak.app import create_app
from sandbox.keycloak.realm import Realm
from sandbox.pipeline import Pipeline
from sandbox.relay import DeviceHost, RelaySandbox, control_app
from sandbox.settings_file import ADDRESS, BOT, DATA, KEY_FILE, KNOWN_HOSTS, RELAY, Surroundings, write_private
from sandbox.settings_file import BRAKE as BRAKE_ACCOUNT
from sandbox.slack import SlackSandbox
from sandbox.slack.client import SlackPeople
from sandbox.thingsboard import SYSADMIN, ThingsboardSandbox
from sandbox.wire import App, WireServer
from sandbox.wiring import ThingsboardAccount

CALLBACK = "/oidc/callback"
"""Where Keycloak sends a browser back to, below the bot's address."""
BOT_PORTS = (20_000, 32_000)
"""Below the ports Linux gives to outgoing connections, so that nobody takes the bot's while it restarts."""
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
        seed: int = 1,
    ) -> None:
        self.directory = directory
        self.slack_mode = slack_mode
        self.slack_rate = slack_rate
        self.bot_port = _free_bot_port()
        self.bot_url = f"http://127.0.0.1:{self.bot_port}"
        self.config = directory / "cdm.yaml"
        self.counts = cast.split(devices)
        self.slack = SlackSandbox(team_id=cast.TEAM, seed=seed)
        self.thingsboard = ThingsboardSandbox(seed=seed, pace=thingsboard_pace)
        self._passwords = {name: secrets.token_urlsafe(12) for name in (BOT, BRAKE_ACCOUNT, "admin", PIPELINE)}
        self.hawkbit = HawkbitSandbox(tick_s=hawkbit_tick_s, accounts=self._accounts(), seed=seed)
        self.realm = Realm.load()
        self._keycloak_url = keycloak_url
        self._webhook_secrets = {tenant.id: secrets.token_urlsafe(24) for tenant in TENANTS}
        self._bot_key = asyncssh.generate_private_key("ssh-ed25519")
        self.servers: dict[str, WireServer] = {}
        self.people: SlackPeople
        self.fleet: Fleet
        self.relay: RelaySandbox
        self.pipeline: Pipeline
        self.by_hand: Pipeline
        self._pace = pace
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

    async def thingsboard_account(self, tenant: str) -> ThingsboardAccount:
        """The tenant's bot account, over REST. The caller may use it as long as the world runs."""
        return await ThingsboardAccount.login(self._tb_http, *self._thingsboard_login(tenant))

    def device(self, name: str) -> SimulatedDevice:
        """LookupError where there is none."""
        found = self.fleet.lookup(name)
        if found is None:
            raise LookupError(f"no device {name}")
        return found

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
            self._set_up_realm()
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
        self._run(self.hawkbit.run(), "hawkbit")
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
        for person in cast.PEOPLE.values():
            self.slack.workspace.add_user(person.name, id=person.id, email=person.email)
        for name, members in cast.CHANNELS.items():
            self.slack.workspace.add_channel(name, members=tuple(cast.PEOPLE[member].id for member in members))
        self.slack.rates.scale = self.slack_rate
        if self.slack_mode == "http":
            self.slack.courier.use_http(f"{self.bot_url}/slack/events")

    def _set_up_realm(self) -> None:
        """The bot's callback, and alice in every tenant's group, so that she is an admin there."""
        self.realm.clients[BOT].redirect_uris = [f"{self.bot_url}{CALLBACK}"]
        alice = self.realm.by_username("alice")
        assert alice is not None
        alice.groups = [group for group in self.realm.groups if group.parent is None]

    async def _set_up_thingsboard(self) -> None:
        """Tenants and accounts as they come; alarms only by the wiring that ships with the bot."""
        text = wiring.DOCUMENTS.read_text()
        queued = False
        for tenant in TENANTS:
            made = self.thingsboard.add_tenant(tenant.id)
            email, password = self._thingsboard_login(tenant.id)
            self.thingsboard.add_user(made, email, password, first="ChatOps", last="Bot")
            documents = wiring.filled_in(text, bot_url=self.bot_url, secret=self._webhook_secrets[tenant.id])
            if not queued:
                await wiring.make_queue(await ThingsboardAccount.login(self._tb_http, *SYSADMIN), documents)
                queued = True
            await wiring.install(await self.thingsboard_account(tenant.id), documents, tenant.id)
            profile = self.thingsboard.world.profile_named(made.id, documents["device_profile"]["name"])
            assert profile is not None
            for number in range(1, self.counts[tenant.id] + 1):
                name, attributes = tenant.device(number), {ADDRESS: tenant.address(number)}
                self.thingsboard.add_device(made, name, profile=profile, token=f"token-{name}", attributes=attributes)

    def _set_up_fleet(self) -> None:
        """Every device runs the oldest set, as hawkBit was told by an offline assignment."""
        repo = self.hawkbit.tenant().repo
        sets = [seed_set(repo, cast.SET_NAME, version) for version in cast.SETS]
        devices = []
        for tenant in TENANTS:
            for number in range(1, self.counts[tenant.id] + 1):
                name = tenant.device(number)
                seed_target(repo, name, installed=sets[0], attributes={"tenant": tenant.id})
                devices.append(SimulatedDevice(name, tenant.id, tenant.address(number), f"token-{name}", cast.SETS[0]))
        self.fleet = Fleet(
            devices,
            hawkbit_url=self.url("hawkbit"),
            gateway_token=self.hawkbit.gateway_token,
            thingsboard_url=self.url("thingsboard"),
            pace=self._pace,
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
