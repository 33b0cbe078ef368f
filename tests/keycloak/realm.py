"""What tests change in a realm while the bot runs: people, groups, rights; and how a real server is told."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, Protocol

import httpx

PASSWORD = "lab-only-pw"
CLIENT_ID, CLIENT_SECRET = "cdm-bot", "lab-only-bot-secret"


class Realm(Protocol):
    """A realm made from the one realm file, and the changes a test makes to it. Ids are Keycloak's."""

    url: str
    name: str

    async def user_id(self, username: str) -> str: ...
    async def create_user(
        self,
        username: str,
        *,
        email: str = "",
        enabled: bool = True,
        email_verified: bool = True,
        roles: Collection[str] = (),
        groups: Collection[str] = (),
        attributes: dict[str, list[str]] | None = None,
    ) -> str:
        """A new person with the tests' password. `email` is `<username>@cdm.example` if not given."""
        ...

    async def delete_user(self, user_id: str) -> None: ...
    async def set_enabled(self, user_id: str, enabled: bool) -> None: ...
    async def set_roles(self, user_id: str, roles: Collection[str]) -> None:
        """Exactly these direct realm roles (and the realm's default role)."""
        ...

    async def set_groups(self, user_id: str, paths: Collection[str]) -> None:
        """Exactly these groups."""
        ...

    async def join_group(self, user_id: str, path: str) -> None:
        """One group more, found by the path it shows: also one with a slash in its name."""
        ...

    async def create_group(self, path: str, *, name: str = "") -> None:
        """Missing parents are made too. `name`, if given, is the last part of the path: it may hold slashes."""
        ...

    async def set_bot_rights(self, roles: Collection[str]) -> None:
        """Exactly these realm-management roles for the bot's service account."""
        ...

    async def set_bot_scopes(self, names: Collection[str]) -> None:
        """Exactly these default client scopes of the bot's client, out of `basic` and `acr`."""
        ...

    async def set_bot_enabled(self, enabled: bool) -> None: ...
    async def allow_redirect(self, uri: str) -> None: ...
    async def create_service_account(
        self, client_id: str, secret: str, *, roles: Collection[str] = (), groups: Collection[str] = ()
    ) -> str:
        """One more client, which acts in its own name; the id of its account."""
        ...

    async def set_duplicate_emails_allowed(self, allowed: bool) -> None: ...


