"""The relay stand-in answers as recorded, is no shell, and misbehaves on request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import httpx
import pytest

from integrations.relay import errors as relay_errors
from sandbox.relay import JournalLine, control_app
from sandbox.relay.commands import split_exec
from sandbox.wire import WireServer
from tests.unit.integrations.relay_lab import BOT_KEY, Lab, lab_of

RECORDED = Path(__file__).parents[2] / "recorded" / "rauc"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_of(tmp_path) as lab:
        yield lab


def recorded(name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((RECORDED / name).read_text())
    return document


def shape(value: object) -> object:
    """Keys and types of a document, to compare one that carries other values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


async def test_rauc_status_answers_as_recorded(lab: Lab) -> None:
    output = await lab.run("ctl-0000", "rauc", "status", "--output-format=json")
    assert json.loads(output.stdout) == recorded("status.json")


async def test_detailed_rauc_status_after_an_install_has_the_recorded_shape(lab: Lab) -> None:
    device = lab.controllers["ctl-0000"]
    device.other_version, device.other_slot_status, device.boot_primary = "2.0.0", "bad", "B"
    output = await lab.run("ctl-0000", "rauc", "status", "--detailed", "--output-format=json")
    answer, real = json.loads(output.stdout), recorded("status_detailed_after_install.json")
    checksum = real["slots"][0]["rootfs.1"]["slot_status"].pop("checksum")  # type: ignore[index]
    assert checksum
    assert shape(answer) == shape(real)
    assert (answer["booted"], answer["boot_primary"]) == (real["booted"], real["boot_primary"])


async def test_rauc_status_for_people_is_coloured_even_without_a_terminal(lab: Lab) -> None:
    text = (await lab.run("ctl-0000", "rauc", "status")).stdout.decode()
    assert "Booted from: rootfs.0" in text
    assert "\x1b[1mbooted\x1b[0m" in text


async def test_a_device_whose_boot_loader_passes_the_boot_name_says_it(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").booted_as = "bootname"
    output = await lab.run("ctl-0000", "rauc", "status", "--output-format=json")
    assert json.loads(output.stdout)["booted"] == "A"


async def test_journalctl_gives_the_last_lines_of_a_unit(lab: Lab) -> None:
    at = datetime(2026, 11, 24, 6, 5, 40, tzinfo=UTC)
    lab.controllers["ctl-0000"].journal = [
        JournalLine(at, "rauc-hawkbit-updater", "first"),
        JournalLine(at, "sshd", "other unit"),
        JournalLine(at, "rauc-hawkbit-updater", "last"),
    ]
    output = await lab.run("ctl-0000", "journalctl", "-u", "rauc-hawkbit-updater", "-n", "1", "--no-pager")
    assert output.stdout == b"Nov 24 06:05:40 ctl-0000 rauc-hawkbit-updater[412]: last\n"
    nothing = await lab.run("ctl-0000", "journalctl", "-u", "no-such-unit")
    assert nothing.stdout == b"-- No entries --\n"
    assert (await lab.run("ctl-0000", "journalctl", "--vacuum-size=1")).exit_status == 1
    assert (await lab.run("ctl-0000", "uptime")).stdout.startswith(b" 06:05:40 up 3 days, 2:11,")


def test_an_exec_string_is_split_as_a_shell_would() -> None:
    assert split_exec("uptime; reboot && a|b") == [("uptime",), ("reboot",), ("a",), ("b",)]
    assert split_exec("""cat 'a; b' "c'd" e\\ f""") == [("cat", "a; b", "c'd", "e f")]
    for expanded in ("cat $HOME", "`id`", '"$(id)"', "'open"):
        with pytest.raises(ValueError, match=r"expansion|quotation"):
            split_exec(expanded)


async def test_the_relay_gives_no_shell_and_no_way_elsewhere(lab: Lab) -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        lab.sandbox.port,
        username="cdm-bot",
        client_keys=[BOT_KEY],
        known_hosts=None,
        config=None,
        agent_path=None,
    ) as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.run("id")
        for host, port in (("10.66.0.1", 23), ("127.0.0.1", lab.sandbox.port), ("10.66.200.1", 22)):
            with pytest.raises(asyncssh.ChannelOpenError):
                await conn.open_connection(host, port)


async def test_the_switches_work_over_http(lab: Lab) -> None:
    app = control_app(lab.sandbox, lambda: lab.controllers)
    async with WireServer(app) as server, httpx.AsyncClient(base_url=f"{server.url}/_sandbox/relay") as http:
        assert (await http.get("/known_hosts")).text == lab.settings.known_hosts.read_text()
        assert (await http.put("/devices/ctl-0000", json={"exit_status": 7})).status_code == 204
        assert (await lab.run("ctl-0000", "uptime")).exit_status == 7
        state = (await http.get("")).json()
        assert state["devices"]["ctl-0000"]["exit_status"] == 7
        assert state["ran"] == [{"device": "ctl-0000", "argv": ["uptime"], "ended_by": None}]
        await http.delete("/devices/ctl-0000")
        assert (await lab.run("ctl-0000", "uptime")).exit_status == 0
        await http.put("/faults", json={"down": True})
        with pytest.raises(relay_errors.RelayUnreachable):
            await lab.run("ctl-0000")
        await http.put("/faults", json={"down": False})
        await http.post("/drop")
        assert (await lab.run("ctl-0000")).exit_status == 0
        assert (await http.put("/devices/ctl-0000", json={"command": "explode"})).status_code == 400
        assert (await http.put("/faults", json={"on_fire": True})).status_code == 400
        assert (await http.get("/elsewhere")).status_code == 404
