"""What an operator imports to have alarms raised and sent: profiles, rule chains, queues, calculated fields."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from sandbox.thingsboard.api import SYS_ADMIN, TENANT_ADMIN, TENANT_USERS, Call, Server, empty, route, search
from sandbox.thingsboard.chains import Chain
from sandbox.thingsboard.entities import Json, Profile, ref
from sandbox.thingsboard.errors import bad_request, not_found
from sandbox.thingsboard.rules import field_rule, profile_rules
from sandbox.thingsboard.seed import Seed


def _profile(call: Call, profile_id: str) -> Profile:
    profile = call.world.profiles.get(profile_id)
    if profile is None:
        raise not_found(f"Device profile with id [{profile_id}] is not found")
    call.check(profile.tenant)
    return profile


async def profiles(call: Call) -> Json:
    text = call.text("textSearch")
    mine = [p for p in call.world.profiles.values() if p.tenant == call.user.tenant and search(text, p.name)]
    return call.page(call.ordered(mine, {"name": lambda p: p.name}), lambda p: p.json())


async def profile(call: Call) -> Json:
    return _profile(call, call.uuid("profile")).json()


async def save_profile(call: Call) -> Json:
    body, given = call.body, call.body.get("id")
    namesake = call.world.profile_named(call.user.tenant, body["name"])
    if namesake is not None and (given is None or namesake.id != given["id"]):
        raise bad_request("Device profile with such name already exists!")
    if given is None:
        return Seed(call.server).profile(call.user.tenant, body).json()
    kept = _profile(call, given["id"])
    changed = {k: body.get(k, kept.body[k]) for k in kept.body}
    profile_rules(changed)
    kept.body = changed | {"version": int(kept.body["version"]) + 1}
    return kept.json()


def _chain(call: Call, chain_id: str) -> Chain:
    chain = call.server.engine.chains.get(chain_id)
    if chain is None:
        raise not_found(f"Rule chain with id [{chain_id}] is not found")
    call.check(chain.tenant)
    return chain


def _shown(call: Call, chain: Chain) -> Json:
    return chain.json(call.world.tenants[chain.tenant].root_chain == chain.id)


async def rule_chains(call: Call) -> Json:
    text = call.text("textSearch")
    mine = [c for c in call.server.engine.chains.values() if c.tenant == call.user.tenant and search(text, c.name)]
    return call.page(call.ordered(mine, {"name": lambda c: c.name}), lambda c: _shown(call, c))


async def rule_chain(call: Call) -> Json:
    return _shown(call, _chain(call, call.uuid("chain")))


async def rule_chain_metadata(call: Call) -> Json:
    return _chain(call, call.uuid("chain")).metadata_json()


async def save_chain(call: Call) -> Json:
    body = call.body
    if body.get("id"):
        chain = _chain(call, body["id"]["id"])
        chain.name = body["name"]
    else:
        chain = Seed(call.server).chain(call.user.tenant, body["name"])
    return _shown(call, chain)


async def save_metadata(call: Call) -> Json:
    chain = _chain(call, call.body["ruleChainId"]["id"])
    chain.load(call.body, call.world)
    return chain.metadata_json()


async def make_root(call: Call) -> Json:
    chain = _chain(call, call.uuid("chain"))
    call.world.tenants[chain.tenant].root_chain = chain.id
    return _shown(call, chain)


async def delete_chain(call: Call) -> Response:
    chain = _chain(call, call.uuid("chain"))
    if call.world.tenants[chain.tenant].root_chain == chain.id:
        raise bad_request("Deletion of Root Tenant Rule Chain is prohibited!")
    del call.server.engine.chains[chain.id]
    return empty()


async def import_chains(call: Call) -> list[Json]:
    """Wants lists; CDM's provisioning sends objects and gets a 500 (measured)."""
    given, metadata = call.body["ruleChains"], call.body["metadata"]
    if not isinstance(given, list) or not isinstance(metadata, list):
        name = "org.thingsboard.server.common.data.rule.RuleChainMetaData"
        raise TypeError(f"Cannot deserialize value of type `java.util.ArrayList<{name}>` from Object value")
    made = []
    for head, body in zip(given, metadata, strict=True):
        chain = Seed(call.server).chain(call.user.tenant, head["name"])
        chain.load(body, call.world)
        made.append({"ruleChainId": ref("RULE_CHAIN", chain.id), "ruleChainName": chain.name})
    return made


