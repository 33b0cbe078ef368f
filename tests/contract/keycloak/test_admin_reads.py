"""The admin API as the bot's service account sees it with `view-users`, and with less."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.contract.keycloak.conftest import once, unique
from tests.keycloak.realm import Realm

NOBODY = "00000000-0000-4000-8000-000000000000"
FORBIDDEN = {"error": "HTTP 403 Forbidden"}


@once()
async def lent_rights(realm: Realm) -> AsyncIterator[Realm]:
    """The bot's rights are put back after the test."""
    yield realm
    await realm.set_bot_rights(["view-users"])
    await realm.set_bot_enabled(True)


def names(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {item.get("username", item.get("name", "")) for item in answer.json()}


async def test_a_person_is_read_with_flags_and_address(realm: Realm, bot: httpx.AsyncClient) -> None:
    name = unique("Casey").lower()
    user = await realm.create_user(name, email=f"{name.upper()}@CDM.example", email_verified=False)
    found = (await bot.get(f"/users/{user}")).json()
    assert found["id"] == user
    assert (found["username"], found["email"]) == (name, f"{name}@cdm.example")
    assert (found["enabled"], found["emailVerified"]) == (True, False)
    assert found["requiredActions"] == []
    assert "attributes" not in found


async def test_effective_roles_come_directly_by_group_and_by_composite(realm: Realm, bot: httpx.AsyncClient) -> None:
    by_group = await realm.create_user(unique("erin"), groups=["/customer-c/operators"])
    by_part = await realm.create_user(unique("frank"), roles=["shift-lead"])
    at_group = await bot.get(f"/users/{by_group}/role-mappings/realm/composite")
    at_part = await bot.get(f"/users/{by_part}/role-mappings/realm/composite")
    default = {"default-roles-cdm", "offline_access", "uma_authorization"}
    assert names(at_group) == {*default, "cdm-operator"}
    assert names(at_part) == {*default, "shift-lead", "cdm-operator", "cdm-viewer"}
    assert {(r["clientRole"], r["containerId"]) for r in at_part.json()} == {(False, "cdm")}
    direct = await bot.get(f"/users/{by_group}/role-mappings/realm")
    assert names(direct) == {"default-roles-cdm"}


async def test_a_disabled_person_still_shows_every_role(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("dave"), roles=["cdm-admin"], enabled=False)
    assert (await bot.get(f"/users/{user}")).json()["enabled"] is False
    assert "cdm-admin" in names(await bot.get(f"/users/{user}/role-mappings/realm/composite"))


async def test_groups_carry_full_paths_and_leave_out_the_parents(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("erin"), groups=["/customer-c/operators"])
    (group,) = (await bot.get(f"/users/{user}/groups?briefRepresentation=false")).json()
    assert (group["name"], group["path"]) == ("operators", "/customer-c/operators")
    assert group["parentId"] == (await bot.get("/group-by-path/customer-c")).json()["id"]
    assert (group["realmRoles"], group["attributes"]) == (["cdm-operator"], {})
    (brief,) = (await bot.get(f"/users/{user}/groups")).json()
    assert "realmRoles" not in brief


async def test_a_persons_groups_can_be_read_in_part(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("carol"), groups=["/customer-a", "/customer-b"])
    assert names(await bot.get(f"/users/{user}/groups?max=1")) == {"customer-a"}
    assert names(await bot.get(f"/users/{user}/groups?first=1&max=1")) == {"customer-b"}


async def test_a_slash_in_a_groups_name_is_not_escaped_and_not_found_by_path(
    realm: Realm, bot: httpx.AsyncClient
) -> None:
    name = f"customer-a/{unique('x')}"
    await realm.create_group(f"/{name}", name=name)
    user = await realm.create_user(unique("slash"))
    await realm.join_group(user, f"/{name}")
    (group,) = (await bot.get(f"/users/{user}/groups")).json()
    assert (group["name"], group["path"]) == (name, f"/{name}")
    assert "parentId" not in group
    answer = await bot.get(f"/group-by-path/{name}")
    assert (answer.status_code, answer.json()) == (404, {"error": "Group path does not exist"})


async def test_like_named_groups_are_told_apart_by_path_alone(realm: Realm, bot: httpx.AsyncClient) -> None:
    top = unique("evil")
    await realm.create_group(f"/{top}/customer-b")
    user = await realm.create_user(unique("mallory"), groups=[f"/{top}/customer-b"])
    (group,) = (await bot.get(f"/users/{user}/groups")).json()
    assert (group["name"], group["path"]) == ("customer-b", f"/{top}/customer-b")


@pytest.mark.parametrize("what", ["", "/groups", "/role-mappings/realm/composite", "/role-mappings/realm"])
async def test_a_deleted_person_is_404_on_every_call(realm: Realm, bot: httpx.AsyncClient, what: str) -> None:
    user = await realm.create_user(unique("gone"))
    await realm.delete_user(user)
    answer = await bot.get(f"/users/{user}{what}")
    assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})


