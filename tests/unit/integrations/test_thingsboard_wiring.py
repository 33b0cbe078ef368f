"""The wiring an operator imports: the kept examples, and the choices in it that were paid for with lost alarms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integrations.thingsboard.wiring import Release, example, wiring

DEPLOY = Path(__file__).parents[3] / "deploy" / "thingsboard"
RELEASES: tuple[Release, ...] = ("4.2", "4.3")


def chain_of(release: Release) -> dict[str, Any]:
    made = wiring(release, "https://bot.example/", "s3cret", "customer-a", stack="eu1")
    metadata: dict[str, Any] = made["rule_chain"]["metadata"]
    return metadata


def index(metadata: dict[str, Any], kind: str) -> int:
    return next(i for i, node in enumerate(metadata["nodes"]) if node["type"].endswith(kind))


@pytest.mark.parametrize("release", RELEASES)
def test_the_kept_examples_are_what_the_generator_makes(release: Release) -> None:
    kept = (DEPLOY / f"wiring-{release}.json").read_text()
    assert kept == json.dumps(example(release), indent=2) + "\n"


@pytest.mark.parametrize("release", RELEASES)
def test_alarm_events_go_by_the_own_queue_and_an_envelope_with_the_secret_to_the_stacks_webhook(
    release: Release,
) -> None:
    metadata = chain_of(release)
    links = {(c["fromIndex"], c["toIndex"], c["type"]) for c in metadata["connections"]}
    queue, envelope, call = (index(metadata, k) for k in ("CheckpointNode", "TransformMsgNode", "RestApiCallNode"))
    assert {(queue, envelope, "Success"), (envelope, call, "Success")} <= links
    assert metadata["nodes"][queue]["queueName"] == "CdmAlarms"
    settings = metadata["nodes"][call]["configuration"]
    assert settings["restEndpointUrlPattern"] == "https://bot.example/webhooks/thingsboard/eu1"
    assert settings["headers"]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("release", RELEASES)
def test_a_failed_call_is_retried_since_nothing_takes_its_failure(release: Release) -> None:
    metadata = chain_of(release)
    assert not [c for c in metadata["connections"] if c["fromIndex"] == index(metadata, "RestApiCallNode")]
    made = wiring(release, "https://bot.example", "s", "t", stack="eu1")["queue"]
    assert (
        made["processingStrategy"] | {"retries": 0, "pauseBetweenRetries": 2, "maxPauseBetweenRetries": 60}
        == (made["processingStrategy"])
    )
    read_timeout = metadata["nodes"][index(metadata, "RestApiCallNode")]["configuration"]["readTimeoutMs"]
    assert 0 < read_timeout < made["packProcessingTimeout"]


@pytest.mark.parametrize("release", RELEASES)
def test_every_change_is_sent_and_never_alarm_updated(release: Release) -> None:
    metadata = chain_of(release)
    queue = index(metadata, "CheckpointNode")
    events = sorted((c["fromIndex"], c["type"]) for c in metadata["connections"] if c["toIndex"] == queue)
    switch = index(metadata, "MsgTypeSwitchNode")
    by_rule = index(metadata, "DeviceProfileNode") if release == "4.2" else switch
    expected = {(by_rule, e) for e in ("Alarm Created", "Alarm Severity Updated", "Alarm Cleared")}
    persons = ("Acknowledged", "Cleared", "Assigned", "Unassigned")
    expected |= {(switch, f"Alarm {e}") for e in persons}
    expected |= {(switch, "Comment Created"), (switch, "Comment Updated")}
    assert events == sorted(expected)


def test_on_4_2_the_device_profile_node_comes_first_and_on_4_3_there_is_none() -> None:
    first = chain_of("4.2")
    assert first["firstNodeIndex"] == index(first, "TbDeviceProfileNode")
    assert not [n for n in chain_of("4.3")["nodes"] if n["type"].endswith("TbDeviceProfileNode")]


@pytest.mark.parametrize("release", RELEASES)
def test_the_chain_still_keeps_telemetry_and_attributes(release: Release) -> None:
    metadata = chain_of(release)
    links = {(c["fromIndex"], c["toIndex"], c["type"]) for c in metadata["connections"]}
    switch = index(metadata, "MsgTypeSwitchNode")
    assert (switch, index(metadata, "MsgTimeseriesNode"), "Post telemetry") in links
    assert (switch, index(metadata, "MsgAttributesNode"), "Post attributes") in links
