"""Login, tokens, API keys, users, and the few endpoints by which tenants, customers and users are made."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.thingsboard.api import (
    ANYONE,
    SYS_ADMIN,
    TENANT_ADMIN,
    TENANT_USERS,
    Call,
    Server,
    answer,
    empty,
    open_route,
    read_json,
    route,
    search,
)
from sandbox.thingsboard.entities import NO_CUSTOMER, Json, User
from sandbox.thingsboard.errors import bad_request, forbidden, not_found
from sandbox.thingsboard.seed import Seed


async def login(server: Server, request: Request) -> Response:
    body = await read_json(request)
    return answer(server.auth.login(body["username"], body["password"]))


async def refresh(server: Server, request: Request) -> Response:
    return answer(server.auth.refresh((await read_json(request))["refreshToken"]))


async def logout(server: Server, request: Request) -> Response:
    server.auth.caller(request.headers)
    server.auth.end_session(request.headers)
    return empty()


async def activate(server: Server, request: Request) -> Response:
    body = await read_json(request)
    token = body["activateToken"]
    user = next((u for u in server.world.users.values() if u.activate_token and u.activate_token == token), None)
    if user is None:
        raise not_found()
    user.password, user.activate_token = body["password"], ""
    return answer(server.auth.pair(user))


async def me(call: Call) -> Json:
    return call.user.json()


def _visible(call: Call, user_id: str) -> User:
    user = call.world.users.get(user_id)
    if user is None:
        raise not_found(f"User with id [{user_id}] is not found")
    if call.user.authority == "TENANT_ADMIN":
        call.check(user.tenant)
    elif call.user.authority == "CUSTOMER_USER" and user.customer != call.user.customer:
        raise forbidden()
    return user


async def user_by_id(call: Call) -> Json:
    return _visible(call, call.uuid("user")).json()


async def user_token(call: Call) -> Json:
    """A token of any user of the tenant, for its administrators: how the bot acts as the mapped person."""
    return call.server.auth.pair(_visible(call, call.uuid("user")))


async def users(call: Call) -> Json:
    text = call.text("textSearch")
    mine = [u for u in call.world.users.values() if u.tenant == call.user.tenant and search(text, u.email)]
    keys = {"email": lambda u: u.email, "createdTime": lambda u: u.created}
    return call.page(call.ordered(mine, keys), lambda u: u.json())


async def assignable(call: Call) -> Json:
    alarm = call.alarm()
    mine = [u for u in call.world.users.values() if u.tenant == alarm.tenant]
    mine = [u for u in mine if u.customer in (NO_CUSTOMER, alarm.customer)]
    return call.page(call.ordered(mine, {"email": lambda u: u.email}), lambda u: u.assignee_json())


async def make_tenant(call: Call) -> Json:
    return Seed(call.server).tenant(call.body["title"]).json()


async def make_customer(call: Call) -> Json:
    return Seed(call.server).customer(call.user.tenant, call.body["title"]).json()


async def make_user(call: Call) -> Json:
    body, world = call.body, call.world
    if world.user_by_email(body["email"]) is not None:
        raise bad_request(f"User with email '{body['email']}' already present in database!")
    by_sysadmin = call.user.authority == "SYS_ADMIN"
    tenant = body["tenantId"]["id"] if by_sysadmin else call.user.tenant
    made = Seed(call.server).user(
        tenant,
        body["email"],
        authority=body["authority"],
        customer=(body.get("customerId") or {}).get("id", NO_CUSTOMER),
        first=body.get("firstName") or "",
        last=body.get("lastName") or "",
        password=None,
    )
    made.activate_token = world.new_token()
    return made.json()


async def activation_link(call: Call) -> Response:
    user = call.world.users[call.uuid("user")]
    link = f"{call.request.base_url}api/noauth/activate?activateToken={user.activate_token}"
    return Response(link, media_type="text/plain")


async def make_key(call: Call) -> Json:
    body = call.body
    user = _visible(call, body["userId"]["id"])
    key = call.server.auth.add_key(user, body.get("description", ""), int(body.get("expirationTime") or 0))
    key.enabled = bool(body.get("enabled", True))
    return key.json(call.world, with_value=True)


async def keys_of_user(call: Call) -> Json:
    user = _visible(call, call.uuid("user"))
    mine = [k for k in call.server.auth.keys.values() if k.user.id == user.id]
    return call.page(mine, lambda k: k.json(call.world))


async def enable_key(call: Call) -> Json:
    key = call.server.auth.keys[call.uuid("key")]
    _visible(call, key.user.id)
    key.enabled = call.request.path_params["enabled"] == "true"
    return key.json(call.world)


async def delete_key(call: Call) -> Any:
    key = call.server.auth.keys[call.uuid("key")]
    _visible(call, key.user.id)
    del call.server.auth.keys[key.id]
    return empty()


def routes(server: Server) -> list[Route]:
    found = [
        open_route(server, "POST", "/api/auth/login", login),
        open_route(server, "POST", "/api/auth/token", refresh),
        open_route(server, "POST", "/api/auth/logout", logout),
        open_route(server, "POST", "/api/noauth/activate", activate),
        route(server, "GET", "/api/auth/user", me, ANYONE),
        route(server, "GET", "/api/users", users, TENANT_USERS),
        route(server, "GET", "/api/users/assign/{alarm}", assignable, TENANT_USERS),
        route(server, "GET", "/api/user/{user}", user_by_id, ANYONE),
        route(server, "GET", "/api/user/{user}/token", user_token, (*SYS_ADMIN, *TENANT_ADMIN)),
        route(server, "GET", "/api/user/{user}/activationLink", activation_link, (*SYS_ADMIN, *TENANT_ADMIN)),
        route(server, "POST", "/api/user", make_user, (*SYS_ADMIN, *TENANT_ADMIN)),
        route(server, "POST", "/api/tenant", make_tenant, SYS_ADMIN),
        route(server, "POST", "/api/customer", make_customer, TENANT_ADMIN),
    ]
    if server.world.is_43:
        found += [
            route(server, "POST", "/api/apiKey", make_key, ANYONE),
            route(server, "GET", "/api/apiKeys/{user}", keys_of_user, ANYONE),
            route(server, "PUT", "/api/apiKey/{key}/enabled/{enabled}", enable_key, ANYONE),
            route(server, "DELETE", "/api/apiKey/{key}", delete_key, ANYONE),
        ]
    return found
