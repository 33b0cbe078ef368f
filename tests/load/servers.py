"""The processes under load: started on a free port, asked for their CPU time, stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.load.options import BenchFailed

START_S = 30.0

_ALERTMANAGER = """
route: {receiver: nobody, group_by: [alertname], group_wait: 10m, group_interval: 10m, repeat_interval: 24h}
receivers: [{name: nobody}]
"""


@dataclass
class Server:
    """`pids` are all processes whose CPU counts: the receiver and its store."""

    port: int
    process: subprocess.Popen[str]
    pids: tuple[int, ...]
    directory: Path | None = None

    def cpu_s(self) -> float:
        """User and system time so far, from /proc."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)


async def python_server(module: str, kind: str, port: int, *more: str) -> Server:
    """`python -m <module> <kind> --port <port>`, which prints the ids of its processes once they are there."""
    command = [sys.executable, "-m", module, kind, "--port", str(port), *more]
    process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids: list[str] = []
    try:
        while not pids or not all(word.isdigit() for word in pids):
            line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), START_S)
            if not line:
                raise BenchFailed(f"{module} {kind} did not start; it says above why")
            pids = line.split()
        await _listening(port)
    except BaseException:
        process.kill()
        raise
    return Server(port, process, tuple(int(pid) for pid in pids))


async def alertmanager(path: str, port: int) -> Server:
    """In memory as it always is: nothing of it outlives a kill -9."""
    directory = Path(tempfile.mkdtemp(prefix="cdm-load-"))
    config = directory / "config.yml"
    config.write_text(_ALERTMANAGER)
    command = [path, f"--config.file={config}", f"--storage.path={directory / 'data'}", "--cluster.listen-address="]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    process = await asyncio.to_thread(
        subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    await _listening(port)
    return Server(port, process, (process.pid,), directory)


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
