"""The realm in memory: people, groups, roles and the bot's client, read from a realm export."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REALM_FILE = Path(__file__).with_name("realm-cdm.json")

_COMPOSITE_RIGHTS = {
    "view-users": {"view-users", "query-users", "query-groups"},
    "view-clients": {"view-clients", "query-clients"},
}


@dataclass(slots=True)
class Role:
    name: str
    description: str = ""
    parts: set[str] = field(default_factory=set)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class Group:
    name: str
    parent: Group | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def path(self) -> str:
        """A slash in a name is not escaped: `cust/omer-a` shows as `/cust/omer-a`."""
        return f"{self.parent.path if self.parent else ''}/{self.name}"

    @property
    def line(self) -> list[Group]:
        """This group and those above it."""
        return [self, *(self.parent.line if self.parent else [])]


@dataclass(slots=True)
class User:
    username: str
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    enabled: bool = True
    email_verified: bool = False
    attributes: dict[str, list[str]] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    groups: list[Group] = field(default_factory=list)
    password: str | None = None
    service_client: str = ""
    rights: set[str] = field(default_factory=set)
    """Roles of the client realm-management held by a service account."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_ms: int = field(default_factory=lambda: int(time.time() * 1000))

    @property
    def effective_rights(self) -> set[str]:
        return {right for held in self.rights for right in _COMPOSITE_RIGHTS.get(held, {held})}

    def may(self, right: str) -> bool:
        return right in self.effective_rights


@dataclass(slots=True)
class Client:
    id: str
    secret: str
    redirect_uris: list[str]
    enabled: bool
    pkce: bool
    device_grant: bool
    name: str
    scopes: set[str] = field(default_factory=lambda: {"basic", "acr"})
    """Of the client scopes that a realm may lack, those this client has by default."""


class Taken(Exception):
    """409: the user name or the e-mail address is in use."""


class Realm:
    def __init__(self, export: Mapping[str, Any]) -> None:
        self.name = str(export["realm"])
        self.title = str(export["displayName"])
        self.default_role = f"default-roles-{self.name}"
        self.duplicate_emails = bool(export["duplicateEmailsAllowed"])
        self.device_life_s = int(export["oauth2DeviceCodeLifespan"])
        self.device_interval_s = int(export["oauth2DevicePollingInterval"])
        self.token_life_s = int(export["accessTokenLifespan"])
        self._declared_attributes = _declared_attributes(export)
        self.roles = {
            name: Role(name, f"${{role_{name.replace('_', '-')}}}") for name in ("offline_access", "uma_authorization")
        }
        self.roles[self.default_role] = Role(self.default_role, "${role_default-roles}", set(self.roles))
        for role in export["roles"]["realm"]:
            parts = set(role.get("composites", {}).get("realm", ()))
            self.roles[role["name"]] = Role(role["name"], role.get("description", ""), parts)
        self.groups: list[Group] = []
        self._import_groups(export["groups"], None)
        self.clients = {c["clientId"]: _client(c) for c in export["clients"]}
        self.users: dict[str, User] = {}
        for user in export["users"]:
            self._import_user(user)

    @classmethod
    def load(cls, file: Path = REALM_FILE, env: Mapping[str, str] | None = None) -> Realm:
        """Read an export, with `${NAME:default}` replaced from the environment as Keycloak's import does."""
        known = os.environ if env is None else env

        def replaced(found: re.Match[str]) -> str:
            return json.dumps(known.get(found[1], found[2]))[1:-1]

        return cls(json.loads(re.sub(r"\$\{(\w+):([^}]*)\}", replaced, file.read_text())))

    def _import_groups(self, listed: Iterable[Mapping[str, Any]], parent: Group | None) -> None:
        for item in listed:
            group = Group(item["name"], parent, item.get("attributes", {}), set(item.get("realmRoles", ())))
            self.groups.append(group)
            self._import_groups(item.get("subGroups", ()), group)

    def _import_user(self, item: Mapping[str, Any]) -> None:
        password = next((c["value"] for c in item.get("credentials", ()) if c["type"] == "password"), None)
        self.add(
            User(
                username=item["username"],
                email=item.get("email", ""),
                first_name=item.get("firstName", ""),
                last_name=item.get("lastName", ""),
                enabled=item["enabled"],
                email_verified=item.get("emailVerified", False),
                attributes=item.get("attributes", {}),
                roles=set(item.get("realmRoles", ())),
                password=password,
                service_client=item.get("serviceAccountClientId", ""),
                rights=set(item.get("clientRoles", {}).get("realm-management", ())),
            ),
            item.get("groups", ()),
        )

    def add(self, user: User, group_paths: Collection[str] = ()) -> None:
        """E-mail addresses are stored in lower case."""
        user.email = user.email.lower()
        if self.by_username(user.username):
            raise Taken("User exists with same username")
        if user.email and not self.duplicate_emails and any(u.email == user.email for u in self.users.values()):
            raise Taken("User exists with same email")
        user.attributes = self.declared(user.attributes)
        user.groups = [self.group(path) for path in group_paths]
        self.users[user.id] = user

    def declared(self, attributes: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Those of the user profile; others are dropped without a word."""
        return {k: v for k, v in attributes.items() if k in self._declared_attributes}

    def by_username(self, username: str) -> User | None:
        return next((u for u in self.users.values() if u.username == username.lower()), None)

    def by_login(self, typed: str) -> User | None:
        """By user name, or by e-mail address unless addresses may be double."""
        by_email = (u for u in self.users.values() if u.email and u.email == typed.lower())
        return self.by_username(typed) or (None if self.duplicate_emails else next(by_email, None))

    def group(self, path: str) -> Group:
        """By walking the names between slashes, so that a group with a slash in its name is never found (KeyError)."""
        found = next((g for g in self.groups if g.path == path and "/" not in "".join(x.name for x in g.line)), None)
        if found is None:
            raise KeyError(path)
        return found

    def effective_roles(self, user: User) -> list[Role]:
        """Direct, by group and by the groups above it, and what composites bring; the same for a disabled user."""
        todo = {*user.roles, *(role for group in user.groups for above in group.line for role in above.roles)}
        done: set[str] = set()
        while todo:
            name = todo.pop()
            done.add(name)
            todo |= self.roles[name].parts - done
        return [self.roles[name] for name in self.roles if name in done]

    def service_account(self, client_id: str) -> User:
        return next(u for u in self.users.values() if u.service_client == client_id)


def _declared_attributes(export: Mapping[str, Any]) -> set[str]:
    (provider,) = export["components"]["org.keycloak.userprofile.UserProfileProvider"]
    (profile,) = provider["config"]["kc.user.profile.config"]
    built_in = {"username", "email", "firstName", "lastName"}
    return {a["name"] for a in json.loads(profile)["attributes"]} - built_in


def _client(item: Mapping[str, Any]) -> Client:
    more = item.get("attributes", {})
    return Client(
        id=item["clientId"],
        secret=item["secret"],
        redirect_uris=list(item["redirectUris"]),
        enabled=item["enabled"],
        pkce=more.get("pkce.code.challenge.method") == "S256",
        device_grant=more.get("oauth2.device.authorization.grant.enabled") == "true",
        name=item.get("name", item["clientId"]),
    )
