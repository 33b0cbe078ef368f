"""What Keycloak does not do on demand: a slow one, a proxy in between, a wrong answer. Each one means no.

The real server has a proxy in front of it, which does these things; the rest of each reading is the server's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from core.errors import OutsideError
from core.ids import Subject
from integrations.clock import SystemClock
from integrations.keycloak.login import KeycloakLogin
from integrations.keycloak.roles import MOST_GROUPS, KeycloakRoles
from sandbox.keycloak.app import create_app
from sandbox.wire import WireServer
from tests.contract.keycloak.conftest import once
from tests.keycloak.proxy import proxy_to
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm
from tests.keycloak.standin import StandInRealm

pytestmark = pytest.mark.alone

USER = r"GET /admin/realms/cdm/users/[^/]+$"
ROLES, GROUPS, TOKEN = "role-mappings", "/groups", "POST .*/token"
PAGE = "<html><body>Sign in to the company proxy</body></html>"
SOMEBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def keycloak(broken: tuple[WireServer, Realm]) -> WireServer:
    return broken[0]


@once()
async def quick(keycloak: WireServer) -> AsyncIterator[KeycloakRoles]:
    roles = adapter(keycloak.url, timeout_s=1.0)
    yield roles
    await roles.aclose()


@once()
async def patient(keycloak: WireServer) -> AsyncIterator[KeycloakRoles]:
    roles = adapter(keycloak.url, timeout_s=10.0)
    yield roles
    await roles.aclose()


@once()
async def bob(broken: tuple[WireServer, Realm]) -> Subject:
    return Subject(await broken[1].user_id("bob"))


def adapter(server_url: str, *, timeout_s: float) -> KeycloakRoles:
    return KeycloakRoles(
        server_url=server_url,
        realm="cdm",
        client_id=CLIENT_ID,
        client_secret=lambda: CLIENT_SECRET,
        clock=SystemClock(),
        timeout_s=timeout_s,
    )


async def error_of(roles: KeycloakRoles, subject: Subject) -> OutsideError:
    with pytest.raises(OutsideError) as raised:
        await roles.authority(subject)
    return raised.value


@pytest.mark.parametrize("where", [USER, ROLES, GROUPS, TOKEN])
async def test_no_answer_in_time_is_no(keycloak: WireServer, quick: KeycloakRoles, bob: Subject, where: str) -> None:
    keycloak.faults.add("late_answer", where, delay_s=30)
    began = time.monotonic()
    error = await error_of(quick, bob)
    assert (error.reason, error.retryable) == ("unavailable", True)
    assert time.monotonic() - began < 1.6


@pytest.mark.parametrize("where", [USER, ROLES, GROUPS, TOKEN])
async def test_a_cut_connection_is_no(keycloak: WireServer, quick: KeycloakRoles, bob: Subject, where: str) -> None:
    keycloak.faults.add("lost_request", where)
    assert (await error_of(quick, bob)).reason == "unavailable"


@pytest.mark.parametrize("where", [USER, ROLES, GROUPS, TOKEN])
async def test_each_refusal_keeps_its_kind(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject, where: str
) -> None:
    kinds = {401: "not_allowed", 403: "not_allowed", 429: "rate_limited", 500: "unavailable", 503: "unavailable"}
    for status, reason in kinds.items():
        keycloak.faults.clear()
        keycloak.faults.add("status", where, status=status, body={"error": f"HTTP {status}"})
        assert (await error_of(quick, bob)).reason == reason, status


@pytest.mark.parametrize("where", [USER, ROLES, GROUPS, TOKEN])
async def test_a_200_that_is_not_keycloaks_is_no(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject, where: str
) -> None:
    """A proxy's page came back from the library as a list of integers, an empty body as no groups."""
    bodies = [PAGE, "", "{}", "null", "7", "[1, 2]", '["x"]', '[{"name": 7}]', "[{}]"]
    for body in bodies if where in (ROLES, GROUPS) else [*bodies, "[]"]:
        keycloak.faults.clear()
        headers = {"Content-Type": "text/html"} if body == PAGE else {}
        keycloak.faults.add("status", where, status=200, body=body, headers=headers)
        assert (await error_of(quick, bob)).reason == "odd_answer", body


async def test_a_person_with_a_wrong_field_is_no(keycloak: WireServer, quick: KeycloakRoles, bob: Subject) -> None:
    good = {"id": bob, "username": "bob", "email": "b@cdm.example", "emailVerified": True, "enabled": True}
    changes: list[dict[str, Any]] = [
        *({"enabled": wrong} for wrong in (None, "true", 1)),
        *({"emailVerified": wrong} for wrong in (None, "false", 1)),
        *({"username": wrong} for wrong in (None, "", 7)),
        *({"id": wrong} for wrong in (None, SOMEBODY, "../groups")),
        {"email": 7},
    ]
    for change in changes:
        keycloak.faults.clear()
        wrong = {k: v for k, v in {**good, **change}.items() if v is not None}
        keycloak.faults.add("status", USER, status=200, body=wrong)
        assert (await error_of(quick, bob)).reason == "odd_answer", change


