"""The relay: a jump host that forwards to the devices' VPN addresses and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import asyncssh

from sandbox.relay.devices import DeviceHost
from sandbox.relay.keys import derived_key, known_hosts_line
from sandbox.wire import free_port

TCP_CONNECT_S = 127.0
"""How long a Linux relay tries to reach an address that never answers, before it gives up (tcp_syn_retries = 6)."""


@dataclass(frozen=True, slots=True)
class RelayFaults:
    """down: nobody listens; silent: connections are taken and never answered; wrong_key: another host key."""

    down: bool = False
    silent: bool = False
    wrong_key: bool = False


class RelaySandbox:
    """An SSH server on 127.0.0.1 for which `address_of` plays the VPN: an address gives the name of the device there.

    Forwards direct-tcpip to port 22 of known addresses only. No shell, no command, no other authentication than the
    bot's key. `connections` counts the connections made to it since the start.
    """

    def __init__(
        self,
        devices: DeviceHost,
        address_of: Callable[[str], str | None],
        bot_key: asyncssh.SSHKey,
        *,
        user: str = "cdm-bot",
        name: str = "relay",
        seed: str = "relay",
        port: int = 0,
    ) -> None:
        self.devices = devices
        self.name = name
        self.port = port or free_port()
        self.faults = RelayFaults()
        self.connections = 0
        self._address_of = address_of
        self._bot_key = bot_key.convert_to_public()
        self._user = user
        self._seed = seed
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._deaf: asyncio.Server | None = None
        self._open: set[asyncssh.SSHServerConnection] = set()

    async def __aenter__(self) -> RelaySandbox:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> RelaySandbox:
        await self._listen()
        return self

    async def stop(self) -> None:
        """Relay and devices end at once, as when the machine is switched off."""
        await self._unlisten()
        await self.drop()
        await self.devices.stop()

    async def misbehave(self, **faults: bool) -> None:
        """Set some of `RelayFaults`; the others stay. Open connections end, as when its sshd is restarted."""
        self.faults = replace(self.faults, **faults)
        await self._unlisten()
        await self.drop()
        await self._listen()

    async def drop(self) -> None:
        """Cut every open connection to the relay."""
        for conn in list(self._open):
            conn.abort()
            await conn.wait_closed()

    def known_hosts(self) -> str:
        return f"{known_hosts_line(self.name, derived_key(self._seed, 'host'))}\n"

    async def _listen(self) -> None:
        if self.faults.down:
            return
        if self.faults.silent:
            self._deaf = await asyncio.start_server(_never_answer, "127.0.0.1", self.port)
            return
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _RelayServer(self),
            server_host_keys=[derived_key(self._seed, "wrong" if self.faults.wrong_key else "host")],
            agent_forwarding=False,
            x11_forwarding=False,
        )

    async def _unlisten(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None
        if self._deaf is not None:
            self._deaf.close()
            self._deaf = None

    def accepts(self, user: str, key: asyncssh.SSHKey) -> bool:
        return user == self._user and key == self._bot_key

    def opened(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections += 1
        self._open.add(conn)

    def closed(self, conn: asyncssh.SSHServerConnection) -> None:
        self._open.discard(conn)

    def device_at(self, address: str, port: int) -> str:
        name = self._address_of(address)
        if name is None or port != 22:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return name

    async def forward(self, conn: asyncssh.SSHServerConnection, name: str) -> object:
        """The session that pumps between the relay's client and the device's server, once it is connected."""
        await asyncio.wait_for(self._reach(name), TCP_CONNECT_S)
        port = await self.devices.port_of(self.devices.switches(name).answers_as or name)
        return await conn.forward_connection("127.0.0.1", port)

    async def _reach(self, name: str) -> None:
        while self.devices.switches(name).link == "silent":
            await asyncio.sleep(0.02)
        if self.devices.switches(name).link == "refused":
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")


class _RelayServer(asyncssh.SSHServer):
    def __init__(self, relay: RelaySandbox) -> None:
        self._relay = relay
        self._conn: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._relay.opened(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._conn is not None
        self._relay.closed(self._conn)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._relay.accepts(username, key)

    def connection_requested(  # type: ignore[override]
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> object:
        assert self._conn is not None
        return self._relay.forward(self._conn, self._relay.device_at(dest_host, dest_port))


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
