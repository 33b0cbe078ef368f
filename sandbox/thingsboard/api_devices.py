"""Devices: search, telemetry, attributes, calls, and the HTTP API the devices themselves speak."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.thingsboard.api import (
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
from sandbox.thingsboard.entities import Device, Json
from sandbox.thingsboard.errors import bad_request, forbidden, not_found
from sandbox.thingsboard.field import shown_attributes
from sandbox.thingsboard.messages import user_metadata
from sandbox.thingsboard.rules import as_text
from sandbox.thingsboard.seed import Seed

_KEYS = {"name": lambda d: d.name, "createdTime": lambda d: d.created, "label": lambda d: d.label or ""}


async def devices(call: Call) -> Json:
    if call.text("deviceName"):
        found = call.world.device_by_name(call.user.tenant, str(call.text("deviceName")))
        if found is None:
            raise not_found()
        return call.world.device_json(found)
    return _page(call, _mine(call), info=False)


async def device_infos(call: Call) -> Json:
    profile, active = call.text("deviceProfileId"), call.text("active")
    rows = [d for d in _mine(call) if profile in (None, d.profile)]
    return _page(call, [d for d in rows if active is None or d.active == (active == "true")], info=True)


async def customer_devices(call: Call) -> Json:
    customer = call.uuid("customer")
    if call.user.authority == "CUSTOMER_USER" and customer != call.user.customer:
        raise forbidden()
    return _page(call, [d for d in _mine(call) if d.customer == customer], info=False)


def _mine(call: Call) -> list[Device]:
    text = call.text("textSearch")
    mine = [d for d in call.world.devices.values() if d.tenant == call.user.tenant]
    return [d for d in mine if search(text, d.name, d.label, call.world.profiles[d.profile].name)]


def _page(call: Call, rows: list[Device], *, info: bool) -> Json:
    return call.page(call.ordered(rows, _KEYS), lambda d: call.world.device_json(d, info=info))


async def device(call: Call) -> Json:
    return call.world.device_json(call.device(call.uuid("device")))


async def device_info(call: Call) -> Json:
    return call.world.device_json(call.device(call.uuid("device")), info=True)


async def make_device(call: Call) -> Json:
    body, world, tenant = call.body, call.world, call.user.tenant
    if world.device_by_name(tenant, body["name"]) is not None:
        raise bad_request("Device with such name already exists!")
    named = world.profile_named(tenant, body.get("type") or "default")
    given = body.get("deviceProfileId")
    profile = world.profiles[given["id"]] if given else named
    if profile is None:
        profile = Seed(call.server).profile(tenant, {"name": body["type"]})
    call.check(profile.tenant)
    token = call.text("accessToken")
    made = Seed(call.server).device(tenant, body["name"], profile, label=body.get("label"), token=token, by=call.user)
    return world.device_json(made)


async def delete_device(call: Call) -> Response:
    found = call.device(call.uuid("device"))
    del call.world.devices[found.id], call.world.by_token[found.token]
    return empty()


async def give_to_customer(call: Call) -> Json:
    found = call.device(call.uuid("device"))
    customer = call.world.customers[call.uuid("customer")]
    call.check(customer.tenant)
    found.customer, found.version = customer.id, found.version + 1
    return call.world.device_json(found)


async def credentials(call: Call) -> Json:
    found = call.device(call.uuid("device"))
    return {"deviceId": {"entityType": "DEVICE", "id": found.id}, "credentialsType": "ACCESS_TOKEN",
            "credentialsId": found.token}  # fmt: skip


# telemetry and attributes


async def timeseries(call: Call) -> Json:
    found, strict = call.device(call.uuid("entity")), call.text("useStrictDataTypes") == "true"
    keys = call.words("keys") or sorted(found.latest)

    def show(at: int, value: Any) -> Json:
        return {"ts": at, "value": value if strict or value is None else as_text(value)}

    if call.text("startTs") is not None and call.text("endTs") is not None:
        start, end, limit = call.number("startTs"), call.number("endTs"), int(call.text("limit", "100") or 100)
        newest_first = (call.text("orderBy", "DESC") or "DESC").upper() == "DESC"
        kept = {
            key: sorted(
                (pair for pair in found.history.get(key, []) if start <= pair[0] < end),
                key=lambda pair: pair[0],
                reverse=newest_first,
            )[:limit]
            for key in keys
        }
        return {key: [show(*pair) for pair in pairs] for key, pairs in kept.items() if pairs}
    now = call.world.now()  # an unknown key comes back as null, at the present instant (measured)
    return {key: [show(*found.latest.get(key, (now, None)))] for key in keys}


async def attributes(call: Call) -> Any:
    found = call.device(call.uuid("entity"))
    scope = call.request.path_params.get("scope")
    if scope is not None and scope not in found.attributes:
        raise bad_request(f"Invalid attribute scope: {scope}")
    keys = call.words("keys")
    return shown_attributes(found, [scope] if scope else found.attributes, set(keys) if keys else None)


async def write_attributes(call: Call) -> Response:
    found, scope = call.device(call.uuid("entity")), call.request.path_params["scope"]
    if scope not in ("SERVER_SCOPE", "SHARED_SCOPE"):
        raise bad_request("Invalid scope: " + scope)
    who = user_metadata(call.user, found.name, "DEVICE", found.customer)
    call.server.field.write_attributes(found, scope, dict(call.body), who)
    return empty()


# calls to devices


async def rpc(call: Call) -> Response:
    found, oneway = call.device(call.uuid("device")), call.request.path_params["way"] == "oneway"
    if call.body.get("persistent"):
        return answer({"rpcId": call.server.field.keep_call(found, call.body, oneway=oneway)})
    try:
        given = await call.server.field.call(found, call.body, oneway=oneway)
    except TimeoutError:
        return empty(504)
    return empty() if oneway else answer(given)


async def kept_rpc(call: Call) -> Json:
    wanted = call.uuid("rpc")
    if wanted not in call.server.field.persistent:
        raise not_found(f"RPC with id [{wanted}] is not found")
    kept = call.server.field.persistent[wanted]
    call.device(kept["deviceId"]["id"])
    return kept


# what devices themselves call: no login, the access token is in the path; errors have no body


async def device_post(server: Server, request: Request) -> Response:
    found = server.world.by_token.get(request.path_params["token"])
    if found is None:
        return empty(401)
    if server.field.limited(found):
        return empty(500)
    body = await read_json(request)
    if request.path_params["what"] == "telemetry":
        server.field.post_telemetry(found, body)
    else:
        server.field.post_attributes(found, body)
    return empty()


async def device_poll(server: Server, request: Request) -> Response:
    found = server.world.by_token.get(request.path_params["token"])
    if found is None:
        return empty(401)
    asked = await server.field.next_call(found, float(request.query_params.get("timeout", "0")))
    return empty(408) if asked is None else answer(asked)


async def device_answer(server: Server, request: Request) -> Response:
    found = server.world.by_token.get(request.path_params["token"])
    if found is None:
        return empty(401)
    server.field.answer_call(found, int(request.path_params["number"]), await read_json(request))
    return empty()


def routes(server: Server) -> list[Route]:
    values = "/api/plugins/telemetry/DEVICE/{entity}/values"
    write = "/api/plugins/telemetry/DEVICE/{entity}/attributes/{scope}"
    return [
        route(server, "GET", "/api/tenant/devices", devices, TENANT_ADMIN),
        route(server, "GET", "/api/tenant/deviceInfos", device_infos, TENANT_ADMIN),
        route(server, "GET", "/api/customer/{customer}/devices", customer_devices, TENANT_USERS),
        route(server, "POST", "/api/customer/{customer}/device/{device}", give_to_customer, TENANT_ADMIN),
        route(server, "POST", "/api/device", make_device, TENANT_ADMIN),
        route(server, "GET", "/api/device/info/{device}", device_info, TENANT_USERS),
        route(server, "GET", "/api/device/{device}", device, TENANT_USERS),
        route(server, "DELETE", "/api/device/{device}", delete_device, TENANT_ADMIN),
        route(server, "GET", "/api/device/{device}/credentials", credentials, TENANT_USERS),
        route(server, "GET", values + "/timeseries", timeseries, TENANT_USERS),
        route(server, "GET", values + "/attributes", attributes, TENANT_USERS),
        route(server, "GET", values + "/attributes/{scope}", attributes, TENANT_USERS),
        route(server, "POST", write, write_attributes, TENANT_USERS),
        route(server, "GET", "/api/rpc/persistent/{rpc}", kept_rpc, TENANT_USERS),
        route(server, "POST", "/api/rpc/{way}/{device}", rpc, TENANT_USERS),
        open_route(server, "POST", "/api/v1/{token}/rpc/{number}", device_answer),
        open_route(server, "GET", "/api/v1/{token}/rpc", device_poll),
        open_route(server, "POST", "/api/v1/{token}/{what}", device_post),
    ]