async def test_all_role_mappings_look_like_no_roles(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("alice"), roles=["cdm-admin"])
    answer = await bot.get(f"/users/{user}/role-mappings")
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("query", ["email=&exact=true", "username=&exact=true", "q=", "bogus=1", ""])
async def test_an_empty_filter_is_no_filter(bot: httpx.AsyncClient, query: str) -> None:
    """It answers with the first of all people: here an administrator."""
    answer = await bot.get(f"/users?{query}&max=1")
    assert names(answer) == {"alice"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email=BOB@customer-a.example&exact=true", {"bob"}),
        ("email=bob@&exact=true", set()),
        ("email=bob*&exact=true", set()),
        ("email=bob@cust", {"bob"}),
        ("username=BOB&exact=true", {"bob"}),
        ("username=b_b&exact=true", set()),
        ("username=b_b", {"bob"}),
        ("q=slack_user_id:u0bob", {"bob"}),
        ("q=slack_user_id:U0", set()),
        ("q=nope:x", set()),
        ("enabled=false&username=dave&exact=true", {"dave"}),
        ("search=gra", {"grace"}),
        ("search=customer-a", set()),
        ("username=service-account-cdm-bot&exact=true", {"service-account-cdm-bot"}),
    ],
)
async def test_searches_match_as_measured(bot: httpx.AsyncClient, query: str, found: set[str]) -> None:
    assert names(await bot.get(f"/users?{query}")) == found


async def test_a_plus_sign_must_be_encoded(realm: Realm, bot: httpx.AsyncClient) -> None:
    name = unique("plus")
    await realm.create_user(name, email=f"{name}+tag@cdm.example")
    assert names(await bot.get(f"/users?email={name}%2Btag@cdm.example&exact=true")) == {name}
    assert names(await bot.get(f"/users?email={name}+tag@cdm.example&exact=true")) == set()


async def test_an_address_belongs_to_one_person_unless_the_realm_allows_doubles(
    realm: Realm, bot: httpx.AsyncClient
) -> None:
    first, second = unique("one"), unique("two")
    email = f"{first}@cdm.example"
    await realm.create_user(first, email=email)
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await realm.create_user(second, email=email)
    assert (refused.value.response.status_code, refused.value.response.json()) == (
        409,
        {"errorMessage": "User exists with same email"},
    )
    await realm.set_duplicate_emails_allowed(True)
    try:
        twin = await realm.create_user(second, email=email)
        assert names(await bot.get(f"/users?email={email}&exact=true")) == {first, second}
        await realm.delete_user(twin)
    finally:
        await realm.set_duplicate_emails_allowed(False)


async def test_brief_search_results_keep_the_flags_and_drop_the_attributes(bot: httpx.AsyncClient) -> None:
    (full,) = (await bot.get("/users?username=bob&exact=true")).json()
    (brief,) = (await bot.get("/users?username=bob&exact=true&briefRepresentation=true")).json()
    assert full["attributes"] == {"slack_user_id": ["U0BOB"]}
    assert "attributes" not in brief
    assert (brief["enabled"], brief["emailVerified"]) == (True, True)


async def test_an_undeclared_attribute_is_dropped_without_a_word(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("attr"), attributes={"cdm_secret": ["x"], "slack_user_id": ["U0ATTR"]})
    assert (await bot.get(f"/users/{user}")).json()["attributes"] == {"slack_user_id": ["U0ATTR"]}


async def test_group_members_are_the_direct_ones_disabled_too(realm: Realm, bot: httpx.AsyncClient) -> None:
    path = f"/{unique('team')}"
    await realm.create_group(f"{path}/inner")
    inside, off, below = unique("m-a"), unique("m-b"), unique("m-c")
    await realm.create_user(inside, groups=[path])
    await realm.create_user(off, groups=[path], enabled=False)
    await realm.create_user(below, groups=[f"{path}/inner"])
    group = (await bot.get(f"/group-by-path{path}")).json()
    assert group["subGroupCount"] == 1
    assert names(await bot.get(f"/groups/{group['id']}/members")) == {inside, off}
    assert names(await bot.get(f"/groups/{group['id']}/members?max=1")) == {inside}
    assert names(await bot.get(f"/groups/{group['id']}/children")) == {"inner"}


