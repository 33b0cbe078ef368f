"""`cdm thingsboard wiring`: the documents fit the settings, and the secret is in them only when asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.commands import thingsboard
from tests.unit.bot.conftest import Run, edit

SECOND_TENANT = """      - id: customer-b
        keycloak_group: /customer-b
        channel: C0000000005
        wireguard_range: 10.66.2.0/24
        thingsboard: {username: bot@b.example, password: {env: CDM_TB_B}}
        webhook_secrets: [{env: CDM_HOOK_B}]

links:"""


def rest_node(made: dict[str, Any]) -> dict[str, Any]:
    nodes = made["rule_chain"]["metadata"]["nodes"]
    found: dict[str, Any] = next(n for n in nodes if n["type"].endswith("TbRestApiCallNode"))["configuration"]
    return found


@pytest.fixture
def two_tenants(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    edit(config, "links:", SECOND_TENANT)
    monkeypatch.setenv("CDM_HOOK_B", "hook-secret-b")
    return config


async def test_the_only_tenant_needs_no_name_and_the_secret_stays_a_placeholder(run: Run, config: Path) -> None:
    done = await run(thingsboard.app, "wiring", "--print", "--config", config)
    made = json.loads(done.stdout)
    assert made["release"] == "4.2"
    assert rest_node(made)["restEndpointUrlPattern"] == "https://cdm-bot.example.com/webhooks/thingsboard/eu1"
    assert rest_node(made)["headers"]["Authorization"] == "Bearer REPLACE-WITH-THE-WEBHOOK-SECRET"


async def test_version_4_3_has_a_calculated_field_instead_of_a_profile(run: Run, config: Path) -> None:
    done = await run(thingsboard.app, "wiring", "--print", "--version", "4.3", "--config", config)
    made = json.loads(done.stdout)
    assert "calculated_field" in made
    assert "device_profile" not in made


async def test_of_several_tenants_one_must_be_named(run: Run, two_tenants: Path) -> None:
    done = await run(thingsboard.app, "wiring", "--print", "--config", two_tenants)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "give --tenant, one of customer-a, customer-b" in done.stderr
    done = await run(thingsboard.app, "wiring", "--print", "--tenant", "customer-x", "--config", two_tenants)
    assert "no tenant customer-x" in done.stderr


async def test_the_secret_is_filled_in_only_when_asked_for_and_then_said_so(run: Run, two_tenants: Path) -> None:
    words = ("wiring", "--print", "--stack", "eu1", "--tenant", "customer-b", "--config", two_tenants)
    assert "hook-secret-b" not in (await run(thingsboard.app, *words)).output
    done = await run(thingsboard.app, *words, "--with-secret")
    assert rest_node(json.loads(done.stdout))["headers"]["Authorization"] == "Bearer hook-secret-b"
    assert "holds the secret of customer-b" in done.stderr
    assert "hook-secret-b" not in done.stderr


async def test_a_secret_that_is_not_there_is_named(run: Run, config: Path) -> None:
    done = await run(thingsboard.app, "wiring", "--print", "--with-secret", "--config", config)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "webhook-customer-a" in done.stderr


async def test_an_address_only_this_machine_reaches_is_pointed_out(run: Run, config: Path) -> None:
    edit(config, "https://cdm-bot.example.com", "http://127.0.0.1:8080")
    done = await run(thingsboard.app, "wiring", "--print", "--config", config)
    assert json.loads(done.stdout)
    assert "only this machine reaches" in done.stderr


async def test_without_print_the_steps_are_told(run: Run, config: Path) -> None:
    done = await run(thingsboard.app, "wiring", "--config", config)
    assert "docs/thingsboard-wiring.md" in done.stdout
    assert "--print --version 4.2 --stack eu1 --tenant customer-a" in done.stdout
