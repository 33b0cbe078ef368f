#!/usr/bin/env python3
"""Makes in a Keycloak realm what the bot needs (settings.json, beside this): its client with the one right of its
service account, the client scopes that prove when and how somebody logged in, the roles, and a login flow whose level
`fresh` always asks for the password. A repeat changes only what is missing. Python 3.9 or newer, nothing to install.

    apply.py https://keycloak.example.com cdm https://cdm-bot.example.com secrets/keycloak-client-secret

With --tenant customer-a it makes the group /customer-a too, for people to be put in.

Asks for the password of the administrator (KEYCLOAK_ADMIN, by default admin, of realm master), unless
KEYCLOAK_ADMIN_PASSWORD_FILE names a file with it. The client's secret is written to the file named last (mode 600).
What is there already under one of these names is kept: a flow bot-stepup of your own (with a second factor, say), a
group, a role, the user profile, other redirect addresses of the client.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

SETTINGS = json.loads(Path(__file__).with_name("settings.json").read_text(encoding="utf-8"))


class Realm:
    """The admin API of one realm. `changes` is all that was changed, in words."""

    def __init__(self, server: str, name: str, user: str, password: str) -> None:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": user, "password": password}
        login = f"{server.rstrip('/')}/realms/master/protocol/openid-connect/token"
        with urlopen(Request(login, data=urlencode(form).encode()), timeout=30) as answer:  # noqa: S310
            self._bearer = f"Bearer {json.loads(answer.read())['access_token']}"
        self._base = f"{server.rstrip('/')}/admin/realms/{quote(name)}"
        self.changes: list[str] = []

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer, or the id of what was made. Raises HTTPError for every answer that is no success."""
        request = Request(  # noqa: S310 - the address is the caller's own
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self._bearer, "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            content, made = answer.read(), answer.headers.get("Location")
        return json.loads(content) if content else (made or "").rpartition("/")[2]

    def change(self, what: str, method: str, path: str, body: Any = None) -> Any:
        done = self.call(method, path, body)
        self.changes.append(what)
        return done


def apply(realm: Realm, public_url: str, tenants: list[str]) -> str:
    """Everything, in an order in which a repeat goes on where this one was ended. Answers the client's secret."""
    levels(realm)
    for role in missing(realm.call("GET", "/roles?max=1000"), SETTINGS["roles"]):
        realm.change(f"role {role['name']}", "POST", "/roles", role)
    for tenant in missing(realm.call("GET", "/groups?max=1000"), [{"name": name} for name in tenants]):
        realm.change(f"group /{tenant['name']}", "POST", "/groups", tenant)
    for scope in missing(realm.call("GET", "/client-scopes"), SETTINGS["clientScopes"]):
        realm.change(f"client scope {scope['name']}", "POST", "/client-scopes", scope)
    id = client(realm, f"{public_url.rstrip('/')}/oidc/callback", flow(realm))
    scopes_of(realm, id)
    rights(realm, id)
    return str(realm.call("GET", f"/clients/{id}/client-secret")["value"])


def missing(there: list[Any], wanted: list[Any]) -> list[Any]:
    names = {item["name"] for item in there}
    return [item for item in wanted if item["name"] not in names]


def levels(realm: Realm) -> None:
    """The names of the levels of a login. Those the realm has already keep their numbers."""
    attributes = realm.call("GET", "")["attributes"]
    there = json.loads(attributes.get("acr.loa.map", "{}"))
    wanted = {**SETTINGS["attributes"]["acr.loa.map"], **there}
    if wanted != there:
        attributes["acr.loa.map"] = json.dumps(wanted)
        realm.change("login levels pwd and fresh", "PUT", "", {"attributes": attributes})


def flow(realm: Realm) -> str:
    """The id of the login flow. One that was left half made is made anew."""
    wanted = SETTINGS["flow"]
    for there in realm.call("GET", "/authentication/flows"):
        if there["alias"] == wanted["alias"]:
            if len(realm.call("GET", f"/authentication/flows/{there['alias']}/executions")) >= steps(wanted):
                return str(there["id"])
            realm.call("DELETE", f"/authentication/flows/{there['id']}")
    id = str(realm.call("POST", "/authentication/flows", flow_of(wanted, top=True)))
    fill(realm, id, wanted)
    realm.changes.append(f"login flow {wanted['alias']}")
    return id


def steps(wanted: Any) -> int:
    return sum(1 + steps(part) for part in wanted.get("executions", ()))


def fill(realm: Realm, parent: str, wanted: Any) -> None:
    for number, part in enumerate(wanted["executions"]):
        step = {"parentFlow": parent, "requirement": part["requirement"], "priority": number}
        if "alias" in part:
            inner = str(realm.call("POST", "/authentication/flows", flow_of(part, top=False)))
            realm.call("POST", "/authentication/executions", {**step, "flowId": inner, "authenticatorFlow": True})
            fill(realm, inner, part)
            continue
        id = realm.call("POST", "/authentication/executions", {**step, "authenticator": part["authenticator"]})
        if "config" in part:
            config = {"alias": f"{wanted['alias']}-level", "config": part["config"]}
            realm.call("POST", f"/authentication/executions/{id}/config", config)


def flow_of(wanted: Any, *, top: bool) -> Any:
    return {
        "alias": wanted["alias"],
        "description": wanted.get("description", ""),
        "providerId": "basic-flow",
        "topLevel": top,
        "builtIn": False,
    }


def client(realm: Realm, redirect: str, flow_id: str) -> str:
    """The id of the bot's client, made, or brought to the settings: what they do not name is kept."""
    wanted = {**SETTINGS["client"], "authenticationFlowBindingOverrides": {"browser": flow_id}}
    name = wanted["clientId"]
    found = realm.call("GET", f"/clients?clientId={quote(name)}")
    if not found:
        made = {**wanted, "redirectUris": [redirect], "webOrigins": []}
        return str(realm.change(f"client {name}", "POST", "/clients", made))
    there = found[0]
    mappers = missing(there.get("protocolMappers", []), wanted.pop("protocolMappers"))
    changed = {**there, **wanted, "attributes": {**there["attributes"], **wanted["attributes"]}}
    changed["authenticationFlowBindingOverrides"].update(there["authenticationFlowBindingOverrides"])
    changed["redirectUris"] = sorted({*there["redirectUris"], redirect})
    if changed != {**there, "redirectUris": sorted(there["redirectUris"])}:
        realm.change(f"settings of client {name}", "PUT", f"/clients/{there['id']}", changed)
    for mapper in mappers:
        what = f"mapper {mapper['name']} of client {name}"
        realm.change(what, "POST", f"/clients/{there['id']}/protocol-mappers/models", mapper)
    return str(there["id"])


def scopes_of(realm: Realm, id: str) -> None:
    known = {scope["name"]: scope["id"] for scope in realm.call("GET", "/client-scopes")}
    has = {scope["name"] for scope in realm.call("GET", f"/clients/{id}/default-client-scopes")}
    for name in SETTINGS["defaultClientScopes"]:
        if name not in known:
            raise LookupError(f"the realm has no client scope {name}: make it as in a new realm, then repeat")
        if name not in has:
            realm.change(f"client's scope {name}", "PUT", f"/clients/{id}/default-client-scopes/{known[name]}")


def rights(realm: Realm, id: str) -> None:
    """view-users and nothing more: it brings query-users and query-groups. With manage-users the bot could give itself
    any role, with view-clients it could read every client's secret; `cdm config check --probe` warns of both."""
    account = realm.call("GET", f"/clients/{id}/service-account-user")["id"]
    (management,) = realm.call("GET", "/clients?clientId=realm-management")
    path = f"/users/{account}/role-mappings/clients/{management['id']}"
    for role in missing(realm.call("GET", path), [{"name": name} for name in SETTINGS["serviceAccountRoles"]]):
        full = realm.call("GET", f"/clients/{management['id']}/roles/{role['name']}")
        realm.change(f"right {role['name']} of the service account", "POST", path, [full])


def write_secret(file: Path, secret: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        os.fchmod(descriptor, 0o600)
        out.write(secret + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make in a Keycloak realm what the bot needs.")
    parser.add_argument("server", help="Keycloak's address")
    parser.add_argument("realm")
    parser.add_argument("public_url", help="the bot's server.public_url")
    parser.add_argument("secret_file", type=Path, help="gets the client's secret")
    parser.add_argument("--tenant", action="append", default=[], metavar="NAME", help="make the group /NAME")
    given = parser.parse_args()
    user, file = os.environ.get("KEYCLOAK_ADMIN", "admin"), os.environ.get("KEYCLOAK_ADMIN_PASSWORD_FILE")
    try:
        password = Path(file).read_text().strip() if file else getpass.getpass(f"Password of {user}: ")
        realm = Realm(given.server, given.realm, user, password)
        secret = apply(realm, given.public_url, given.tenant)
        write_secret(given.secret_file, secret)
    except HTTPError as error:
        sys.exit(f"Keycloak answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except (URLError, LookupError, OSError) as error:
        sys.exit(str(error))
    sys.stdout.write("".join(f"made {change}\n" for change in realm.changes) or "nothing to change\n")
    sys.stdout.write(f"The secret of client {SETTINGS['client']['clientId']} is in {given.secret_file}\n")


if __name__ == "__main__":
    main()
