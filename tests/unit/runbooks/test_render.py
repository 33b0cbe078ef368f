"""What a run says to a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.runs import CommandOutput
from runbooks import Catalog, Redactor, Rendering
from runbooks.rauc import NotRaucStatus, parse_rauc_status

RECORDED = Path(__file__).parents[2] / "recorded" / "rauc"


def output(stdout: str | bytes = b"", stderr: bytes = b"", status: int | None = 0, cut: bool = False) -> CommandOutput:
    raw = stdout.encode() if isinstance(stdout, str) else stdout
    return CommandOutput(("journalctl", "-n", "50"), raw, stderr, status, cut, 0.4)


def told(name: str, *results: CommandOutput) -> Rendering:
    runbook = Catalog.load().get(name)
    assert runbook is not None
    return runbook.render(results)


def recorded(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RECORDED / name).read_text())
    return document


def test_the_last_error_comes_first_not_the_updaters_final_message() -> None:
    journal = "\n".join(
        [
            "Nov 24 06:05:47 ctl-1 rauc-hawkbit-updater[412]: LastError: an older one",
            "Nov 24 06:05:48 ctl-1 rauc-hawkbit-updater[412]: 40% Checking bundle failed.",
            "Nov 24 06:05:48 ctl-1 rauc-hawkbit-updater[412]: LastError: Invalid bundle format: Signature size",
            "Nov 24 06:05:48 ctl-1 rauc-hawkbit-updater[412]: Failed to install software bundle.",
        ]
    )
    rendering = told("journal", output(journal))
    assert rendering.summary == "LastError: Invalid bundle format: Signature size"
    assert rendering.lines[0].endswith("LastError: Invalid bundle format: Signature size")
    assert [line[-12:] for line in rendering.lines[1:]] == ["an older one", "ndle failed.", "ware bundle."]


def test_the_last_error_stays_first_when_lines_are_left_out() -> None:
    lines = ["app: LastError: the cause", *(f"line {n}" for n in range(200))]
    rendering = told("journal", output("\n".join(lines)))
    assert rendering.lines[0] == "app: LastError: the cause"
    assert rendering.lines[1] == "… 142 earlier lines left out"
    assert rendering.lines[-1] == "line 199"
    assert len(rendering.lines) == 60
    assert "line 0\n" in rendering.complete


def test_a_journal_without_error_or_entries_says_so() -> None:
    assert told("journal", output("a\nb\nLastError: \n")).summary == "3 journal lines, no LastError."
    assert told("journal", output("-- No entries --\n")).summary == "The journal has no entries."


def test_a_device_in_order() -> None:
    rendering = told("rauc-status", output((RECORDED / "status.json").read_bytes()))
    assert rendering.summary == "Runs slot A (rootfs.0), marked good."
    assert rendering.lines == ("A (rootfs.0): booted, marked good, boots next", "B (rootfs.1): inactive, marked good")
    assert rendering.warnings == ()


def test_an_update_that_waits_for_its_reboot_is_a_warning() -> None:
    rendering = told("rauc-status", output((RECORDED / "status_detailed_after_install.json").read_bytes()))
    assert rendering.lines[1] == "B (rootfs.1): inactive, marked bad, version 2.0.0, boots next"
    (warning,) = rendering.warnings
    assert warning.startswith("Slot B (rootfs.1) boots next, not the running A (rootfs.0): an update waits")


def test_a_booted_slot_marked_bad_is_a_warning() -> None:
    status = recorded("status.json")
    status["slots"][1]["rootfs.0"]["boot_status"] = "bad"
    rendering = told("rauc-status", output(json.dumps(status)))
    assert rendering.warnings == ("The booted slot A (rootfs.0) is marked bad: the next reboot may leave it.",)


def test_a_boot_name_in_booted_is_no_mismatch() -> None:
    """A kernel command line with rauc.slot=A makes RAUC print "A" there, beside boot_primary "rootfs.0"."""
    rendering = told("rauc-status", output(json.dumps(recorded("status.json") | {"booted": "A"})))
    assert rendering.warnings == ()
    assert rendering.summary == "Runs slot A (rootfs.0), marked good."


def test_what_rauc_does_not_know_is_a_warning() -> None:
    status = recorded("status.json") | {"boot_primary": None}
    status["slots"][1]["rootfs.0"]["state"] = "inactive"
    rendering = told("rauc-status", output(json.dumps(status)))
    assert rendering.warnings == (
        "RAUC does not say which slot is booted.",
        "RAUC does not say which slot boots next.",
    )


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"compatible": "x"}', b"\xff", b"null"])
def test_other_output_than_rauc_status_is_shown_as_it_came(raw: bytes) -> None:
    with pytest.raises(NotRaucStatus):
        parse_rauc_status(raw)
    assert "not the JSON of rauc status" in told("rauc-status", output(raw)).warnings[-1]


def test_rauc_without_its_service_is_told_with_its_own_words() -> None:
    rendering = told("rauc-status", output(b"", b"Error retrieving slot status via D-Bus: no service\n", 1))
    assert rendering.summary == "Error retrieving slot status via D-Bus: no service"
    assert rendering.warnings == ("journalctl: exit status 1.",)


def test_how_a_command_ended_is_a_warning() -> None:
    assert told("journal", output("a\n", status=None)).warnings == ("journalctl: ended by a signal.",)
    assert told("journal", output("a\nb c", status=None, cut=True)).warnings == (
        "journalctl: output cut at 5 bytes, the command was ended.",
    )
    assert "not installed" in told("journal", output(b"", b"sh: not found", 127)).warnings[0]
    assert told("journal", output()).summary == "The journal has no entries."
    assert told("rauc-status").summary == "No output."


def test_colours_controls_and_binary_do_not_get_through() -> None:
    rendering = told(
        "journal", output(b"\x1b[31mred\x1b[0m\x00 caf\xe9\x07 \xe2\x80\xaereversed\x1b]0;title\x07 end\r\n")
    )
    assert rendering.lines == ("red caf\ufffd reversed end",)
    binary = told("journal", output(bytes(range(128, 256)) * 4))
    assert binary.lines == ("[binary output, 512 bytes, not shown]",)


def test_secrets_do_not_get_through_into_any_part() -> None:
    secret = "s3cr3t-Value.42"
    journal = f"app: started with password={secret}\napp: LastError: GET https://bot:{secret}@host/x failed\n"
    rendering = told("journal", output(journal, status=1))
    assert secret not in repr(rendering)
    assert rendering.summary == "2 lines of output."
    assert "password=[redacted]" in rendering.complete


def test_a_secret_hidden_in_json_escapes_is_found() -> None:
    status = recorded("status.json")
    key = "WHk1d2lyZWd1YXJkLXRlc3Qta2V5LTMyLWJ5dGVzISE="
    status["slots"][0]["rootfs.1"]["slot_status"] = {"bundle": {"version": f"\x1b[31m{key}"}}
    raw = json.dumps(status).replace(key, "".join(f"\\u{ord(char):04x}" for char in key))
    rendering = told("rauc-status", output(raw))
    assert key not in repr((rendering.summary, rendering.lines, rendering.warnings))


def test_an_installation_adds_patterns_of_its_own() -> None:
    redact = Redactor([r"CUST-[0-9]{6}"])
    assert redact("order CUST-123456 of CUST-12") == "order [redacted] of CUST-12"
    for bad in ("(a+)+b", "[", "x*", "a" * 301):
        with pytest.raises(ValueError, match="redaction pattern"):
            Redactor([bad])
