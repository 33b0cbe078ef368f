"""The adapter behind the port `Roles`: one live answer, or an error that means no."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.access import Authority
from core.errors import NotAllowed, OutsideError, Refused
from core.ids import Subject
from integrations.clock import SystemClock
from integrations.keycloak.probe import Probe
from integrations.keycloak.roles import KeycloakRoles
from tests.contract.keycloak.conftest import unique
from tests.keycloak.realm import CLIENT_ID, CLIENT_SECRET, Realm

DEFAULT = {"default-roles-cdm", "offline_access", "uma_authorization"}


async def read(roles: KeycloakRoles, user_id: str) -> Authority:
    found = await roles.authority(Subject(user_id))
    assert found is not None
    return found


def adapter(realm: Realm, *, name: str = "cdm", secret: str = CLIENT_SECRET, admin_subgroup: str = "") -> KeycloakRoles:
    return KeycloakRoles(
        server_url=realm.url,
        realm=name,
        client_id=CLIENT_ID,
        client_secret=lambda: secret,
        clock=SystemClock(),
        timeout_s=10,
        admin_subgroup=admin_subgroup,
    )


async def test_one_reading_says_flags_effective_roles_and_full_paths(realm: Realm, roles: KeycloakRoles) -> None:
    name = unique("frank")
    user = await realm.create_user(name, roles=["shift-lead"], groups=["/customer-b", "/customer-c/operators"])
    found = await read(roles, user)
    assert (found.subject, found.username, found.email) == (user, name, f"{name}@cdm.example")
    assert (found.enabled, found.email_verified) == (True, True)
    assert found.realm_roles == {*DEFAULT, "shift-lead", "cdm-operator", "cdm-viewer"}
    assert found.groups == {"/customer-b", "/customer-c/operators"}
    assert timedelta(0) <= datetime.now(UTC) - found.read_at < timedelta(minutes=1)


async def test_disabled_and_unverified_are_said_with_the_roles(realm: Realm, roles: KeycloakRoles) -> None:
    user = await realm.create_user(unique("dave"), roles=["cdm-admin"], enabled=False, email_verified=False)
    found = await read(roles, user)
    assert (found.enabled, found.email_verified) == (False, False)
    assert "cdm-admin" in found.realm_roles


async def test_every_change_shows_in_the_next_reading(realm: Realm, roles: KeycloakRoles) -> None:
    user = await realm.create_user(unique("live"), roles=["cdm-operator"], groups=["/customer-a"])
    assert (await read(roles, user)).realm_roles == {*DEFAULT, "cdm-operator"}
    await realm.set_roles(user, [])
    await realm.set_groups(user, ["/customer-b"])
    await realm.set_enabled(user, False)
    found = await read(roles, user)
    assert found.realm_roles == DEFAULT
    assert found.groups == {"/customer-b"}
    assert found.enabled is False


async def test_a_deleted_person_is_none(realm: Realm, roles: KeycloakRoles) -> None:
    user = await realm.create_user(unique("gone"))
    await read(roles, user)
    await realm.delete_user(user)
    assert await roles.authority(Subject(user)) is None


@pytest.mark.parametrize(
    "subject", ["../groups", "", "bob", "..", "%2e%2e", "x/../y", "{0}/groups", "{0}?x=1", "{0}\n"]
)
async def test_only_a_user_id_is_ever_put_in_a_path(realm: Realm, roles: KeycloakRoles, subject: str) -> None:
    """The library does not escape path segments: "../groups" would be fetched as it stands."""
    user = await realm.user_id("bob")
    with pytest.raises(Refused) as refused:
        await roles.authority(Subject(subject.format(user)))
    assert refused.value.reason == "not_a_subject"


async def test_a_group_is_its_path_and_not_its_name(realm: Realm, roles: KeycloakRoles) -> None:
    top = unique("evil")
    await realm.create_group(f"/{top}/customer-b")
    user = await realm.create_user(unique("mallory"), groups=[f"/{top}/customer-b"])
    assert (await read(roles, user)).groups == {f"/{top}/customer-b"}


async def test_a_group_whose_name_holds_a_slash_passes_for_nothing(realm: Realm, roles: KeycloakRoles) -> None:
    """It would show as a subgroup of the tenant; so would a group below it."""
    name = f"customer-a/{unique('x')}"
    await realm.create_group(f"/{name}", name=name)
    await realm.create_group(f"/{name}/deep")
    user = await realm.create_user(unique("mallory"), groups=["/customer-b"])
    await realm.join_group(user, f"/{name}")
    await realm.join_group(user, f"/{name}/deep")
    assert (await read(roles, user)).groups == {"/customer-b"}


async def test_a_deeply_nested_group_is_kept(realm: Realm, roles: KeycloakRoles) -> None:
    path = f"/customer-a/site-north/{unique('hall')} & co"
    await realm.create_group(path)
    user = await realm.create_user(unique("deep"), groups=[path])
    assert (await read(roles, user)).groups == {path}


async def test_concurrent_readings_are_answered_each_with_its_own_person(realm: Realm, roles: KeycloakRoles) -> None:
    people = {name: await realm.user_id(name) for name in ("alice", "bob", "carol", "erin", "frank", "ivan")}
    found = await asyncio.gather(*(read(roles, user) for user in list(people.values()) * 5))
    assert [authority.username for authority in found] == list(people) * 5


async def test_the_admins_of_a_tenant_are_its_enabled_members_with_the_role(realm: Realm, roles: KeycloakRoles) -> None:
    path = f"/{unique('tenant')}"
    await realm.create_group(path)
    admin, off, operator = unique("pa-admin"), unique("pb-off"), unique("pc-oper")
    await realm.create_user(admin, roles=["cdm-admin"], groups=[path])
    await realm.create_user(off, roles=["cdm-admin"], groups=[path], enabled=False)
    await realm.create_user(operator, roles=["cdm-operator"], groups=[path])
    assert await roles.admins_of(path) == (admin,)
    assert await roles.admins_of(path, limit=1) == (admin,)
    assert await roles.admins_of(f"{path}-none") == ()


async def test_by_subgroup_the_admins_are_the_subgroups_members(realm: Realm) -> None:
    path = f"/{unique('tenant')}"
    await realm.create_group(f"{path}/admins")
    admin, outsider = unique("boss"), unique("outsider")
    await realm.create_user(admin, groups=[f"{path}/admins"])
    await realm.create_user(outsider, roles=["cdm-admin"], groups=[path])
    roles = adapter(realm, admin_subgroup="admins")
    assert await roles.admins_of(path) == (admin,)
    await roles.aclose()


@pytest.mark.parametrize("rights", [["query-users"], []])
async def test_an_under_privileged_bot_says_so_instead_of_no_such_person(
    realm: Realm, roles: KeycloakRoles, rights: list[str]
) -> None:
    user = await realm.user_id("bob")
    await read(roles, user)
    await realm.set_bot_rights(rights)
    try:
        with pytest.raises(NotAllowed) as refused:
            await roles.authority(Subject(user))
        with pytest.raises(NotAllowed):
            await roles.admins_of("/customer-a")
        probe = await roles.probe(["/customer-a"])
    finally:
        await realm.set_bot_rights(["view-users"])
    assert "view-users" in refused.value.user_text
    assert not probe.reads_people
    assert (await read(roles, user)).username == "bob"


async def test_the_probe_is_content_with_view_users_and_names_missing_groups(roles: KeycloakRoles) -> None:
    assert await roles.probe(["/customer-a", "/customer-c/operators"]) == Probe(reads_people=True)
    found = await roles.probe(["/customer-a", "/customer-z"])
    assert found == Probe(reads_people=True, missing_groups=("/customer-z",))


@pytest.mark.parametrize(
    ("rights", "too_much"),
    [
        (["view-clients"], ("view-clients",)),
        (["manage-users", "view-events"], ("manage-users", "view-events")),
        (["view-realm"], ("view-realm",)),
        (["impersonation", "create-client"], ("create-client", "impersonation")),
        (["query-clients"], ("query-clients",)),
    ],
)
async def test_the_probe_names_every_right_beyond_those_needed(
    realm: Realm, roles: KeycloakRoles, rights: list[str], too_much: tuple[str, ...]
) -> None:
    """A token tells the rights it was made with: the probe's adapter is a new one."""
    await realm.set_bot_rights(["view-users", *rights])
    fresh = adapter(realm)
    try:
        assert (await fresh.probe([])).too_much == too_much
    finally:
        await realm.set_bot_rights(["view-users"])
        await fresh.aclose()