async def test_a_role_of_a_client_is_no_realm_role(keycloak: WireServer, quick: KeycloakRoles, bob: Subject) -> None:
    listed = [{"name": "cdm-admin", "clientRole": True}, {"name": "cdm-viewer", "clientRole": False}]
    keycloak.faults.add("status", ROLES, status=200, body=listed)
    found = await quick.authority(bob)
    assert found is not None
    assert found.realm_roles == {"cdm-viewer"}


async def test_more_groups_than_one_page_are_not_read_in_part(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject
) -> None:
    group = {"id": SOMEBODY, "name": "g", "path": "/g"}
    keycloak.faults.add("status", GROUPS, status=200, body=[group] * MOST_GROUPS)
    assert (await error_of(quick, bob)).reason == "odd_answer"


@pytest.mark.parametrize(
    ("body", "reason"),
    [({"error": "Realm not found."}, "realm_not_found"), (PAGE, "odd_answer"), (None, "odd_answer")],
)
async def test_only_keycloaks_own_404_means_deleted(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject, body: Any, reason: str
) -> None:
    keycloak.faults.add("status", USER, status=404, body=body)
    assert (await error_of(quick, bob)).reason == reason


async def test_a_person_deleted_between_the_three_reads_is_none(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject
) -> None:
    keycloak.faults.add("status", GROUPS, status=404, body={"error": "User not found"})
    assert await quick.authority(bob) is None


async def test_twenty_readings_at_once_ask_for_one_token(
    keycloak: WireServer, patient: KeycloakRoles, bob: Subject
) -> None:
    """The library alone made twenty requests for twenty calls with an expired token."""
    seen = keycloak.faults.add("late_answer", TOKEN, delay_s=0.05)
    found = await _all_at_once(patient, bob, 20)
    assert found == ["bob"] * 20
    assert seen.hits == 1


async def test_a_token_refused_in_mid_life_is_renewed_once_for_all(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject
) -> None:
    assert await _all_at_once(quick, bob, 1) == ["bob"]
    seen = keycloak.faults.add("late_answer", TOKEN, delay_s=0.05)
    keycloak.faults.add("status", "GET /admin", status=401, body={"error": "HTTP 401 Unauthorized"}, times=12)
    assert await _all_at_once(quick, bob, 4) == ["bob"] * 4
    assert seen.hits == 1


async def test_many_readings_during_an_outage_all_end_in_time(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject
) -> None:
    """They queue for the one token, but none waits longer than its own time-out."""
    keycloak.faults.add("late_answer", TOKEN, delay_s=30)
    began = time.monotonic()
    assert await _all_at_once(quick, bob, 20) == ["unavailable"] * 20
    assert time.monotonic() - began < 2


async def test_it_recovers_by_itself(keycloak: WireServer, quick: KeycloakRoles, bob: Subject) -> None:
    keycloak.faults.add("lost_request")
    assert (await error_of(quick, bob)).reason == "unavailable"
    keycloak.faults.clear()
    assert await _all_at_once(quick, bob, 1) == ["bob"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("kind", ["stand-in", "real"])
async def test_a_path_in_the_address_is_kept_with_and_without_its_last_slash(
    request: pytest.FixtureRequest, kind: str, slash: str
) -> None:
    """The library drops `/auth` without a word if the slash is missing."""
    async with AsyncExitStack() as stack:
        if kind == "real":
            realm: Realm = request.getfixturevalue("real_realm")
            below = (await stack.enter_async_context(proxy_to(realm.url, below="/auth"))).server
        else:
            below = await stack.enter_async_context(WireServer(create_app(base_path="/auth")))
            realm = StandInRealm(below.url)
        bob = Subject(await realm.user_id("bob"))
        roles = adapter(f"{below.url}/auth{slash}", timeout_s=10)
        stack.push_async_callback(roles.aclose)
        assert await _all_at_once(roles, bob, 1) == ["bob"]
        login = KeycloakLogin(
            server_url=f"{below.url}/auth{slash}",
            realm="cdm",
            client_id=CLIENT_ID,
            client_secret=lambda: CLIENT_SECRET,
            clock=SystemClock(),
        )
        stack.push_async_callback(login.aclose)
        assert login.issuer == f"{below.url}/auth/realms/cdm"


async def test_no_error_repeats_what_keycloak_sent_or_the_secret(
    keycloak: WireServer, quick: KeycloakRoles, bob: Subject
) -> None:
    for status in (200, 400, 403, 404, 500):
        keycloak.faults.clear()
        keycloak.faults.add("status", USER, status=status, body=PAGE)
        text = (await error_of(quick, bob)).user_text
        assert "proxy" not in text
        assert CLIENT_SECRET not in text


async def _all_at_once(roles: KeycloakRoles, subject: Subject, count: int) -> list[str]:
    async def one() -> str:
        try:
            found = await roles.authority(subject)
        except OutsideError as error:
            return error.reason
        return found.username if found else "deleted"

    return list(await asyncio.gather(*(one() for _ in range(count))))
