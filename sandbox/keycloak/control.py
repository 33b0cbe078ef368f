"""Changes to the realm at run time, as an administrator would make them: `/_sandbox/keycloak`.

GET     /_sandbox/keycloak                   the whole realm
PUT     /_sandbox/keycloak/users/{username}  create or change, only what the body names: enabled, email, email_verified,
                                             password, first_name, last_name, attributes, realm_roles, groups (paths)
DELETE  /_sandbox/keycloak/users/{username}
PUT     /_sandbox/keycloak/groups            {"path": "/evil/customer-b", "name": "", "realm_roles": []}; parents too
PUT     /_sandbox/keycloak/client            {"redirect_uris": [], "enabled": true, "rights": ["view-users"],
                                              "scopes": ["basic", "acr"]}
PUT     /_sandbox/keycloak/clients/{id}      {"secret": "", "realm_roles": [], "groups": []}: one more client, with a
                                             service account; answers the account
PUT     /_sandbox/keycloak/realm             {"duplicate_emails": true}
The server is taken down or slowed by the faults every stand-in has (`sandbox.wire`).
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.keycloak.realm import Client, Group, Taken, User
from sandbox.keycloak.site import Site

_PLAIN = ("enabled", "email_verified", "password", "first_name", "last_name")


class Control:
    def __init__(self, site: Site) -> None:
        self._realm = site.realm
        base = "/_sandbox/keycloak"
        self.routes = [
            Route(base, self.show),
            Route(f"{base}/users/{{username}}", self.put_user, methods=["PUT"]),
            Route(f"{base}/users/{{username}}", self.delete_user, methods=["DELETE"]),
            Route(f"{base}/groups", self.put_group, methods=["PUT"]),
            Route(f"{base}/client", self.put_client, methods=["PUT"]),
            Route(f"{base}/clients/{{id}}", self.put_service_client, methods=["PUT"]),
            Route(f"{base}/realm", self.put_realm, methods=["PUT"]),
        ]

    async def show(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "realm": self._realm.name,
                "groups": [group.path for group in self._realm.groups],
                "roles": list(self._realm.roles),
                "users": [_shown(user) for user in self._realm.users.values()],
            }
        )

    async def put_user(self, request: Request) -> Response:
        wanted = json.loads(await request.body())
        user = self._realm.by_username(request.path_params["username"])
        try:
            if user is None:
                user = User(request.path_params["username"], wanted.get("email", ""), roles={self._realm.default_role})
                self._realm.add(user)
            for name in _PLAIN:
                if name in wanted:
                    setattr(user, name, wanted[name])
            if "attributes" in wanted:
                user.attributes = self._realm.declared(wanted["attributes"])
            user.email = str(wanted.get("email", user.email)).lower()
            if "groups" in wanted:
                user.groups = [self._any_group(path) for path in wanted["groups"]]
            if "realm_roles" in wanted:
                unknown = set(wanted["realm_roles"]) - self._realm.roles.keys()
                if unknown:
                    return JSONResponse({"error": f"no such role: {sorted(unknown)}"}, 404)
                user.roles = {self._realm.default_role, *wanted["realm_roles"]}
        except Taken as taken:
            return JSONResponse({"errorMessage": str(taken)}, 409)
        except KeyError as unknown_group:
            return JSONResponse({"error": f"no such group: {unknown_group}"}, 404)
        return JSONResponse(_shown(user))

    def _any_group(self, path: str) -> Group:
        found = next((g for g in self._realm.groups if g.path == path), None)
        if found is None:
            raise KeyError(path)
        return found

    async def delete_user(self, request: Request) -> Response:
        user = self._realm.by_username(request.path_params["username"])
        if user is None:
            return JSONResponse({"error": "User not found"}, 404)
        del self._realm.users[user.id]
        return Response(status_code=204)

    async def put_group(self, request: Request) -> Response:
        wanted = json.loads(await request.body())
        group = self._made_group(wanted["path"], wanted.get("name", ""))
        group.roles |= set(wanted.get("realm_roles", ()))
        return JSONResponse({"path": group.path, "id": group.id})

    def _made_group(self, path: str, name: str = "") -> Group:
        """The group that shows this path. `name`, if given, is the last part of the path: it may hold slashes."""
        with contextlib.suppress(KeyError):
            return self._any_group(path)
        last = name or path.rpartition("/")[2]
        above = path.removesuffix(f"/{last}")
        group = Group(last, self._made_group(above) if above else None)
        self._realm.groups.append(group)
        return group

    async def put_client(self, request: Request) -> Response:
        wanted = json.loads(await request.body())
        client = next(iter(self._realm.clients.values()))  # the realm file's own
        client.redirect_uris = wanted.get("redirect_uris", client.redirect_uris)
        client.enabled = wanted.get("enabled", client.enabled)
        client.scopes = set(wanted.get("scopes", client.scopes))
        account = self._realm.service_account(client.id)
        account.rights = set(wanted.get("rights", account.rights))
        shown = {"redirect_uris": client.redirect_uris, "enabled": client.enabled}
        shown |= {"rights": sorted(account.rights), "scopes": sorted(client.scopes)}
        return JSONResponse(shown)

    async def put_service_client(self, request: Request) -> Response:
        wanted, id = json.loads(await request.body()), request.path_params["id"]
        self._realm.clients[id] = Client(id, wanted["secret"], [], enabled=True, pkce=True, device_grant=False, name=id)
        account = User(f"service-account-{id}", "", service_client=id)
        account.roles = {self._realm.default_role, *wanted.get("realm_roles", ())}
        self._realm.add(account, wanted.get("groups", ()))
        return JSONResponse(_shown(account))

    async def put_realm(self, request: Request) -> Response:
        wanted = json.loads(await request.body())
        self._realm.duplicate_emails = bool(wanted.get("duplicate_emails", self._realm.duplicate_emails))
        return JSONResponse({"duplicate_emails": self._realm.duplicate_emails})


def _shown(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "enabled": user.enabled,
        "email_verified": user.email_verified,
        "realm_roles": sorted(user.roles),
        "groups": [group.path for group in user.groups],
    }
