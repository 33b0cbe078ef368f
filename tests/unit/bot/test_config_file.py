"""A wrong cdm.yaml is answered with the file, the line, what is wrong and the fix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bot.config_file import BadConfig, Complaint, check_secrets, load_settings
from bot.secrets import Secret, SecretMissing

EXAMPLE = (Path(__file__).parents[3] / "deploy" / "cdm.example.yaml").read_text()


def complaints(tmp_path: Path, text: str) -> tuple[Complaint, ...]:
    path = tmp_path / "cdm.yaml"
    path.write_text(text)
    with pytest.raises(BadConfig) as caught:
        load_settings(path)
    return caught.value.complaints


def test_the_example_is_valid_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "cdm.yaml").write_text(EXAMPLE)
    settings = load_settings(tmp_path / "cdm.yaml")
    assert settings.stacks[0].tenants[0].id == "customer-a"
    assert settings.data_dir == tmp_path / "data"
    assert settings.stacks[0].relay is not None
    assert settings.stacks[0].relay.key_file == tmp_path / "secrets" / "relay-ed25519"


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("  team: T0000000000", "  tem: T0000000000", "slack.tem", "write 'team'"),
        ("    rollout_channel: C0000000003", "", "stacks[0].rollout_channel", "add 'rollout_channel' here"),
        ("threshold_pct: 95", "threshold_pct: 950", "promotion.threshold_pct", "less than or equal to 100"),
        ("bot_token: {file: secrets/slack-bot-token}", "bot_token: xoxb-1", "slack.bot_token", "must not stand in cdm"),
        ("10.66.1.0/24", "10.66.1.0/99", "stacks[0].tenants[0].wireguard_range", "IPv4 network"),
        ("mode: socket ", "mode: http ", "slack", "needs signing_secret"),
        (
            "keycloak_group: /customer-a",
            "keycloak_group: customer-a",
            "stacks[0].tenants[0].keycloak_group",
            "must match",
        ),
        ("enabled: false", "enabled: true\n  request_timeout_s: 2.5", "", "must be below the hawkBit tick"),
    ],
)
def test_each_mistake_names_its_line_and_the_fix(tmp_path: Path, old: str, new: str, where: str, says: str) -> None:
    assert old in EXAMPLE
    text = EXAMPLE.replace(old, new, 1)
    found = complaints(tmp_path, text)
    one = next(c for c in found if c.where == where)
    assert says in str(one)
    assert one.line is not None
    if new and where:
        key = where.rpartition(".")[2]
        assert key in text.splitlines()[one.line - 1]


def test_overlapping_wireguard_ranges_are_refused(tmp_path: Path) -> None:
    tenant = EXAMPLE[EXAMPLE.index("      - id: customer-a") : EXAMPLE.index("links:")]
    second = tenant.replace("customer-a", "customer-b").replace("10.66.1.0/24", "10.66.0.0/16")
    found = complaints(tmp_path, EXAMPLE.replace(tenant, tenant.rstrip() + "\n" + second))
    assert any("overlap" in c.problem for c in found)


def with_second_stack(
    tenant: str, *, group: str = "/customer-a", keycloak: str = "", same_hawkbit: bool = False
) -> str:
    stack = EXAMPLE[EXAMPLE.index("  - name: eu1") : EXAMPLE.index("links:")]
    second = stack.replace("eu1", "us1").replace("id: customer-a", f"id: {tenant}")
    second = second.replace("keycloak_group: /customer-a", f"keycloak_group: {group}")
    if not same_hawkbit:
        second = second.replace("https://hawkbit.example.com", "https://hawkbit-2.example.com")
    if keycloak:
        section = f"    keycloak: {{{keycloak}, client_secret: {{file: secrets/keycloak-client-secret}}}}\n"
        second = second.replace("    relay:\n", f"{section}    relay:\n")
    return EXAMPLE.replace(stack, stack.rstrip() + "\n" + second)


SAME = "url: 'https://keycloak.example.com/', realm: cdm"
SOUTH = "url: https://south.example.com, realm: cdm, name: south"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tenant": "customer-a", "group": "/other"}, "one tenant is one group"),
        ({"tenant": "customer-a", "keycloak": SOUTH}, "one tenant has one owner"),
        ({"tenant": "customer-b", "keycloak": SOUTH.replace(", name: south", "")}, "are called 'cdm'"),
        ({"tenant": "customer-b", "keycloak": SOUTH.replace("realm: cdm, name: south", "realm: a b")}, "to be typed"),
        ({"tenant": "customer-b", "keycloak": SOUTH.replace("name: south", "name: 'south:x'")}, "to be typed"),
        ({"tenant": "customer-b", "keycloak": SOUTH, "same_hawkbit": True}, "one hawkBit account"),
        ({"tenant": "customer-b", "keycloak": f"{SAME}, timeout_s: 9"}, "written differently in two places"),
    ],
)
def test_a_tenant_has_one_group_in_one_realm_that_people_can_name(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    """Else rights in the one group would be rights in the other's devices."""
    found = complaints(tmp_path, with_second_stack(**given))
    assert any(says in c.problem for c in found), found


def test_a_stack_may_have_a_realm_of_its_own_and_the_default_one_written_again_is_the_default_one(
    tmp_path: Path,
) -> None:
    for keycloak, realms in (
        ("", [""]),
        (SAME, [""]),
        (SOUTH, ["", "south"]),
    ):
        (tmp_path / "cdm.yaml").write_text(with_second_stack("customer-b", group="/customer-b", keycloak=keycloak))
        settings = load_settings(tmp_path / "cdm.yaml")
        assert list(settings.realms()) == realms
        assert settings.realm_of(settings.stacks[1]) == realms[-1]
        assert settings.realm_of(settings.stacks[0]) == ""
    (tmp_path / "cdm.yaml").write_text(with_second_stack("customer-a"))
    assert [s.name for s in load_settings(tmp_path / "cdm.yaml").stacks] == ["eu1", "us1"]


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    (only,) = complaints(tmp_path, "slack:\n  team: [\nkeycloak: {}\n")
    assert only.line is not None
    assert "not valid YAML" in only.problem


def test_a_missing_file_says_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"cdm\.example\.yaml"):
        load_settings(tmp_path / "none.yaml")


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cdm.yaml").write_text(EXAMPLE)
    monkeypatch.setenv("CDM_SLACK__API_URL", "http://127.0.0.1:9/api")
    settings = load_settings(tmp_path / "cdm.yaml")
    assert settings.slack.api_url == "http://127.0.0.1:9/api/"
    assert settings.slack.team == "T0000000000"


def test_a_rotated_secret_file_is_read_without_restart(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = Secret(file=path)
    with pytest.raises(SecretMissing, match=str(path)):
        secret.read()
    path.write_text("one\n")
    assert secret.read() == "one"
    path.write_text("two\n")
    os.utime(path, ns=(1, 2))
    assert secret.read() == "two"


def test_secrets_that_are_missing_or_open_to_others_are_told(tmp_path: Path) -> None:
    (tmp_path / "cdm.yaml").write_text(EXAMPLE)
    (tmp_path / "secrets").mkdir()
    loose = tmp_path / "secrets" / "slack-bot-token"
    loose.write_text("xoxb-secret")
    loose.chmod(0o644)
    found = check_secrets(load_settings(tmp_path / "cdm.yaml"), tmp_path / "cdm.yaml")
    assert any("chmod 600" in c.fix and c.where == "slack.bot_token" for c in found)
    assert any(c.where == "keycloak.client_secret" for c in found)
    assert "xoxb-secret" not in "".join(map(str, found))
