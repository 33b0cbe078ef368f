"""`Realm` by the stand-in's switches, over the wire."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx

from tests.keycloak.realm import PASSWORD


class StandInRealm:
    """The stand-in at `url`; `name` is the realm of its file."""

    def __init__(self, url: str, name: str = "cdm") -> None:
        self.url = url
        self.name = name

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with httpx.AsyncClient(base_url=self.url, timeout=10, trust_env=False, verify=False) as http:
            answer = await http.request(method, f"/_sandbox/keycloak{path}", json=body)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    async def _user(self, user_id: str) -> Any:
        return next(u for u in (await self._call("GET", ""))["users"] if u["id"] == user_id)

    async def _change(self, user_id: str, body: dict[str, Any]) -> None:
        await self._call("PUT", f"/users/{(await self._user(user_id))['username']}", body)

    async def user_id(self, username: str) -> str:
        return str(next(u["id"] for u in (await self._call("GET", ""))["users"] if u["username"] == username))

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
        body = {
            "email": email or f"{username}@cdm.example",
            "first_name": username,
            "last_name": "Test",
            "enabled": enabled,
            "email_verified": email_verified,
            "realm_roles": list(roles),
            "groups": list(groups),
            "attributes": attributes or {},
            "password": PASSWORD,
        }
        return str((await self._call("PUT", f"/users/{username}", body))["id"])

    async def delete_user(self, user_id: str) -> None:
        await self._call("DELETE", f"/users/{(await self._user(user_id))['username']}")

    async def set_enabled(self, user_id: str, enabled: bool) -> None:
        await self._change(user_id, {"enabled": enabled})

    async def set_roles(self, user_id: str, roles: Collection[str]) -> None:
        await self._change(user_id, {"realm_roles": list(roles)})

    async def set_groups(self, user_id: str, paths: Collection[str]) -> None:
        await self._change(user_id, {"groups": list(paths)})

    async def join_group(self, user_id: str, path: str) -> None:
        await self._change(user_id, {"groups": [*(await self._user(user_id))["groups"], path]})

    async def create_group(self, path: str, *, name: str = "") -> None:
        await self._call("PUT", "/groups", {"path": path, "name": name})

    async def set_bot_rights(self, roles: Collection[str]) -> None:
        await self._call("PUT", "/client", {"rights": list(roles)})

    async def set_bot_scopes(self, names: Collection[str]) -> None:
        await self._call("PUT", "/client", {"scopes": list(names)})

    async def set_bot_enabled(self, enabled: bool) -> None:
        await self._call("PUT", "/client", {"enabled": enabled})

    async def allow_redirect(self, uri: str) -> None:
        now = (await self._call("PUT", "/client", {}))["redirect_uris"]
        await self._call("PUT", "/client", {"redirect_uris": [*now, uri]})

    async def create_service_account(
        self, client_id: str, secret: str, *, roles: Collection[str] = (), groups: Collection[str] = ()
    ) -> str:
        body = {"secret": secret, "realm_roles": list(roles), "groups": list(groups)}
        return str((await self._call("PUT", f"/clients/{client_id}", body))["id"])

    async def set_duplicate_emails_allowed(self, allowed: bool) -> None:
        await self._call("PUT", "/realm", {"duplicate_emails": allowed})
