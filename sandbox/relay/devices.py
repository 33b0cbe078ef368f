"""The devices' SSH servers: real SSH, one listener each with its own host key, started when first connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import asyncssh

from sandbox.relay import commands
from sandbox.relay.keys import derived_key, known_hosts_line
from sandbox.relay.view import Lookup

NOISE = b"\x1b[2J\x1b[31mred\x1b[0m\x00\xff\xfe\x80caf\xe9\r\x1b]0;title\x07\xe2\x80\xae<!channel>\n"


@dataclass(slots=True)
class Switches:
    """How one device misbehaves.

    link         silent: packets to its address vanish; refused: the host is up, its sshd is not
    answers_as   the VPN address now belongs to that other device
    changed_key  the device was re-installed and has a new host key
    command      hang: no answer; flood: output without end; drop: the connection ends in mid-answer; noise: colours,
                 binary and direction marks before the answer; slow: the answer comes in pieces, `delay_s` apart
    exit_status  instead of the true one
    booted_as    what `rauc status` says in `booted`: the slot's name, or its boot name
    """

    link: Literal["up", "silent", "refused"] = "up"
    answers_as: str | None = None
    changed_key: bool = False
    command: Literal["answer", "hang", "flood", "drop", "noise", "slow"] = "answer"
    delay_s: float = 0.2
    exit_status: int | None = None
    rauc_service: bool = True
    booted_as: Literal["slot", "bootname"] = "slot"


@dataclass(slots=True)
class Ran:
    """One simple command a device was asked to run, and how it was ended if not by itself."""

    device: str
    argv: tuple[str, ...]
    ended_by: str | None = None


class DeviceHost:
    """All devices of a fleet on 127.0.0.1.

    `lookup` is asked at each command, so a simulation may change a device under way. `host_ca` makes the devices
    present host certificates for their names. `ran` is what the devices saw, in order.
    """

    def __init__(
        self,
        lookup: Lookup,
        bot_key: asyncssh.SSHKey,
        *,
        user: str = "cdm",
        seed: str = "devices",
        host_ca: asyncssh.SSHKey | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.lookup = lookup
        self.user = user
        self.now = now
        self.ran: list[Ran] = []
        self.connected = 0
        self.peak = 0
        self._bot_key = bot_key.convert_to_public()
        self._seed = seed
        self._host_ca = host_ca
        self._switches: dict[str, Switches] = {}
        self._listeners: dict[tuple[str, bool], asyncio.Task[asyncssh.SSHAcceptor]] = {}

    def switches(self, name: str) -> Switches:
        return self._switches.setdefault(name, Switches())

    def reset(self, name: str) -> None:
        self._switches.pop(name, None)

    def host_key(self, name: str) -> asyncssh.SSHKey:
        changed = self.switches(name).changed_key
        return derived_key(self._seed, f"{name}{':changed' if changed else ''}")

    def known_hosts(self, names: Iterable[str]) -> str:
        """The known_hosts file of an honest fleet: device names, no addresses."""
        return "".join(f"{known_hosts_line(n, derived_key(self._seed, n))}\n" for n in names)

    async def port_of(self, name: str) -> int:
        """The loopback port of the device's server, started now if it was not yet."""
        which = (name, self.switches(name).changed_key)
        if which not in self._listeners:
            self._listeners[which] = asyncio.create_task(self._listen(name))
        return (await asyncio.shield(self._listeners[which])).get_port()

    async def stop(self) -> None:
        listeners, self._listeners = self._listeners, {}
        for task in listeners.values():
            acceptor = await task
            acceptor.close()
            await acceptor.wait_closed()

    async def _listen(self, name: str) -> asyncssh.SSHAcceptor:
        key = self.host_key(name)
        host_keys: list[object] = [key]
        if self._host_ca is not None:
            host_keys = [(key, self._host_ca.generate_host_certificate(key, name, principals=[name]))]
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _DeviceServer(self, name),
            server_host_keys=host_keys,
            agent_forwarding=False,
            x11_forwarding=False,
        )

    def accepts(self, user: str, key: asyncssh.SSHKey) -> bool:
        return user == self.user and key == self._bot_key


class _DeviceServer(asyncssh.SSHServer):
    def __init__(self, host: DeviceHost, name: str) -> None:
        self._host = host
        self._name = name
        self._conn: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._host.connected += 1
        self._host.peak = max(self._host.peak, self._host.connected)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.connected -= 1

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._host.accepts(username, key)

    def session_requested(
        self,
    ) -> tuple[asyncssh.SSHServerChannel[bytes], asyncssh.SSHServerSession[bytes]]:
        assert self._conn is not None
        return self._conn.create_server_channel(encoding=None), _CommandSession(self._host, self._name, self._conn)


class _CommandSession(asyncssh.SSHServerSession[bytes]):
    """One exec request: the string is split as the device's shell would, and each command is run."""

    def __init__(self, host: DeviceHost, name: str, conn: asyncssh.SSHServerConnection) -> None:
        self._host = host
        self._name = name
        self._conn = conn
        self._command = ""
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self._current: Ran | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        self._task = asyncio.create_task(self._serve())

    def signal_received(self, signal: str) -> None:
        self._end(f"signal {signal}")
        self._chan.exit_with_signal(signal)

    def eof_received(self) -> bool:
        return True  # stdin has ended, the answer goes on

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection lost")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _end(self, by: str) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            if self._current is not None and self._current.ended_by is None:
                self._current.ended_by = by

    async def _serve(self) -> None:
        view = self._host.lookup(self._name)
        if view is None:
            self._conn.abort()
            return
        switches = self._host.switches(self._name)
        machine = commands.Machine(view, self._host.now(), switches.rauc_service, switches.booted_as)
        try:
            words = commands.split_exec(self._command)
        except ValueError as error:
            self._chan.write_stderr(f"sh: 1: {error}\n".encode())
            self._chan.exit(2)
            return
        status = 0
        for argv in words:
            self._current = Ran(self._name, argv)
            self._host.ran.append(self._current)
            status = await self._run(commands.run(argv, machine), switches)
        self._chan.exit(status if switches.exit_status is None else switches.exit_status)

    async def _run(self, answer: commands.Answer, switches: Switches) -> int:
        if switches.command == "hang":
            await asyncio.Event().wait()
        if switches.command == "flood":
            while True:
                await self._writable.wait()
                self._chan.write(b"the same line again and again\n" * 100)
                await asyncio.sleep(0)
        if switches.command == "drop":
            self._chan.write(answer.stdout[: len(answer.stdout) // 2])
            await asyncio.sleep(0)
            self._conn.abort()
            await asyncio.Event().wait()
        if switches.command == "noise":
            self._chan.write(NOISE)
        if switches.command == "slow":
            third = len(answer.stdout) // 3 + 1
            for start in range(0, len(answer.stdout), third):
                self._chan.write(answer.stdout[start : start + third])
                await asyncio.sleep(switches.delay_s)
        else:
            self._chan.write(answer.stdout)
        self._chan.write_stderr(answer.stderr)
        return answer.status