class AdminRealm:
    """`Realm` by the admin API of a real server, as its bootstrap admin. A connection per call: it may restart."""

    def __init__(self, url: str, name: str, user: str, password: str) -> None:
        self.url = url
        self.name = name
        self._login = {"grant_type": "password", "client_id": "admin-cli", "username": user, "password": password}
        self._bearer: dict[str, str] = {}
        self._bearer_until = 0.0

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """One admin call under the realm; the JSON answer, or the `Location` of what was created."""
        return await self._send(method, f"/admin/realms/{self.name}{path}", **more)

    async def _send(self, method: str, path: str, **more: Any) -> Any:
        async with httpx.AsyncClient(base_url=self.url, timeout=10, trust_env=False, verify=False) as http:
            if time.monotonic() > self._bearer_until:
                token = await http.post("/realms/master/protocol/openid-connect/token", data=self._login)
                token.raise_for_status()
                self._bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
                self._bearer_until = time.monotonic() + 30
            answer = await http.request(method, path, headers=self._bearer, **more)
            answer.raise_for_status()
            return answer.headers.get("location") if answer.status_code == 201 else (answer.content and answer.json())

    async def create(self, settings: dict[str, Any]) -> None:
        """The realm itself, from an export's settings; its name is this one's."""
        await self._send("POST", "/admin/realms", json={**settings, "realm": self.name, "enabled": True})

    async def user_id(self, username: str) -> str:
        return str((await self.call("GET", "/users", params={"username": username, "exact": "true"}))[0]["id"])

    async def create_user(
        self,
        username: str,
        *,
        email: str = "",
        enabled: bool = True,
        email_verified: bool = True,
        roles: Collection[str] = (),
        groups: Collection[str] = (),
        attributes: dict[str, list[str]] | None = None,
    ) -> str:
        created = await self.call(
            "POST",
            "/users",
            json={
                "username": username,
                "email": email or f"{username}@cdm.example",
                "firstName": username,
                "lastName": "Test",
                "enabled": enabled,
                "emailVerified": email_verified,
                "groups": list(groups),
                "attributes": attributes or {},
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            },
        )
        user_id = str(created).rsplit("/", 1)[1]
        await self._add_roles(user_id, roles)
        return user_id

    async def delete_user(self, user_id: str) -> None:
        await self.call("DELETE", f"/users/{user_id}")

    async def set_enabled(self, user_id: str, enabled: bool) -> None:
        await self.call("PUT", f"/users/{user_id}", json={"enabled": enabled})

    async def set_roles(self, user_id: str, roles: Collection[str]) -> None:
        path = f"/users/{user_id}/role-mappings/realm"
        held = {r["name"]: r for r in await self.call("GET", path) if not r["name"].startswith("default-roles-")}
        await self.call("DELETE", path, json=[held[name] for name in held.keys() - set(roles)])
        await self._add_roles(user_id, set(roles) - held.keys())

    async def _add_roles(self, user_id: str, roles: Collection[str]) -> None:
        if roles:
            found = [await self.call("GET", f"/roles/{role}") for role in roles]
            await self.call("POST", f"/users/{user_id}/role-mappings/realm", json=found)

    async def set_groups(self, user_id: str, paths: Collection[str]) -> None:
        held = {g["path"]: g["id"] for g in await self.call("GET", f"/users/{user_id}/groups")}
        for path in held.keys() - set(paths):
            await self.call("DELETE", f"/users/{user_id}/groups/{held[path]}")
        for path in set(paths) - held.keys():
            group = await self.call("GET", f"/group-by-path{path}")
            await self.call("PUT", f"/users/{user_id}/groups/{group['id']}")

    async def join_group(self, user_id: str, path: str) -> None:
        await self.call("PUT", f"/users/{user_id}/groups/{await self._shown_group(path)}")

    async def create_group(self, path: str, *, name: str = "") -> None:
        last = name or path.rpartition("/")[2]
        above = path.removesuffix(f"/{last}")
        if above and await self._shown_group(above) is None:
            await self.create_group(above)
        if await self._shown_group(path) is None:
            parent = await self._shown_group(above) if above else None
            await self.call("POST", f"/groups/{parent}/children" if parent else "/groups", json={"name": last})

    async def _shown_group(self, path: str) -> str | None:
        """The id of the group that shows this path, or None."""
        todo = list(await self.call("GET", "/groups", params={"max": 1000}))
        while todo:
            group = todo.pop()
            if group["path"] == path:
                return str(group["id"])
            if path.startswith(f"{group['path']}/"):
                todo += await self.call("GET", f"/groups/{group['id']}/children", params={"max": 1000})
        return None

    async def set_bot_rights(self, roles: Collection[str]) -> None:
        account = (await self.call("GET", f"/clients/{await self._client()}/service-account-user"))["id"]
        management = (await self.call("GET", "/clients", params={"clientId": "realm-management"}))[0]["id"]
        path = f"/users/{account}/role-mappings/clients/{management}"
        await self.call("DELETE", path, json=await self.call("GET", path))
        wanted = [await self.call("GET", f"/clients/{management}/roles/{role}") for role in roles]
        await self.call("POST", path, json=wanted)

    async def set_bot_scopes(self, names: Collection[str]) -> None:
        path = f"/clients/{await self._client()}/default-client-scopes"
        for scope in await self.call("GET", "/client-scopes"):
            if scope["name"] in ("basic", "acr"):
                await self.call("PUT" if scope["name"] in names else "DELETE", f"{path}/{scope['id']}")

    async def set_bot_enabled(self, enabled: bool) -> None:
        client = await self.call("GET", f"/clients/{await self._client()}")
        await self.call("PUT", f"/clients/{client['id']}", json={**client, "enabled": enabled})

    async def allow_redirect(self, uri: str) -> None:
        client = await self.call("GET", f"/clients/{await self._client()}")
        uris = [*client["redirectUris"], uri]
        await self.call("PUT", f"/clients/{client['id']}", json={**client, "redirectUris": uris})

    async def create_service_account(
        self, client_id: str, secret: str, *, roles: Collection[str] = (), groups: Collection[str] = ()
    ) -> str:
        client = {"clientId": client_id, "secret": secret, "serviceAccountsEnabled": True, "standardFlowEnabled": False}
        created = str(await self.call("POST", "/clients", json=client)).rsplit("/", 1)[1]
        account = str((await self.call("GET", f"/clients/{created}/service-account-user"))["id"])
        await self._add_roles(account, roles)
        await self.set_groups(account, groups)
        return account

    async def set_duplicate_emails_allowed(self, allowed: bool) -> None:
        """A realm that allows duplicates cannot also log in by e-mail."""
        realm = {"duplicateEmailsAllowed": allowed, "loginWithEmailAllowed": not allowed}
        await self.call("PUT", "", json=realm)

    async def _client(self) -> str:
        return str((await self.call("GET", "/clients", params={"clientId": CLIENT_ID}))[0]["id"])
