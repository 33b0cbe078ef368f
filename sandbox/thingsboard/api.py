"""What every endpoint of the REST API shares: who may call, how parameters are read, and how errors look."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.thingsboard.auth import Auth
from sandbox.thingsboard.engine import Engine
from sandbox.thingsboard.entities import Alarm, Authority, Device, Json, User
from sandbox.thingsboard.errors import GENERAL, TOO_MANY, ApiError, NotModelled, bad_request, forbidden
from sandbox.thingsboard.field import Field
from sandbox.thingsboard.world import World, compact

ANYONE: tuple[Authority, ...] = ("SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER")
TENANT_USERS: tuple[Authority, ...] = ("TENANT_ADMIN", "CUSTOMER_USER")
TENANT_ADMIN: tuple[Authority, ...] = ("TENANT_ADMIN",)
SYS_ADMIN: tuple[Authority, ...] = ("SYS_ADMIN",)


@dataclass(frozen=True, slots=True)
class Server:
    """The parts of one stand-in, as its endpoints reach them."""

    world: World
    auth: Auth
    engine: Engine
    field: Field


@dataclass(slots=True)
class Call:
    """One authenticated request."""

    server: Server
    request: Request
    user: User
    body: Any = None

    @property
    def world(self) -> World:
        return self.server.world

    def uuid(self, name: str) -> str:
        given = str(self.request.path_params[name])
        try:
            return str(uuid.UUID(given))
        except ValueError:
            raise bad_request(f"Invalid UUID string: {given}") from None

    def text(self, name: str, default: str | None = None) -> str | None:
        return self.request.query_params.get(name) or default

    def words(self, name: str) -> list[str]:
        return [w for part in self.request.query_params.getlist(name) for w in part.split(",") if w]

    def required(self, name: str, java_type: str = "int") -> str:
        """A missing parameter is a 500, not a 400 (measured)."""
        given = self.request.query_params.get(name)
        if given is None:
            message = f"Required request parameter '{name}' for method parameter type {java_type} is not present"
            raise ApiError(GENERAL, message)
        return given

    def number(self, name: str) -> int:
        given = self.required(name)
        try:
            return int(given)
        except ValueError:
            message = f"Failed to convert value of type 'java.lang.String' to required type 'int'; \"{given}\""
            raise ApiError(GENERAL, message) from None

    def enums(self, name: str, allowed: Sequence[str], java_type: str) -> list[str]:
        words = self.words(name)
        for word in words:
            if word not in allowed:
                raise bad_request(f"No enum constant org.thingsboard.server.common.data.{java_type}.{word}")
        return words

    def page(self, rows: Sequence[Any], show: Callable[[Any], Any]) -> Json:
        """One page. There is no upper limit for pageSize (measured)."""
        size, page = self.number("pageSize"), self.number("page")
        if size < 1:
            raise bad_request(f"Incorrect page link page size '{size}'. Page size must be greater than zero.")
        if page < 0:
            raise bad_request(f"Incorrect page link page '{page}'. Page must be positive integer.")
        part = rows[page * size : (page + 1) * size]
        return {
            "data": [show(row) for row in part],
            "totalPages": -(-len(rows) // size),
            "totalElements": len(rows),
            "hasNext": (page + 1) * size < len(rows),
        }

    def ordered(self, rows: list[Any], keys: dict[str, Callable[[Any], Any]]) -> list[Any]:
        """By sortProperty and sortOrder. Without them the order is the database's own: none to rely on (measured)."""
        wanted = self.text("sortProperty")
        if wanted is None:
            return sorted(rows, key=lambda row: row.id)
        if wanted not in keys:
            raise bad_request(f"Unsupported sort property '{wanted}'")
        direction = str(self.text("sortOrder", "ASC")).upper()
        if direction not in ("ASC", "DESC"):
            raise bad_request(f"Unsupported sort order '{direction}'! Only 'ASC' or 'DESC' types are allowed.")
        return sorted(rows, key=keys[wanted], reverse=direction == "DESC")

    def device(self, device_id: str) -> Device:
        device = self.world.device(device_id)
        self.check(device.tenant, device.customer)
        return device

    def alarm(self) -> Alarm:
        alarm = self.world.alarm(self.uuid("alarm"))
        self.check(alarm.tenant, alarm.customer)
        return alarm

    def check(self, tenant: str, customer: str | None = None) -> None:
        """Own tenant only; a customer's user its customer's things only (403, measured)."""
        foreign = self.user.authority == "CUSTOMER_USER" and customer not in (None, self.user.customer)
        if tenant != self.user.tenant or foreign:
            raise forbidden()


Endpoint = Callable[[Call], Awaitable[Any]]
Raw = Callable[[Server, Request], Awaitable[Response]]


def answer(value: Any, status: int = 200) -> Response:
    """JSON; a text or bytes Response is passed through by endpoints themselves."""
    return Response(compact(value), status, media_type="application/json")


def empty(status: int = 200) -> Response:
    return Response(b"", status)


def error(server: Server, code: int, status: int, message: str) -> Response:
    body = {"status": status, "message": message, "errorCode": code, "timestamp": server.world.now()}
    return Response(compact(body), status, headers={"content-type": "application/json;charset=ISO-8859-1"})


async def read_json(request: Request) -> Any:
    raw = await request.body()
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        raise ApiError(GENERAL, "JSON parse error: Unrecognized token") from None


async def guarded(server: Server, make: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await make()
    except ApiError as refusal:
        return error(server, refusal.code, refusal.status, refusal.message)
    except NotModelled as limit:
        return answer({"message": f"the stand-in does not model {limit}"}, 501)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as wrong:
        # JSON of the wrong shape is a 500 on the real server too (measured)
        return error(server, GENERAL, 500, f"JSON parse error: {type(wrong).__name__}: {wrong}")


def route(server: Server, method: str, path: str, endpoint: Endpoint, allowed: Sequence[Authority]) -> Route:
    """An endpoint behind authentication, the tenant's rate limit and a check of the caller's authority."""

    async def handle(request: Request) -> Response:
        async def make() -> Response:
            user = server.auth.caller(request.headers)
            tenant = server.world.tenants.get(user.tenant)
            if tenant is not None and not tenant.rest_limits.take(server.world.clock()):
                raise ApiError(TOO_MANY, "Too many requests for current tenant!")
            if user.authority not in allowed:
                raise forbidden()
            body = await read_json(request) if method in ("POST", "PUT") else None
            made = await endpoint(Call(server, request, user, body))
            return made if isinstance(made, Response) else answer(made)

        return await guarded(server, make)

    return Route(path, handle, methods=[method])


def open_route(server: Server, method: str, path: str, endpoint: Raw) -> Route:
    """An endpoint that needs no login."""

    async def handle(request: Request) -> Response:
        async def make() -> Response:
            return await endpoint(server, request)

        return await guarded(server, make)

    return Route(path, handle, methods=[method])


def search(text: str | None, *fields: str | None) -> bool:
    """Substring, ignoring case."""
    return not text or any(re.search(re.escape(text), f, re.IGNORECASE) for f in fields if f)
