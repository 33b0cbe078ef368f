"""The page's own HTTP server, on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn

from sandbox.wire import App

HOST = "127.0.0.1"


class PageServer:
    """`async with PageServer(app, port=8750) as server`: then `server.url` is where the page is.

    If the port is taken, any free one is used; port 0 asks for that at once. Streams are cut when it ends.
    """

    def __init__(self, app: App, port: int = 8750) -> None:
        self._app = app
        self._wanted = port
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> PageServer:
        listening = _listen(self._wanted)
        self.port = int(listening.getsockname()[1])
        config = uvicorn.Config(
            self._app, lifespan="off", ws="none", log_level="critical", access_log=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server._serve(sockets=[listening]), name=f"page:{self.port}")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise OSError(f"the page's server did not start on port {self.port}")
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        for request in list(self._server.server_state.tasks):
            request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def _listen(wanted: int) -> socket.socket:
    for port in (wanted, 0):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError:
            listening.close()
            continue
        listening.listen(128)
        listening.setblocking(False)
        return listening
    raise OSError(f"no free port on {HOST}")
