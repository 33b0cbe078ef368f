"""From a request to a handler and back: credentials, rights, JSON, paging, ETag. Handlers are plain, so atomic."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.hawkbit import errors, render, rsql
from sandbox.hawkbit.accounts import Account, basic_credentials
from sandbox.hawkbit.errors import ApiError

if TYPE_CHECKING:
    from sandbox.hawkbit.server import HawkbitSandbox, Tenant

HAL = "application/hal+json"
PLAIN = "application/json"
DEFAULT_LIMIT = 50
MAX_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any = None


@dataclass(slots=True)
class Call:
    """One authenticated request. `json` is None where the route takes no body."""

    sandbox: HawkbitSandbox
    tenant: Tenant
    user: str
    account: Account
    path: Mapping[str, Any]
    query: Mapping[str, str]
    base: str
    json: Any
    raw: bytes
    content_type: str

    def need(self, *permissions: str) -> None:
        if not all(self.account.may(permission) for permission in permissions):
            raise errors.forbidden()

    @property
    def full(self) -> bool:
        """A wrong value silently means compact (measured)."""
        return self.query.get("representation") == "full"


Handler = Callable[[Call], Reply]
Endpoint = Callable[[Request], Awaitable[Response]]

NO_CONTENT = Reply(204)


def endpoint(sandbox: HawkbitSandbox, handler: Handler, permissions: Sequence[str], *, body: bool) -> Endpoint:
    async def serve(request: Request) -> Response:
        raw = await request.body() if request.method != "GET" else b""
        try:
            user, account = _authenticate(sandbox, request)
            call = Call(
                sandbox=sandbox,
                tenant=sandbox.tenant(account.tenant),
                user=user,
                account=account,
                path=request.path_params,
                query=request.query_params,
                base=f"http://{request.headers.get('host', '127.0.0.1')}",
                json=_parse(raw) if body else None,
                raw=raw,
                content_type=request.headers.get("content-type", ""),
            )
            call.need(*permissions)
            reply = handler(call)
        except ApiError as error:
            return failure(error)
        return answer(reply.status, reply.body, HAL, request.headers.get("if-none-match"))

    return serve


def answer(status: int, body: Any, content_type: str, known: str | None = None) -> Response:
    if body is None:
        return Response(status_code=status)
    raw = orjson.dumps(body)
    headers = {"content-type": content_type}
    if status == 200:
        etag = f'"0{hashlib.md5(raw, usedforsecurity=False).hexdigest()}"'
        headers["etag"] = etag
        if known == etag:
            return Response(status_code=304, headers={"etag": etag})
    return Response(raw, status_code=status, headers=headers)


def failure(error: ApiError) -> Response:
    if error.body is None:
        return Response(status_code=error.status, headers=error.headers)
    return Response(
        orjson.dumps(error.body),
        status_code=error.status,
        headers={"content-type": PLAIN, **error.headers},
    )


def servlet_error(status: int, words: str) -> ApiError:
    """The container's own error page, where no handler of hawkBit is reached: unknown path or method, bad password."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ApiError(status, {"timestamp": stamp, "status": status, "error": words})


def _authenticate(sandbox: HawkbitSandbox, request: Request) -> tuple[str, Account]:
    header = request.headers.get("authorization")
    given = None if header is None else basic_credentials(header)
    if given is None:
        raise ApiError(401, headers={"www-authenticate": 'Basic realm="hawkBit"'})
    name, password = given
    account = sandbox.accounts.get(name)
    if account is None or account.password != password:
        raise servlet_error(401, "Unauthorized")
    return name, account


def _parse(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise errors.not_readable() from None


def listed(
    call: Call,
    rows: Sequence[Any],
    fields: rsql.Fields,
    show: Callable[[Any], Any],
    *,
    query: rsql.Query | None = None,
    newest_first: bool = False,
) -> Reply:
    """A page of a list: filter, sort, offset, and limit with its silent cap of 500."""
    if query is None and "q" in call.query:
        query = rsql.parse(call.query["q"], fields)
    found = [row for row in rows if query.test(row)] if query is not None else list(rows)
    if "sort" in call.query:
        for name, descending in reversed(_orders(call.query["sort"], fields)):
            get = fields.getters[name]
            found.sort(key=lambda row: (get(row) is not None, get(row)), reverse=descending)
    elif newest_first:
        found.sort(key=lambda row: row.id, reverse=True)
    offset, limit = max(0, _number(call, "offset", 0)), _number(call, "limit", DEFAULT_LIMIT)
    limit = DEFAULT_LIMIT if limit <= 0 else min(limit, MAX_LIMIT)
    return Reply(200, render.page([show(row) for row in found[offset : offset + limit]], len(found)))


def _orders(text: str, fields: rsql.Fields) -> list[tuple[str, bool]]:
    orders = []
    for part in text.split(","):
        name, colon, direction = part.strip().partition(":")
        if not colon:
            raise errors.sort_syntax()
        if name.lower() not in fields.getters:
            raise errors.sort_field()
        if direction.upper() not in ("ASC", "DESC"):
            raise errors.sort_syntax()
        orders.append((name.lower(), direction.upper() == "DESC"))
    return orders


def _number(call: Call, name: str, default: int) -> int:
    try:
        return int(call.query.get(name, default))
    except ValueError:
        raise errors.not_readable() from None
