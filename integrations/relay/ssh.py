"""Devices through a relay over SSH: the `Relay` port of core/ports.py."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any

import asyncssh
import structlog

from core.devices import DeviceAddress
from core.runs import CommandOutput
from integrations.relay.command import close, run_command
from integrations.relay.errors import (
    AddressOutOfRange,
    AuthRefused,
    DeviceOffline,
    ForwardingRefused,
    HostKeyChanged,
    HostKeyUnknown,
    NoCommonAlgorithm,
    RelayError,
    RelayUnreachable,
)
from integrations.relay.keys import HostKeys, load_client_key
from integrations.relay.tunnel import Tunnel

log = structlog.get_logger()

KEX = ["curve25519-sha256", "curve25519-sha256@libssh.org"]
CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """`name` is the relay's name in the known_hosts file. Times in seconds.

    max_devices   connections to devices open at once
    ramp_s        least time between the starts of two: hundreds at once stall the loop on key exchange
    retry_s       after a failed connection, how long the relay counts as unreachable without being tried again
    """

    name: str
    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    relay_timeout_s: float = 10.0
    device_timeout_s: float = 10.0
    keepalive_s: float = 5.0
    max_devices: int = 50
    ramp_s: float = 0.005
    retry_s: float = 3.0


class _Client(asyncssh.SSHClient):
    """Remembers the key a host showed when it was not the trusted one."""

    shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key
        return False


class SshRelay:
    """One relay host. Keeps one connection to it, made when needed and made again when lost.

    Host keys are looked up by name, never by address, so that a VPN address given to another device is noticed.
    BadKeyFile from the constructor if key or known_hosts file cannot be used. A command is ended by SIGKILL over SSH,
    which OpenSSH does for ordinary users only, not for root (measured on OpenSSH 9.2): devices need such an account.
    """

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._system = f"relay {settings.name}"
        self._host_keys = HostKeys(settings.known_hosts)
        self._options = asyncssh.SSHClientConnectionOptions(
            config=None,
            client_keys=[load_client_key(settings.key_file)],
            known_hosts=b"",
            agent_path=None,
            gss_host=None,
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            preferred_auth=["publickey"],
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            compression_algs=None,
            agent_forwarding=False,
            x11_forwarding=False,
            request_pty=False,
            keepalive_interval=settings.keepalive_s,
            keepalive_count_max=3,
        )
        self._slots = asyncio.Semaphore(settings.max_devices)
        self._next_start = 0.0
        self._relay: asyncssh.SSHClientConnection | None = None
        self._connecting: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._failed: tuple[float, RelayError] | None = None

    async def run(
        self,
        address: DeviceAddress,
        argv: Sequence[str],
        *,
        inside: IPv4Network | IPv6Network,
        timeout_s: float,
        max_bytes: int,
    ) -> CommandOutput:
        """As the port says. `timeout_s` is the command's own, it starts when the device is connected. stdout and
        stderr share `max_bytes`. Raises the kinds of `RelayError`; cancelled, it kills the remote command."""
        ip = self._checked_ip(address, inside)
        async with self._slots, self._device(address, ip) as device:
            try:
                return await run_command(device, address.device, argv, timeout_s=timeout_s, max_bytes=max_bytes)
            except RelayError as error:
                error.system = self._system
                raise

    async def aclose(self) -> None:
        """End the connection to the relay, and with it every command under way."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._relay is not None:
            await close(self._relay)
            self._relay = None

    def _checked_ip(self, address: DeviceAddress, inside: IPv4Network | IPv6Network) -> str:
        try:
            ip = ip_address(address.ip)
        except ValueError:
            ip = None
        if ip is None or ip not in inside:
            raise AddressOutOfRange(
                f"{address.device} is said to be at {address.ip[:60]!r}, which is not an address in its tenant's"
                f" WireGuard range {inside}. Correct the device's VPN address; nothing was connected.",
                system=self._system,
            )
        return str(ip)

    @asynccontextmanager
    async def _device(self, address: DeviceAddress, ip: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
        await self._ramp()
        try:
            device = await self._connect_device(address, ip)
        except RelayUnreachable:
            if self._failed is not None:
                raise
            device = await self._connect_device(address, ip)  # the pooled connection was dead, nothing was sent
        try:
            yield device
        finally:
            await close(device)

    async def _ramp(self) -> None:
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + self._settings.ramp_s
        await asyncio.sleep(start - now)

    async def _connect_device(self, address: DeviceAddress, ip: str) -> asyncssh.SSHClientConnection:
        relay = await self._connected_relay()
        name, limit = str(address.device), self._settings.device_timeout_s
        try:
            return await self._connect(name, ip, address.port, address.user, timeout_s=limit, tunnel=Tunnel(relay))
        except asyncssh.ChannelOpenError as error:
            if not relay.is_closed() and error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                raise ForwardingRefused(
                    f"The relay does not forward to {name} at {ip}: allow that address in its sshd (PermitOpen).",
                    system=self._system,
                ) from error
            raise self._lost_or_offline(relay, f"{name} at {ip} takes no SSH connection.") from error
        except TimeoutError as error:
            text = f"{name} at {ip} did not answer within {limit:g} s: it is switched off or its VPN is down."
            raise self._lost_or_offline(relay, text) from error
        except (asyncssh.Error, OSError) as error:
            raise self._lost_or_offline(relay, f"{name} at {ip} broke off the SSH connection.") from error

    def _lost_or_offline(self, relay: asyncssh.SSHClientConnection, text: str) -> RelayError:
        if relay.is_closed():
            return RelayUnreachable(f"The connection to the {self._system} was lost.", system=self._system)
        return DeviceOffline(text, system=self._system)

    async def _connected_relay(self) -> asyncssh.SSHClientConnection:
        if self._relay is not None and not self._relay.is_closed():
            return self._relay
        loop = asyncio.get_running_loop()
        if self._failed is not None and loop.time() < self._failed[0]:
            raise copy.copy(self._failed[1])
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect_relay())
            self._connecting.add_done_callback(self._connect_done)
        return await asyncio.shield(self._connecting)

    async def _connect_relay(self) -> asyncssh.SSHClientConnection:
        at = self._settings
        try:
            return await self._connect(at.name, at.host, at.port, at.user, timeout_s=at.relay_timeout_s)
        except TimeoutError as error:
            text = f"The {self._system} at {at.host}:{at.port} did not answer within {at.relay_timeout_s:g} s."
            raise RelayUnreachable(text, system=self._system) from error
        except (asyncssh.Error, OSError) as error:
            text = f"The {self._system} at {at.host}:{at.port} takes no SSH connection."
            raise RelayUnreachable(text, system=self._system) from error

    def _connect_done(self, task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        self._connecting = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._relay, self._failed = task.result(), None
            log.info("relay_connected", relay=self._settings.name)
        elif isinstance(error, RelayError):
            if self._failed is None:
                log.warning("relay_unreachable", relay=self._settings.name, reason=error.reason)
            self._failed = (asyncio.get_running_loop().time() + self._settings.retry_s, error)

    async def _connect(
        self, name: str, host: str, port: int, user: str, *, timeout_s: float, **more: Any
    ) -> asyncssh.SSHClientConnection:
        """Connect and authenticate. Host key, authentication and algorithm failures come as RelayError, others as
        asyncssh, OS or time-out errors."""
        self._host_keys.refresh()
        client = _Client()
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncssh.connect(
                    host,
                    port,
                    options=self._options,
                    config=None,
                    username=user,
                    host_key_alias=name,
                    known_hosts=self._host_keys.matcher(name),
                    client_factory=lambda: client,
                    **more,
                )
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._host_key_error(name, host, client.shown) from error
        except asyncssh.PermissionDenied as error:
            raise AuthRefused(
                f"{name} does not accept the bot's SSH key for user {user!r}: add the bot's public key to its"
                " authorized_keys.",
                system=self._system,
            ) from error
        except asyncssh.KeyExchangeFailed as error:
            raise NoCommonAlgorithm(
                f"{name} shares no host key type, key exchange or cipher with the bot, which wants its known host"
                " key, curve25519-sha256 and AES-GCM.",
                system=self._system,
            ) from error

    def _host_key_error(self, name: str, host: str, shown: asyncssh.SSHKey | None) -> RelayError:
        owners = self._host_keys.owners(shown) if shown is not None else []
        where = self._host_keys.path.name
        if owners:
            text = (
                f"At {host} answers {', '.join(owners)[:200]}, not {name}: the address belongs to another device now."
                f" Correct the VPN address of {name}. Nothing was run."
            )
            return HostKeyChanged(text, system=self._system)
        if self._host_keys.knows(name):
            text = (
                f"{name} shows another host key than the known one. If it was re-installed, check the new key and"
                f" replace its line in {where}; if not, somebody may be in between. Nothing was run."
            )
            return HostKeyChanged(text, system=self._system)
        text = f"No host key of {name} is known. Check its key and add it to {where} under its name. Nothing was run."
        return HostKeyUnknown(text, system=self._system)
