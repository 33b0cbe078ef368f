"""The servers of area page, each a process of its own: `python -m tests.load.page_server page|still|bare --port N`.

`page` is the sandbox's workspace page on a Slack stand-in with a channel of 10,000 alarms and one of 50; the newest 50
of the large one are updated by turns, 50 updates a second. `still` is the same without updates. `bare` is what one
writes first: a Starlette endpoint that sends each update when it is due, `--event-bytes` long.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from sandbox.page.app import PageServer, page_app
from sandbox.slack import SlackSandbox
from sandbox.wire import App
from tests.load.marks import due_times, mark, wait_s
from tests.load.page_messages import MANY, SHOWN, SIZES, alarm, filled


async def update(slack: SlackSandbox) -> None:
    """The newest alarms by turns, without end."""
    newest = list(slack.workspace.live(MANY))[-SHOWN:]
    first = SIZES[MANY] - SHOWN
    for number, due in due_times(time.monotonic()):
        await asyncio.sleep(wait_s(due))
        turn = number % SHOWN
        newest[turn].blocks = alarm(first + turn, mark(number, due))
        slack.workspace.changed(newest[turn])


def bare(event_bytes: int) -> Starlette:
    async def events() -> AsyncIterator[bytes]:
        for number, due in due_times(time.monotonic()):
            await asyncio.sleep(wait_s(due))
            yield b"data: %b\n\n" % mark(number, due).encode().ljust(event_bytes - len(b"data: \n\n"), b".")

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/api/stream", stream)])


async def serve(kind: str, port: int, event_bytes: int) -> None:
    if kind == "bare":
        await stand(bare(event_bytes), port, asyncio.Event().wait())
        return
    slack = filled()
    await stand(page_app(slack, None), port, update(slack) if kind == "page" else asyncio.Event().wait())


async def stand(app: App, port: int, work: Awaitable[object]) -> None:
    async with PageServer(app, port):
        sys.stdout.write(f"{os.getpid()}\n")
        sys.stdout.flush()
        await work


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.page_server", description=__doc__)
    parser.add_argument("kind", choices=("page", "still", "bare"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--event-bytes", type=int, default=1_000, help="of each update of bare")
    given = parser.parse_args()
    asyncio.run(serve(given.kind, given.port, given.event_bytes))


if __name__ == "__main__":
    main()