async def test_a_right_that_no_token_tells_is_found_by_reading_what_must_be_forbidden(
    realm: Realm, roles: KeycloakRoles
) -> None:
    """This adapter's token was made before, as the tokens are of a realm that keeps rights out of them."""
    assert (await roles.probe([])).too_much == ()
    await realm.set_bot_rights(["view-users", "view-clients", "view-realm"])
    try:
        assert (await roles.probe([])).too_much == ("view-clients", "view-realm")
    finally:
        await realm.set_bot_rights(["view-users"])


@pytest.mark.parametrize(("kept", "missing"), [(["basic"], ("acr",)), (["acr"], ("basic",)), ([], ("basic", "acr"))])
async def test_the_probe_names_the_scopes_without_which_no_login_is_provably_fresh(
    realm: Realm, roles: KeycloakRoles, kept: list[str], missing: tuple[str, ...]
) -> None:
    await realm.set_bot_scopes(kept)
    try:
        assert (await roles.probe([])).missing_scopes == missing
    finally:
        await realm.set_bot_scopes(["basic", "acr"])
    assert (await roles.probe([])).missing_scopes == ()


async def test_a_bot_disabled_in_keycloak_gets_nothing_more(realm: Realm, roles: KeycloakRoles) -> None:
    user = await realm.user_id("bob")
    await read(roles, user)
    await realm.set_bot_enabled(False)
    try:
        with pytest.raises(NotAllowed):
            await roles.authority(Subject(user))
    finally:
        await realm.set_bot_enabled(True)
    assert (await read(roles, user)).username == "bob"


async def test_a_wrong_secret_and_a_wrong_realm_are_the_settings_fault(realm: Realm) -> None:
    user = Subject(await realm.user_id("bob"))
    for roles, reason in (
        (adapter(realm, secret="wrong"), "not_allowed"),
        (adapter(realm, name="nope"), "realm_not_found"),
    ):
        with pytest.raises(OutsideError) as refused:
            await roles.authority(user)
        assert (refused.value.reason, refused.value.retryable) == (reason, False)
        assert "wrong" not in refused.value.user_text
        await roles.aclose()
