"""The same client against OpenSSH's own sshd, as relay and as device: what the sandbox cannot vouch for."""

from __future__ import annotations

import asyncio
import getpass
import os
import pwd
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import asyncssh
import pytest

from core.devices import DeviceAddress
from core.ids import DeviceName
from core.runs import CommandOutput
from integrations.relay import RelaySettings, SshRelay
from integrations.relay import errors as relay_errors
from sandbox.relay import derived_key
from sandbox.relay.keys import known_hosts_line
from sandbox.wire import free_port
from tests.unit.integrations.relay_lab import BOT_KEY, until, write_key

SSHD = Path("/usr/sbin/sshd")
PRIVSEP = Path("/run/sshd")

pytestmark = pytest.mark.skipif(
    not SSHD.exists(),
    reason="NOT TESTED against OpenSSH: /usr/sbin/sshd is missing. Install openssh-server (the test setup does).",
)


@pytest.fixture(autouse=True)
def privilege_separation() -> None:
    """sshd run by root wants its empty directory, which the system's start script would make."""
    if os.geteuid() == 0:
        PRIVSEP.mkdir(mode=0o755, exist_ok=True)


@dataclass
class Openssh:
    relay: SshRelay
    port: int
    user: str = getpass.getuser()

    async def run(self, *argv: str, timeout_s: float = 10.0, max_bytes: int = 65536) -> CommandOutput:
        address = DeviceAddress(DeviceName("ctl-0007"), "127.0.0.1", self.port, self.user)
        return await self.relay.run(
            address, argv, inside=ip_network("127.0.0.0/8"), timeout_s=timeout_s, max_bytes=max_bytes
        )


@pytest.fixture
async def openssh(tmp_path: Path) -> AsyncIterator[Openssh]:
    relay_key, device_key = derived_key("openssh", "relay"), derived_key("openssh", "device")
    device_port = free_port()
    servers = [
        await start_sshd(tmp_path / "device", device_port, device_key, "AllowTcpForwarding no"),
        await start_sshd(
            tmp_path / "relay",
            relay_port := free_port(),
            relay_key,
            f"AllowTcpForwarding local\nPermitOpen 127.0.0.1:{device_port}\nMaxSessions 0\nPermitTTY no",
        ),
    ]
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"{known_hosts_line('relay', relay_key)}\n{known_hosts_line('ctl-0007', device_key)}\n")
    key_file = write_key(tmp_path / "bot", BOT_KEY)
    relay = SshRelay(RelaySettings("relay", "127.0.0.1", relay_port, getpass.getuser(), key_file, known_hosts))
    try:
        yield Openssh(relay, device_port)
    finally:
        await relay.aclose()
        for server in servers:
            server.terminate()
            await server.wait()


async def start_sshd(folder: Path, port: int, host_key: asyncssh.SSHKey, options: str) -> asyncio.subprocess.Process:
    configure_sshd(folder, port, host_key, options)
    with (folder / "log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(SSHD, "-D", "-e", "-f", str(folder / "sshd_config"), stderr=log)

    def listening() -> bool:
        assert server.returncode is None, (folder / "log").read_text()
        return b"Server listening" in (folder / "log").read_bytes()

    await until(listening)
    return server


def configure_sshd(folder: Path, port: int, host_key: asyncssh.SSHKey, options: str) -> None:
    folder.mkdir()
    write_key(folder / "host_key", host_key)
    (folder / "authorized_keys").write_bytes(BOT_KEY.export_public_key())
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"UsePAM {'yes' if os.geteuid() == 0 else 'no'}\nStrictModes no\n"
        f"AuthorizedKeysFile none\nAuthorizedKeysCommand /usr/bin/cat {folder}/authorized_keys\n"
        f"AuthorizedKeysCommandUser {getpass.getuser()}\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\n{options}\n"
    )


def running(marker: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


async def test_commands_run_through_a_real_relay_on_a_real_device(openssh: Openssh) -> None:
    word = 'it\'s; $(id) `id` *\n"end"'
    output = await openssh.run("printf", "%s", word)
    assert (output.stdout.decode(), output.exit_status, output.truncated) == (word, 0, False)
    assert (await openssh.run("sh", "-c", "echo no >&2; exit 3")).exit_status == 3
    assert (await openssh.run("no-such-program")).exit_status == 127


async def test_a_real_flood_is_cut_and_ends(openssh: Openssh) -> None:
    flood = await openssh.run("yes", "flood-5b1c", max_bytes=200_000)
    assert (len(flood.stdout), flood.truncated, flood.exit_status) == (200_000, True, None)
    await until(lambda: not running("flood-5b1c"))


async def test_a_real_device_kills_a_silent_command_whose_time_is_over(openssh: Openssh) -> None:
    """OpenSSH passes signals on for ordinary users only: for root, and from an sshd that is not root's, it refuses
    ("session signalling requires privilege separation"), and a command that writes nothing runs on."""
    openssh.user = ordinary_user()
    hang = asyncio.create_task(openssh.run("sleep", "600.5117", timeout_s=2))
    await until(lambda: running("600.5117"))
    with pytest.raises(relay_errors.CommandTimedOut):
        await hang
    await until(lambda: not running("600.5117"))


def ordinary_user() -> str:
    if os.geteuid() == 0:
        for account in pwd.getpwall():
            if account.pw_uid > 0 and account.pw_shell in ("/bin/sh", "/bin/bash", "/bin/dash"):
                return account.pw_name
    pytest.skip("NOT TESTED against OpenSSH: killing needs root's sshd and an ordinary account with a shell")


async def test_a_real_relay_refuses_what_it_does_not_permit(openssh: Openssh) -> None:
    openssh.port = free_port()
    with pytest.raises(relay_errors.ForwardingRefused):
        await openssh.run("uptime")
