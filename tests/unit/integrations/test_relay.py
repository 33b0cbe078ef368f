"""Commands on devices over real SSH: relay and devices are the sandbox's, or OpenSSH's own server where installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from core.devices import DeviceAddress
from core.errors import OutsideError
from core.ids import DeviceName
from core.ports import Relay
from integrations.relay import SshRelay
from integrations.relay import errors as relay_errors
from integrations.relay.keys import load_client_key
from runbooks import Catalog
from sandbox.relay import JournalLine, derived_key
from sandbox.relay.keys import known_hosts_line
from tests.unit.integrations.relay_lab import NOW, RANGE, UPDATER, Lab, lab_of, until, write_key


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_of(tmp_path) as lab:
        yield lab


def as_port(relay: SshRelay) -> Relay:
    """mypy holds the class to the port here."""
    return relay


async def test_a_command_gives_its_output_and_exit_status(lab: Lab) -> None:
    argv = ("cat", "/proc/sys/kernel/random/boot_id")
    output = await as_port(lab.relay).run(lab.address("ctl-0001"), argv, inside=RANGE, timeout_s=5, max_bytes=1000)
    assert output.argv == argv
    assert output.stdout.decode().strip() == lab.controllers["ctl-0001"].boot_id
    assert (output.stderr, output.exit_status, output.truncated) == (b"", 0, False)
    assert 0 < output.duration_s < 5


async def test_a_failing_command_keeps_its_status_and_its_stderr(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").rauc_service = False
    output = await lab.run("ctl-0000", "rauc", "status", "--output-format=json")
    assert output.exit_status == 1
    assert output.stdout == b""
    assert b"D-Bus" in output.stderr
    assert (await lab.run("ctl-0000", "reformat", "--now")).exit_status == 127


@pytest.mark.parametrize(
    "word", ["; reboot", "$(reboot)", "`reboot`", "a b", "it's", "a\nreboot", "|| reboot", '"', "\\", "*", ""]
)
async def test_each_word_arrives_as_one_word_whatever_it_holds(lab: Lab, word: str) -> None:
    await lab.run("ctl-0000", "cat", word)
    assert [ran.argv for ran in lab.devices.ran] == [("cat", word)]


async def test_a_runbook_from_the_catalog_runs_and_tells_the_cause(lab: Lab) -> None:
    cause = "LastError: Invalid bundle format: Signature size exceeds bundle size"
    lab.controllers["ctl-0000"].journal = [
        JournalLine(NOW, UPDATER, cause),
        JournalLine(NOW, UPDATER, "\x1b[31mFailed to install software bundle.\x1b[0m"),
    ]
    runbook = Catalog.load().get("journal")
    assert runbook is not None
    (step,) = runbook.plan({}).steps
    output = await lab.run("ctl-0000", *step.argv, timeout_s=step.timeout_s, max_bytes=step.max_bytes)
    rendering = runbook.render([output])
    assert rendering.summary == cause
    assert rendering.lines[1].endswith("]: Failed to install software bundle.")


async def test_all_devices_share_one_connection_to_the_relay(lab: Lab) -> None:
    await asyncio.gather(*(lab.run(name) for name in lab.controllers))
    await asyncio.gather(*(lab.run(name) for name in lab.controllers))
    assert lab.sandbox.connections == 1
    await until(lambda: lab.devices.connected == 0)


async def test_no_more_devices_are_connected_at_once_than_allowed(tmp_path: Path) -> None:
    async with lab_of(tmp_path, count=20) as lab:
        await lab.reconfigure(max_devices=4, ramp_s=0)
        for name in lab.controllers:
            lab.devices.switches(name).command = "slow"
            lab.devices.switches(name).delay_s = 0.01
        await asyncio.gather(*(lab.run(name, "uptime") for name in lab.controllers))
        assert lab.devices.peak == 4


@pytest.mark.parametrize("ip", ["10.67.0.1", "127.0.0.1", "::1", "ctl-0000", "10.66.0.1;id", "::ffff:10.66.0.1", ""])
async def test_an_address_outside_the_tenants_range_is_never_connected(lab: Lab, ip: str) -> None:
    with pytest.raises(relay_errors.AddressOutOfRange, match=r"WireGuard range 10\.66\.0\.0/16"):
        await lab.relay.run(
            DeviceAddress(DeviceName("ctl-0000"), ip), ["uptime"], inside=RANGE, timeout_s=5, max_bytes=1000
        )
    assert lab.sandbox.connections == 0


async def test_the_relay_refuses_to_forward_to_an_address_it_does_not_know(lab: Lab) -> None:
    with pytest.raises(relay_errors.ForwardingRefused, match="PermitOpen"):
        await lab.relay.run(
            DeviceAddress(DeviceName("ctl-0000"), "10.66.9.9"), ["uptime"], inside=RANGE, timeout_s=5, max_bytes=1000
        )


async def test_a_device_that_does_not_answer_is_offline_and_holds_up_nobody(lab: Lab) -> None:
    lab.devices.switches("ctl-0001").link = "silent"
    lab.devices.switches("ctl-0002").link = "refused"
    await lab.reconfigure(device_timeout_s=0.5)
    fine, silent, refused = await asyncio.gather(*(lab.run(name) for name in lab.controllers), return_exceptions=True)
    assert not isinstance(fine, BaseException)
    assert isinstance(silent, relay_errors.DeviceOffline)
    assert "did not answer within 0.5 s" in silent.user_text
    assert isinstance(refused, relay_errors.DeviceOffline)
    assert silent.retryable
    assert silent.system == "relay relay"


async def test_a_device_that_answers_after_we_gave_up_leaves_no_connection_behind(lab: Lab) -> None:
    lab.devices.switches("ctl-0001").link = "silent"
    await lab.reconfigure(device_timeout_s=0.3)
    with pytest.raises(relay_errors.DeviceOffline):
        await lab.run("ctl-0001")
    lab.devices.switches("ctl-0001").link = "up"
    await until(lambda: lab.devices.peak == 1)
    await until(lambda: lab.devices.connected == 0)
    assert (await lab.run("ctl-0000")).exit_status == 0
    assert lab.sandbox.connections == 1


async def test_a_changed_host_key_is_refused_and_says_what_to_do(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").changed_key = True
    with pytest.raises(relay_errors.HostKeyChanged, match="replace its line in known_hosts") as caught:
        await lab.run("ctl-0000")
    assert not caught.value.retryable
    assert lab.devices.ran == []


async def test_a_reused_vpn_address_is_noticed_and_names_the_device_that_has_it_now(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").answers_as = "ctl-0002"
    with pytest.raises(relay_errors.HostKeyChanged, match="answers ctl-0002, not ctl-0000"):
        await lab.run("ctl-0000")
    assert lab.devices.ran == []


async def test_an_unknown_host_key_is_refused_until_it_is_added(lab: Lab) -> None:
    lines = lab.settings.known_hosts.read_text().splitlines(keepends=True)
    lab.settings.known_hosts.write_text("".join(line for line in lines if not line.startswith("ctl-0001 ")))
    with pytest.raises(relay_errors.HostKeyUnknown, match="No host key of ctl-0001 is known"):
        await lab.run("ctl-0001")
    lab.settings.known_hosts.write_text("".join(lines))
    assert (await lab.run("ctl-0001")).exit_status == 0


async def test_a_key_known_for_the_address_is_not_a_key_known_for_the_name(lab: Lab) -> None:
    key = lab.devices.host_key("ctl-0000")
    lab.settings.known_hosts.write_text(lab.sandbox.known_hosts() + known_hosts_line("10.66.0.1", key) + "\n")
    with pytest.raises(relay_errors.HostKeyChanged, match=r"answers 10\.66\.0\.1, not ctl-0000"):
        await lab.run("ctl-0000")


async def test_a_host_certificate_is_trusted_for_its_own_name_only(tmp_path: Path) -> None:
    authority = derived_key("test", "host-ca")
    async with lab_of(tmp_path, host_ca=authority) as lab:
        lab.settings.known_hosts.write_text(
            lab.sandbox.known_hosts() + "@cert-authority " + known_hosts_line("ctl-*", authority) + "\n"
        )
        assert (await lab.run("ctl-0000")).exit_status == 0
        lab.devices.switches("ctl-0001").answers_as = "ctl-0002"
        with pytest.raises(relay_errors.HostKeyChanged):
            await lab.run("ctl-0001")


async def test_a_revoked_host_key_is_refused(lab: Lab) -> None:
    key = lab.devices.host_key("ctl-0000")
    with lab.settings.known_hosts.open("a") as file:
        file.write(f"@revoked {known_hosts_line('*', key)}\n")
    with pytest.raises(relay_errors.HostKeyChanged):
        await lab.run("ctl-0000")


async def test_a_relay_with_another_host_key_gets_no_connection(lab: Lab) -> None:
    await lab.sandbox.misbehave(wrong_key=True)
    with pytest.raises(relay_errors.HostKeyChanged, match="relay shows another host key"):
        await lab.run("ctl-0000")
    assert lab.devices.peak == 0


async def test_a_key_nobody_knows_is_refused_by_the_relay(lab: Lab, tmp_path: Path) -> None:
    await lab.reconfigure(key_file=write_key(tmp_path / "stranger", derived_key("test", "stranger")))
    with pytest.raises(relay_errors.AuthRefused, match="authorized_keys"):
        await lab.run("ctl-0000")


async def test_a_device_that_refuses_the_user_says_so(lab: Lab) -> None:
    address = replace(lab.address("ctl-0000"), user="root")
    with pytest.raises(relay_errors.AuthRefused, match=r"ctl-0000 does not accept .* for user 'root'"):
        await lab.relay.run(address, ["uptime"], inside=RANGE, timeout_s=5, max_bytes=1000)


@pytest.mark.parametrize("fault", ["down", "silent"])
async def test_an_unreachable_relay_fails_every_device_soon_and_comes_back(lab: Lab, fault: str) -> None:
    await lab.reconfigure(relay_timeout_s=0.3, retry_s=30)
    await lab.sandbox.misbehave(**{fault: True})
    failures = await asyncio.gather(*(lab.run(name) for name in lab.controllers), return_exceptions=True)
    assert [type(failure) for failure in failures] == [relay_errors.RelayUnreachable] * 3
    assert str(lab.sandbox.port) in str(failures[0])
    with pytest.raises(relay_errors.RelayUnreachable):
        await asyncio.wait_for(lab.run("ctl-0000"), 0.2)  # known to be down: not tried again
    await lab.sandbox.misbehave(**{fault: False})
    await lab.reconfigure(retry_s=0)
    assert (await lab.run("ctl-0000")).exit_status == 0


async def test_a_lost_relay_connection_is_made_again_for_the_next_command(lab: Lab) -> None:
    await lab.run("ctl-0000")
    await lab.sandbox.drop()
    assert (await lab.run("ctl-0000")).exit_status == 0
    assert lab.sandbox.connections == 2


async def test_a_command_under_way_when_the_relay_goes_has_an_unknown_outcome(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "hang"
    running = asyncio.create_task(lab.run("ctl-0000", timeout_s=30))
    await until(lambda: bool(lab.devices.ran))
    await lab.sandbox.drop()
    with pytest.raises(relay_errors.ConnectionBroken) as caught:
        await running
    assert caught.value.unknown_outcome


async def test_a_connection_that_breaks_in_mid_answer_is_no_answer(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "drop"
    with pytest.raises(relay_errors.ConnectionBroken) as caught:
        await lab.run("ctl-0000", "journalctl", "-n", "20")
    assert caught.value.output is not None
    assert caught.value.output.exit_status is None
    assert (await lab.run("ctl-0001")).exit_status == 0
    assert lab.sandbox.connections == 1


async def test_a_hanging_command_is_killed_when_its_time_is_over(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "hang"
    with pytest.raises(relay_errors.CommandTimedOut, match=r"longer than 0\.3 s") as caught:
        await lab.run("ctl-0000", timeout_s=0.3)
    assert isinstance(caught.value, OutsideError)
    assert caught.value.unknown_outcome
    await until(lambda: lab.devices.ran[0].ended_by is not None)
    assert lab.devices.ran[0].ended_by == "signal KILL"
    await until(lambda: lab.devices.connected == 0)


async def test_what_came_before_the_time_was_over_is_kept(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "slow"
    lab.devices.switches("ctl-0000").delay_s = 30
    with pytest.raises(relay_errors.CommandTimedOut) as caught:
        await lab.run("ctl-0000", "journalctl", "-n", "20", timeout_s=0.5)
    assert caught.value.output is not None
    assert b"message 40" in caught.value.output.stdout


async def test_a_flood_is_cut_at_the_limit_and_the_command_killed(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "flood"
    output = await lab.run("ctl-0000", max_bytes=100_000)
    assert output.truncated
    assert len(output.stdout) + len(output.stderr) == 100_000
    assert output.exit_status is None
    await until(lambda: lab.devices.ran[0].ended_by is not None)
    await until(lambda: lab.devices.connected == 0)


async def test_output_of_exactly_the_limit_is_not_truncated(lab: Lab) -> None:
    whole = await lab.run("ctl-0000", "journalctl")
    exact = await lab.run("ctl-0000", "journalctl", max_bytes=len(whole.stdout))
    short = await lab.run("ctl-0000", "journalctl", max_bytes=len(whole.stdout) - 1)
    assert (exact.stdout, exact.truncated, exact.exit_status) == (whole.stdout, False, 0)
    assert (short.stdout, short.truncated) == (whole.stdout[:-1], True)


async def test_bytes_come_back_as_they_were_sent(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "noise"
    output = await lab.run("ctl-0000")
    assert b"\x1b[31m" in output.stdout
    assert b"\x00\xff\xfe\x80" in output.stdout


async def test_cancelling_kills_the_remote_command(lab: Lab) -> None:
    lab.devices.switches("ctl-0000").command = "hang"
    running = asyncio.create_task(lab.run("ctl-0000", timeout_s=30))
    await until(lambda: bool(lab.devices.ran))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: lab.devices.ran[0].ended_by == "signal KILL")
    assert (await lab.run("ctl-0001")).exit_status == 0


async def test_a_command_cancelled_while_it_starts_is_killed_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    create = asyncssh.SSHClientConnection.create_process

    async def late(conn: asyncssh.SSHClientConnection, *args: Any, **kwargs: Any) -> Any:
        process = await create(conn, *args, **kwargs)
        await asyncio.sleep(0.1)  # the device has begun; we do not know yet
        return process

    monkeypatch.setattr(asyncssh.SSHClientConnection, "create_process", late)
    lab.devices.switches("ctl-0000").command = "hang"
    running = asyncio.create_task(lab.run("ctl-0000", timeout_s=30))
    await until(lambda: bool(lab.devices.ran))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: lab.devices.ran[0].ended_by == "signal KILL")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "key", derived_key("test", "bot"))
    path.chmod(mode)
    with pytest.raises(relay_errors.BadKeyFile, match="chmod 600"):
        load_client_key(path)


def test_only_an_unencrypted_ed25519_key_is_taken(tmp_path: Path) -> None:
    with pytest.raises(relay_errors.BadKeyFile, match="ssh-keygen -t ed25519"):
        load_client_key(write_key(tmp_path / "ecdsa", asyncssh.generate_private_key("ecdsa-sha2-nistp256")))
    sealed = tmp_path / "sealed"
    sealed.write_bytes(derived_key("test", "bot").export_private_key("pkcs8-pem", passphrase="word"))
    sealed.chmod(0o600)
    with pytest.raises(relay_errors.BadKeyFile, match="not an unencrypted private key"):
        load_client_key(sealed)
    with pytest.raises(relay_errors.BadKeyFile, match="cannot be read"):
        load_client_key(tmp_path / "missing")


async def test_a_malformed_known_hosts_file_trusts_nobody(lab: Lab) -> None:
    lab.settings.known_hosts.write_text("@nonsense ctl-0000\n")
    with pytest.raises(relay_errors.BadKeyFile, match="malformed"):
        await lab.run("ctl-0000")
