"""A client that acts in its own name: who it is, and what is read of it."""

from __future__ import annotations

import pytest

from core.errors import OutsideError
from core.ids import Subject
from integrations.clock import SystemClock
from integrations.keycloak.roles import KeycloakRoles
from integrations.keycloak.service_account import ServiceAccount
from sandbox.wire import WireServer
from tests.contract.keycloak.conftest import unique
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm

SECRET = "lab-only-service-secret"


async def proven(url: str, client: str, secret: str = SECRET) -> Subject:
    account = ServiceAccount(server_url=url, realm="cdm", client_id=client, client_secret=lambda: secret, timeout_s=10)
    try:
        return await account.prove()
    finally:
        await account.aclose()


async def test_it_is_the_clients_account_and_its_rights_are_read_as_a_persons(realm: Realm) -> None:
    client = unique("deploy")
    made = await realm.create_service_account(client, SECRET, roles=["cdm-operator"], groups=["/customer-a"])
    subject = await proven(realm.url, client)
    assert subject == made
    for named, told in (((client,), client), ((), "")):
        roles = KeycloakRoles(
            server_url=realm.url,
            realm=realm.name,
            client_id=CLIENT_ID,
            client_secret=lambda: CLIENT_SECRET,
            clock=SystemClock(),
            timeout_s=10,
            service_accounts=named,
        )
        found = await roles.authority(subject)
        await roles.aclose()
        assert found is not None
        assert (found.enabled, found.email, found.email_verified) == (True, "", False)
        assert found.groups == {"/customer-a"}
        assert "cdm-operator" in found.realm_roles
        assert found.service_account == told


async def test_a_person_named_like_one_is_a_person(realm: Realm) -> None:
    client = unique("nobody")
    user = await realm.create_user(f"service-account-{client}", email_verified=False)
    roles = KeycloakRoles(
        server_url=realm.url,
        realm=realm.name,
        client_id=CLIENT_ID,
        client_secret=lambda: CLIENT_SECRET,
        clock=SystemClock(),
        timeout_s=10,
        service_accounts=[client],
    )
    found = await roles.authority(Subject(user))
    await roles.aclose()
    assert found is not None
    assert found.service_account == ""


async def test_a_wrong_secret_and_a_client_that_is_not_there_say_what_to_check(realm: Realm) -> None:
    client = unique("deploy")
    await realm.create_service_account(client, SECRET)
    for name, secret in ((client, "wrong"), (unique("none"), SECRET)):
        with pytest.raises(OutsideError, match=f"refused the service account of the client {name}") as refused:
            await proven(realm.url, name, secret)
        assert refused.value.reason == "login_refused"


@pytest.mark.parametrize("body", [{}, {"access_token": "no token"}, {"access_token": 5}, []])
async def test_an_odd_answer_proves_nothing(broken: tuple[WireServer, Realm], body: object) -> None:
    server, _ = broken
    server.faults.add("status", "/token", status=200, body=body)
    with pytest.raises(OutsideError) as odd:
        await proven(server.url, CLIENT_ID, CLIENT_SECRET)
    assert odd.value.reason == "odd_answer"


async def test_without_keycloak_it_is_nobody(broken: tuple[WireServer, Realm]) -> None:
    server, _ = broken
    server.faults.add("lost_request")
    with pytest.raises(OutsideError, match="was not reached when logging the service account in"):
        await proven(server.url, CLIENT_ID, CLIENT_SECRET)
