"""The workspace page: the Slack stand-in as people see it, in a browser, and the world beside it.

It is another client of the stand-in, as the control door is: it reads `slack.workspace` and acts by `slack.people`.

GET  /                   the page; /static/… what it is made of. An address ends in `#/PERSON/CHANNEL[/THREAD_TS]`, with
                         names or ids, or `#/PERSON/home`.
GET  /api/workspace      ?user (an id or a name)       all but the messages (`Screens.everything`)
GET  /api/messages       ?user&channel[&before|after][&limit=50]   a page, oldest first
GET  /api/thread         ?user&channel&ts[&before][&limit=50]      the parent and a page of replies
GET  /api/file/{id}      ?user                         a shared file, to be saved
GET  /api/stream         ?user&since                   text/event-stream: hello, batch, reset (`sandbox.page.stream`)
POST /api/act/{name}     slash, click, click_in_view, submit_view, close_view, post, open_home, delete: `{}`, or what
                         did not work and what to do; 409 the same where that person cannot do that just now
GET  /api/world          the world's view; 404 without a world
POST /api/world          {"words": [...]} -> {"said": "..."}, or 400 {"error": "..."}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sandbox.controls import Misunderstood
from sandbox.page.acts import Acts, Trouble
from sandbox.page.door import WorldDoor
from sandbox.page.guard import Guard
from sandbox.page.server import PageServer
from sandbox.page.stream import Watch, WorldPicture, event_lines
from sandbox.page.views import Screens, Unseen
from sandbox.slack import SlackSandbox
from sandbox.wire import App

__all__ = ["PageServer", "page_app"]

STATIC = Path(__file__).parent / "static"


def page_app(slack: SlackSandbox, world: WorldDoor | None, completions: Sequence[tuple[str, str]] = ()) -> App:
    """The ASGI app. `completions` are (usage, what it does) of the commands people may type."""
    return Guard(_starlette(_Endpoints(slack, world, completions)))


def _starlette(on: _Endpoints) -> App:
    return Starlette(
        routes=[
            Route("/", on.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/workspace", on.workspace),
            Route("/api/messages", on.messages),
            Route("/api/thread", on.thread),
            Route("/api/file/{id}", on.file),
            Route("/api/stream", on.stream),
            Route("/api/act/{name}", on.act, methods=["POST"]),
            Route("/api/world", on.world, methods=["GET"]),
            Route("/api/world", on.tell_world, methods=["POST"]),
        ],
        exception_handlers={
            Unseen: lambda _, unseen: JSONResponse({"error": str(unseen)}, 404),
            ValidationError: lambda _, unreadable: JSONResponse({"error": str(unreadable)}, 400),
        },
    )


class _Reader(BaseModel):
    user: str


class _Since(_Reader):
    since: int = Field(0, ge=0)


class _InChannel(_Reader):
    channel: str
    before: Annotated[str | None, Field(pattern=r"^\d+\.\d{1,6}$")] = None
    after: Annotated[str | None, Field(pattern=r"^\d+\.\d{1,6}$")] = None
    limit: int = Field(50, ge=1, le=200)


class _InThread(_InChannel):
    ts: str


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid")
    words: list[str]


class _Endpoints:
    def __init__(self, slack: SlackSandbox, world: WorldDoor | None, completions: Sequence[tuple[str, str]]) -> None:
        self._screens = Screens(slack, completions)
        self._acts = Acts(slack, self._screens)
        self._world = world
        self._picture = None if world is None else WorldPicture(world)

    async def page(self, request: Request) -> Response:
        return FileResponse(STATIC / "page.html")

    async def workspace(self, request: Request) -> Response:
        """For nobody, or somebody unknown, that of the first person."""
        person = self._screens.find_person(request.query_params.get("user", ""))
        return JSONResponse(self._screens.everything(person.id) | {"world": self._world is not None})

    async def messages(self, request: Request) -> Response:
        asked = _InChannel.model_validate(dict(request.query_params))
        return JSONResponse(self._screens.messages(asked.user, asked.channel, asked.before, asked.after, asked.limit))

    async def thread(self, request: Request) -> Response:
        asked = _InThread.model_validate(dict(request.query_params))
        return JSONResponse(self._screens.thread(asked.user, asked.channel, asked.ts, asked.before, asked.limit))

    async def file(self, request: Request) -> Response:
        asked = _Reader.model_validate(dict(request.query_params))
        file = self._screens.file(asked.user, request.path_params["id"])
        headers = {"content-disposition": f'attachment; filename="{file.id}.txt"'}
        return Response(file.content or b"", media_type="application/octet-stream", headers=headers)

    async def stream(self, request: Request) -> Response:
        asked = _Since.model_validate(dict(request.query_params))
        self._screens.check_person(asked.user)
        seen = request.headers.get("last-event-id", "")
        watch = Watch(self._screens, asked.user, int(seen) if seen.isdecimal() else asked.since, self._picture)
        return StreamingResponse(event_lines(watch, self._screens.run), media_type="text/event-stream")

    async def act(self, request: Request) -> Response:
        try:
            return JSONResponse(await self._acts.do(request.path_params["name"], await request.body()))
        except Trouble as trouble:
            return JSONResponse(trouble.as_json, 409)

    async def world(self, request: Request) -> Response:
        if self._world is None:
            return JSONResponse({"error": "There is no world beside this workspace."}, 404)
        return JSONResponse(self._world.view())

    async def tell_world(self, request: Request) -> Response:
        if self._world is None:
            return JSONResponse({"error": "There is no world beside this workspace."}, 404)
        words = _Words.model_validate_json(await request.body()).words
        try:
            return JSONResponse({"said": await self._world.run(words)})
        except Misunderstood as wrong:
            return JSONResponse({"error": str(wrong)}, 400)
        except (httpx.HTTPError, TimeoutError, AssertionError, LookupError) as failed:
            return JSONResponse({"error": f"That did not work: {type(failed).__name__}: {failed}"}, 409)
