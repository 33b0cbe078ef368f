"""The receivers under load, each a process of its own: `python -m tests.load.receivers ours|mounted|bare --port N`.

`ours` is the bot's receiver in front of a FastAPI app, `mounted` the same inside its routing, `bare` what one writes
first: a FastAPI handler with a pydantic body and one XADD. All write to a real Valkey of their own, fsync always.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from bot.lifespan import keep_pauses_short
from core.ids import Stack, Tenant
from handlers.webhooks.thingsboard import PREFIX, ThingsBoardWebhook, in_front_of
from integrations.clock import SystemClock
from integrations.store.connection import Store, connect
from integrations.store.embedded import EmbeddedStore
from integrations.store.intake import Intake
from tests.load.generator import SECRET


class Alarm(BaseModel):
    id: dict[str, str]
    type: str
    originator: dict[str, str]
    severity: str
    details: Any = None


class Envelope(BaseModel):
    msgType: str
    metadata: dict[str, str]
    alarm: Alarm


def ours(store: Store) -> Any:
    return in_front_of(FastAPI(), _webhook(store))


def mounted(store: Store) -> Any:
    app = FastAPI()
    app.mount(PREFIX, _webhook(store))
    return app


def bare(store: Store) -> Any:
    app = FastAPI()

    @app.post(PREFIX + "/{stack}", status_code=202)
    async def receive(stack: str, envelope: Envelope, authorization: str = Header()) -> None:
        if authorization != f"Bearer {SECRET}":
            raise HTTPException(401)
        await store.xadd("intake", {"s": stack, "b": envelope.model_dump_json()})

    return app


def _webhook(store: Store) -> ThingsBoardWebhook:
    secrets: Mapping[tuple[Stack, Tenant], tuple[str, ...]] = {(Stack("eu1"), Tenant("customer-a")): (SECRET,)}
    return ThingsBoardWebhook(Intake(store), SystemClock(), lambda: secrets)


RECEIVERS: dict[str, Callable[[Store], Any]] = {"ours": ours, "mounted": mounted, "bare": bare}


async def serve(kind: str, port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="cdm-load-") as directory:
        embedded = EmbeddedStore(Path(directory))
        await embedded.start()
        store = connect(embedded.url)
        config = uvicorn.Config(
            RECEIVERS[kind](store),
            host="127.0.0.1",
            port=port,
            http="httptools",
            loop="none",
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="warning",
        )
        server = uvicorn.Server(config)
        if kind != "bare":
            keep_pauses_short()  # as the bot does
        sys.stdout.write(f"{os.getpid()} {embedded.pid}\n")
        sys.stdout.flush()
        await server.serve()
        await store.aclose()
        await embedded.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(RECEIVERS))
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.kind, arguments.port))


if __name__ == "__main__":
    main()
