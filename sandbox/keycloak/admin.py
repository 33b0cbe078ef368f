"""The admin API as the bot's service account may read it. Rights are looked up live, not taken from the token."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.keycloak.realm import Group, Role, User
from sandbox.keycloak.site import Site, refuse

T = TypeVar("T")

_FORBIDDEN = "HTTP 403 Forbidden"
_EVERY = ["GET", "POST", "PUT", "DELETE"]


class Admin:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._realm = site.realm
        base = site.admin_path
        self.routes = [
            Route(f"{base}/users", self._guarded(self.users, "query-users")),
            Route(f"{base}/users/count", self._guarded(self.count, "query-users")),
            Route(f"{base}/users/{{id}}", self._of_user(self.user)),
            Route(f"{base}/users/{{id}}/groups", self._of_user(self.user_groups)),
            Route(f"{base}/users/{{id}}/role-mappings", self._of_user(self.all_roles)),
            Route(f"{base}/users/{{id}}/role-mappings/realm", self._of_user(self.direct_roles)),
            Route(f"{base}/users/{{id}}/role-mappings/realm/composite", self._of_user(self.effective_roles)),
            Route(f"{base}/groups", self._guarded(self.top_groups, "view-users")),
            Route(f"{base}/groups/{{id}}", self._of_group(self.group)),
            Route(f"{base}/groups/{{id}}/members", self._of_group(self.members)),
            Route(f"{base}/groups/{{id}}/children", self._of_group(self.children)),
            Route(f"{base}/group-by-path/{{path:path}}", self._guarded(self.group_by_path, "view-users")),
            Route(f"{base}/clients", self._guarded(self.clients, "view-clients")),
            Route(f"{base}/roles", self._guarded(self.roles, "view-realm")),
            Route(f"{base}/events", self._guarded(self.nothing, "view-events")),
            Route(f"{base}/identity-provider/instances", self._guarded(self.nothing, "view-identity-providers")),
            *(
                Route(f"{base}/{path}", self._guarded(self.forbidden, ""), methods=_EVERY)
                for path in ("users{rest:path}", "groups{rest:path}", "roles{rest:path}", "clients{rest:path}")
            ),
            *(
                Route(f"{base}/{path}", self._guarded(self.forbidden, ""))
                for path in ("events", "admin-events", "identity-provider/{rest:path}")
            ),
            Route(f"{site.base_path}/admin/realms/{{other}}/{{rest:path}}", self.no_realm, methods=_EVERY),
        ]

    async def no_realm(self, request: Request) -> Response:
        mine = request.path_params["other"] == self._realm.name
        return refuse(404, "HTTP 404 Not Found" if mine else "Realm not found.")

    def _caller(self, request: Request) -> User | None:
        claims = self._site.tokens.read_bearer(request.headers.get("authorization", ""))
        client = self._realm.clients.get(claims["azp"]) if claims else None
        return self._realm.users.get(claims["sub"]) if claims and client and client.enabled else None

    def _guarded(self, handle: Callable[[Request, User], Response], right: str) -> Callable[[Request], Any]:
        async def handled(request: Request) -> Response:
            caller = self._caller(request)
            if caller is None:
                return refuse(401, "HTTP 401 Unauthorized")
            if right and not caller.may(right):
                return refuse(403, _FORBIDDEN)
            return handle(request, caller)

        return handled

    def _of_user(self, handle: Callable[[User, Request], Response]) -> Callable[[Request], Any]:
        """404 for an unknown user comes before 403 for one who may only query, and after it for one who may nothing."""

        def found(request: Request, caller: User) -> Response:
            user = self._realm.users.get(request.path_params["id"])
            if user is None:
                return refuse(404, "User not found") if caller.may("query-users") else refuse(403, _FORBIDDEN)
            if not caller.may("view-users"):
                return refuse(403, _FORBIDDEN)
            return handle(user, request)

        return self._guarded(found, "")

    def _of_group(self, handle: Callable[[Group, Request], Response]) -> Callable[[Request], Any]:
        def found(request: Request, _caller: User) -> Response:
            group = next((g for g in self._realm.groups if g.id == request.path_params["id"]), None)
            return handle(group, request) if group else refuse(404, "Could not find group by id")

        return self._guarded(found, "view-users")

    def forbidden(self, _request: Request, _caller: User) -> Response:
        return refuse(403, _FORBIDDEN)

    # what a bot with too many rights could read

    def clients(self, _request: Request, _caller: User) -> Response:
        return JSONResponse([{"clientId": name, "enabled": c.enabled} for name, c in self._realm.clients.items()])

    def roles(self, _request: Request, _caller: User) -> Response:
        return JSONResponse([self._role(role) for role in self._realm.roles.values()])

    def nothing(self, _request: Request, _caller: User) -> Response:
        return JSONResponse([])

    # users

    def users(self, request: Request, caller: User) -> Response:
        """An empty filter is no filter; and who may query but not view gets 200 with an empty list."""
        if not caller.may("view-users"):
            return JSONResponse([])
        asked = request.query_params
        brief = asked.get("briefRepresentation") == "true"
        found = sorted((u for u in self._realm.users.values() if _matches(u, asked)), key=lambda u: u.username)
        return JSONResponse([_user(u, brief) | {"access": {"manage": False}} for u in _some(found, request)])

    def count(self, request: Request, caller: User) -> Response:
        if not caller.may("view-users"):
            return JSONResponse(0)
        return JSONResponse(sum(_matches(u, request.query_params) for u in self._realm.users.values()))

    def user(self, user: User, _request: Request) -> Response:
        rights = ("manageGroupMembership", "resetPassword", "mapRoles", "impersonate", "manage")
        return JSONResponse(_user(user) | {"access": {"view": True, **dict.fromkeys(rights, False)}})

    def user_groups(self, user: User, request: Request) -> Response:
        """The groups the user is in; the groups above them are not listed."""
        brief = request.query_params.get("briefRepresentation", "true") == "true"
        found = _some(sorted(user.groups, key=lambda g: g.name), request)
        return JSONResponse([_group(g, brief=brief) for g in found])

    def all_roles(self, _user: User, _request: Request) -> Response:
        """Looks like "no roles": the mappings need more than view-users, and are left out without an error."""
        return JSONResponse({})

    def direct_roles(self, user: User, _request: Request) -> Response:
        return JSONResponse([self._role(self._realm.roles[name]) for name in sorted(user.roles)])

    def effective_roles(self, user: User, _request: Request) -> Response:
        return JSONResponse([self._role(role) for role in self._realm.effective_roles(user)])

    def _role(self, role: Role) -> dict[str, Any]:
        return {
            "id": role.id,
            "name": role.name,
            "description": role.description,
            "composite": bool(role.parts),
            "clientRole": False,
            "containerId": self._realm.name,
        }

    # groups

    def top_groups(self, _request: Request, _caller: User) -> Response:
        return JSONResponse([self._counted(g, brief=True) for g in self._realm.groups if g.parent is None])

    def group(self, group: Group, _request: Request) -> Response:
        return JSONResponse(self._counted(group))

    def children(self, group: Group, _request: Request) -> Response:
        return JSONResponse([self._counted(g) for g in self._realm.groups if g.parent is group])

    def members(self, group: Group, request: Request) -> Response:
        """Direct members only, disabled ones too."""
        brief = request.query_params.get("briefRepresentation") == "true"
        found = sorted((u for u in self._realm.users.values() if group in u.groups), key=lambda u: u.username)
        return JSONResponse([_user(u, brief) for u in _some(found, request)])

    def group_by_path(self, request: Request, _caller: User) -> Response:
        try:
            return JSONResponse(self._counted(self._realm.group(f"/{request.path_params['path']}")))
        except KeyError:
            return refuse(404, "Group path does not exist")

    def _counted(self, group: Group, *, brief: bool = False) -> dict[str, Any]:
        below = sum(g.parent is group for g in self._realm.groups)
        return _group(group, brief=brief) | {"subGroupCount": below}


def _some(found: list[T], request: Request) -> list[T]:
    """The part of the list that `first` and `max` ask for."""
    first, most = int(request.query_params.get("first", 0)), int(request.query_params.get("max", 100))
    return found[first : first + most]


def _user(user: User, brief: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": user.id,
        "username": user.username,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "email": user.email,
        "emailVerified": user.email_verified,
        "attributes": user.attributes,
        "enabled": user.enabled,
        "createdTimestamp": user.created_ms,
        "totp": False,
        "disableableCredentialTypes": [],
        "requiredActions": [],
        "notBefore": 0,
    }
    left_out = {"attributes", "totp", "disableableCredentialTypes", "requiredActions", "notBefore"} if brief else set()
    optional = {"firstName", "lastName", "email", "attributes"}
    return {k: v for k, v in told.items() if k not in left_out and (v or k not in optional)}


def _group(group: Group, *, brief: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {"id": group.id, "name": group.name, "path": group.path}
    told |= {"parentId": group.parent.id} if group.parent else {}
    told |= {"subGroups": []}
    return (
        told if brief else told | {"attributes": group.attributes, "realmRoles": sorted(group.roles), "clientRoles": {}}
    )


def _matches(user: User, asked: Any) -> bool:
    exact = asked.get("exact") == "true"
    fields = {"username": user.username, "email": user.email, "firstName": user.first_name, "lastName": user.last_name}
    wanted = {name: asked[name].lower() for name in fields if asked.get(name)}
    flags = {"enabled": user.enabled, "emailVerified": user.email_verified}
    attributes = [pair.partition(":")[::2] for pair in asked.get("q", "").split() if ":" in pair]
    if user.service_client and not (set(asked) - {"q", "first", "max", "briefRepresentation", "exact"}):
        return False
    return (
        all(fields[k].lower() == v if exact else _like(f"%{v}%", fields[k]) for k, v in wanted.items())
        and all(str(v).lower() == asked[k] for k, v in flags.items() if k in asked)
        and all(v.lower() in (x.lower() for x in user.attributes.get(k, ())) for k, v in attributes)
        and _found_by_search(user, asked.get("search"))
    )


def _found_by_search(user: User, search: str | None) -> bool:
    """`search` looks for the beginning of a word in four fields, and leaves service accounts out."""
    if search is None:
        return True
    fields = (user.username, user.email, user.first_name, user.last_name)
    patterns = [term.replace("*", "%") if "*" in term else f"{term}%" for term in search.split()]
    return not user.service_client and all(any(_like(p, f) for f in fields) for p in patterns)


def _like(pattern: str, text: str) -> bool:
    """SQL's LIKE, so that `_` stands for any character (measured: `b_b` finds bob)."""
    regex = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern.lower())
    return re.fullmatch(regex, text.lower()) is not None