async def test_an_unknown_group_is_404_in_two_wordings(bot: httpx.AsyncClient) -> None:
    assert (await bot.get("/group-by-path/nope")).json() == {"error": "Group path does not exist"}
    answer = await bot.get(f"/groups/{NOBODY}/members")
    assert (answer.status_code, answer.json()) == (404, {"error": "Could not find group by id"})


@pytest.mark.parametrize("path", ["/roles", "/roles/cdm-admin/users", "/clients", "/events", "/admin-events"])
async def test_view_users_reads_nothing_else(bot: httpx.AsyncClient, path: str) -> None:
    answer = await bot.get(path)
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


async def test_view_users_writes_nothing(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("safe"))
    for answer in (
        await bot.put(f"/users/{user}", json={"enabled": False}),
        await bot.post(f"/users/{user}/logout"),
        await bot.post("/users", json={"username": "zed"}),
        await bot.delete(f"/users/{user}"),
    ):
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert (await bot.get(f"/users/{user}")).json()["enabled"] is True


async def test_with_query_users_alone_searches_are_empty_instead_of_refused(
    lent_rights: Realm, bot: httpx.AsyncClient
) -> None:
    """The rights count at once, also for a token handed out before."""
    user = await lent_rights.user_id("bob")
    group = (await bot.get("/group-by-path/customer-a")).json()["id"]
    await lent_rights.set_bot_rights(["query-users"])
    answer = await bot.get("/users?username=bob&exact=true")
    assert (answer.status_code, answer.json()) == (200, [])
    refused = [f"/users/{user}", f"/users/{user}/groups", f"/users/{user}/role-mappings/realm/composite"]
    refused += ["/group-by-path/customer-a", f"/groups/{group}/members"]
    for path in refused:
        answer = await bot.get(path)
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN), path
    assert (await bot.get(f"/users/{NOBODY}")).status_code == 404


async def test_without_any_right_everything_is_refused(lent_rights: Realm, bot: httpx.AsyncClient) -> None:
    user = await lent_rights.user_id("bob")
    await lent_rights.set_bot_rights([])
    for path in (f"/users/{user}", "/users?username=bob", f"/users/{NOBODY}", "/groups", "/group-by-path/customer-a"):
        answer = await bot.get(path)
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN), path


async def test_a_disabled_client_is_refused_at_once(
    lent_rights: Realm, bot: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    await lent_rights.set_bot_enabled(False)
    answer = await bot.get("/users?username=bob")
    assert (answer.status_code, answer.json()) == (401, {"error": "HTTP 401 Unauthorized"})


@pytest.mark.parametrize("bearer", ["", "Bearer zz", "Bearer a.b.c"])
async def test_without_a_valid_token_nothing_is_read(realm: Realm, http: httpx.AsyncClient, bearer: str) -> None:
    headers = {"Authorization": bearer} if bearer else {}
    answer = await http.get(f"/admin/realms/{realm.name}/users", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "HTTP 401 Unauthorized"})


async def test_an_unknown_realm_is_404(realm: Realm, bot: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    answer = await http.get(
        f"/admin/realms/nope/users/{NOBODY}", headers={"Authorization": bot.headers["authorization"]}
    )
    assert (answer.status_code, answer.json()) == (404, {"error": "Realm not found."})
    answer = await http.get("/realms/nope/.well-known/openid-configuration")
    assert (answer.status_code, answer.json()) == (404, {"error": "Realm does not exist"})


async def test_changes_show_in_the_very_next_read(realm: Realm, bot: httpx.AsyncClient) -> None:
    user = await realm.create_user(unique("live"), roles=["cdm-viewer"])
    await realm.set_roles(user, ["cdm-operator"])
    await realm.set_groups(user, ["/customer-b"])
    await realm.set_enabled(user, False)
    held = names(await bot.get(f"/users/{user}/role-mappings/realm/composite"))
    assert held >= {"cdm-operator"}
    assert "cdm-viewer" not in held
    assert names(await bot.get(f"/users/{user}/groups")) == {"customer-b"}
    found = (await bot.get(f"/users/{user}")).json()
    assert found["enabled"] is False
    assert found["email"]