async def queues(call: Call) -> Json:
    call.required("serviceType", "String")
    return call.page(list(call.server.engine.broker.queues.values()), lambda q: q.json())


async def save_queue(call: Call) -> Json:
    call.required("serviceType", "String")
    body = {k: v for k, v in call.body.items() if k not in ("id", "createdTime")}
    if call.body.get("id") is None and body["name"] in call.server.engine.broker.queues:
        raise bad_request(f"Queue with name: {body['name']} already exists!")
    return call.server.engine.add_queue(body).json()


async def save_field(call: Call) -> Json:
    body, world = dict(call.body), call.world
    if body["type"] != "ALARM":
        raise bad_request("Only ALARM calculated fields are imitated")
    entity = body["entityId"]
    if entity["entityType"] == "DEVICE_PROFILE":
        _profile(call, entity["id"])
    else:
        call.device(entity["id"])
    field_id = body["id"]["id"] if body.get("id") else world.new_id()
    same = [f for f in world.fields.values() if f["name"] == body["name"] and f["entityId"]["id"] == entity["id"]]
    if any(f["id"]["id"] != field_id for f in same):
        raise bad_request("Calculated Field with such name is already in exists!")
    kept = {"id": ref("CALCULATED_FIELD", field_id), "createdTime": world.now()}
    shown = body | kept | {"tenantId": ref("TENANT", call.user.tenant), "version": 1}
    field_rule(shown)
    world.fields[field_id] = shown
    return shown


async def fields_of(call: Call) -> Json:
    wanted = call.uuid("entity")
    mine = [f for f in call.world.fields.values() if f["entityId"]["id"] == wanted]
    return call.page([f for f in mine if f["tenantId"]["id"] == call.user.tenant], lambda f: f)


async def delete_field(call: Call) -> Any:
    wanted = call.uuid("field")
    call.check(call.world.fields[wanted]["tenantId"]["id"])
    del call.world.fields[wanted]
    return empty()


def routes(server: Server) -> list[Route]:
    found = [
        route(server, "GET", "/api/deviceProfiles", profiles, TENANT_ADMIN),
        route(server, "GET", "/api/deviceProfile/{profile}", profile, TENANT_ADMIN),
        route(server, "POST", "/api/deviceProfile", save_profile, TENANT_ADMIN),
        route(server, "GET", "/api/ruleChains", rule_chains, TENANT_ADMIN),
        route(server, "POST", "/api/ruleChains/import", import_chains, TENANT_ADMIN),
        route(server, "POST", "/api/ruleChain/metadata", save_metadata, TENANT_ADMIN),
        route(server, "POST", "/api/ruleChain", save_chain, TENANT_ADMIN),
        route(server, "GET", "/api/ruleChain/{chain}", rule_chain, TENANT_ADMIN),
        route(server, "DELETE", "/api/ruleChain/{chain}", delete_chain, TENANT_ADMIN),
        route(server, "GET", "/api/ruleChain/{chain}/metadata", rule_chain_metadata, TENANT_ADMIN),
        route(server, "POST", "/api/ruleChain/{chain}/root", make_root, TENANT_ADMIN),
        route(server, "GET", "/api/queues", queues, (*SYS_ADMIN, *TENANT_ADMIN)),
        route(server, "POST", "/api/queues", save_queue, SYS_ADMIN),
    ]
    if server.world.is_43:
        found += [
            route(server, "POST", "/api/calculatedField", save_field, TENANT_ADMIN),
            route(server, "GET", "/api/{kind}/{entity}/calculatedFields", fields_of, TENANT_USERS),
            route(server, "DELETE", "/api/calculatedField/{field}", delete_field, TENANT_ADMIN),
        ]
    return found
