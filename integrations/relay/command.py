"""One command over an open SSH connection: argv in, bounded output out, nothing left running."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Sequence

import asyncssh

from core.runs import CommandOutput
from integrations.relay.errors import CommandRefused, CommandTimedOut, ConnectionBroken

CLOSE_S = 2.0
CHUNK = 16 * 1024


class _Gathered:
    """The output so far: stdout and stderr share `max_bytes`."""

    def __init__(self, argv: Sequence[str], max_bytes: int) -> None:
        self.argv = tuple(argv)
        self.truncated = False
        self._room = max_bytes
        self._parts: tuple[list[bytes], list[bytes]] = ([], [])
        self._started = time.monotonic()

    def add(self, stream: int, data: bytes) -> None:
        self._parts[stream].append(data[: self._room])
        self.truncated = self.truncated or len(data) > self._room
        self._room -= min(self._room, len(data))

    def output(self, exit_status: int | None) -> CommandOutput:
        stdout, stderr = (b"".join(parts) for parts in self._parts)
        return CommandOutput(self.argv, stdout, stderr, exit_status, self.truncated, time.monotonic() - self._started)


async def run_command(
    conn: asyncssh.SSHClientConnection, name: str, argv: Sequence[str], *, timeout_s: float, max_bytes: int
) -> CommandOutput:
    """Run `argv` to its end, its time limit or its output limit; over the latter the remote command is killed.

    The other side is a POSIX shell: here, and nowhere else, argv becomes a string. No pty, no stdin. Raises
    CommandTimedOut, ConnectionBroken, CommandRefused. Cancelled: the remote command is killed.
    """
    gathered = _Gathered(argv, max_bytes)
    process: asyncssh.SSHClientProcess[bytes] | None = None
    try:
        async with asyncio.timeout(timeout_s):
            process = await _started(conn, argv)
            await asyncio.gather(
                _read(process.stdout, 0, gathered, process), _read(process.stderr, 1, gathered, process)
            )
            if gathered.truncated:
                return gathered.output(None)
            await process.wait_closed()
    except TimeoutError:
        timed_out = CommandTimedOut(f"{name}: the command took longer than {timeout_s:g} s and was ended.")
        timed_out.output = gathered.output(None)
        raise timed_out from None
    except asyncssh.ChannelOpenError as error:
        if conn.is_closed():
            raise _broken(name, gathered) from error
        raise CommandRefused(f"{name}: the device did not start the command.") from error
    except (asyncssh.Error, OSError) as error:
        raise _broken(name, gathered) from error
    finally:
        if process is not None and process.returncode is None:
            kill(process)
    if process.returncode is None:
        raise _broken(name, gathered)
    return gathered.output(process.exit_status if process.exit_signal is None else None)


async def _started(conn: asyncssh.SSHClientConnection, argv: Sequence[str]) -> asyncssh.SSHClientProcess[bytes]:
    """The remote command, started. Cancelled while the device has begun it and its answer is still under way, the
    command is killed all the same."""
    starting = asyncio.ensure_future(
        conn.create_process(
            shlex.join(argv), encoding=None, stdin=asyncssh.DEVNULL, request_pty=False, window=4 * CHUNK
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(CLOSE_S):
                kill(await starting)
        raise


async def _read(
    stream: asyncssh.SSHReader[bytes],
    which: int,
    gathered: _Gathered,
    process: asyncssh.SSHClientProcess[bytes],
) -> None:
    while data := await stream.read(CHUNK):
        gathered.add(which, data)
        if gathered.truncated:
            kill(process)
            return


def kill(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """End the remote command. Closing the channel alone would leave it running under OpenSSH (without a pty)."""
    with contextlib.suppress(OSError, asyncssh.Error):
        process.kill()
    process.close()


async def close(conn: asyncssh.SSHClientConnection) -> None:
    """Close a connection in good order, so that a kill sent before still arrives; by force after `CLOSE_S`."""
    conn.close()
    try:
        async with asyncio.timeout(CLOSE_S):
            await conn.wait_closed()
    except TimeoutError:
        conn.abort()


def _broken(name: str, gathered: _Gathered) -> ConnectionBroken:
    broken = ConnectionBroken(
        f"{name}: the connection broke while the command was running; it may have run to its end."
    )
    broken.output = gathered.output(None)
    return broken
