"""What RAUC's tool says of a bundle, where there is one, and how that differs from what the person said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.rauc_info import NotRead, RaucInfo, disagreements, rauc_info


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `rauc` of the test's own, alone in the PATH; what it was called with is kept beside it."""
    made = tmp_path / "bin" / "rauc"
    made.parent.mkdir()
    monkeypatch.setenv("PATH", f"{made.parent}:/usr/bin:/bin")
    return made


def says(tool: Path, script: str) -> None:
    tool.write_text(f'#!/bin/sh\necho "$@" > {tool.parent}/called\n{script}\n')
    tool.chmod(0o755)


def test_compatible_and_version_are_read_from_the_manifest(tool: Path, tmp_path: Path) -> None:
    manifest = {"compatible": "edge-v2", "version": "1.2.0", "images": [{"rootfs": {"filename": "rootfs.img"}}]}
    says(tool, f"echo '{json.dumps(manifest)}'; echo 'note: signature not verified' >&2")
    bundle = tmp_path / "it's; a bundle.raucb"
    assert rauc_info(bundle) == RaucInfo("edge-v2", "1.2.0")
    assert (tool.parent / "called").read_text() == f"info --no-verify --output-format=json {bundle}\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Checking bundle' >&2; echo 'not a bundle: bad magic' >&2; exit 1", "bad magic"),
        ("exit 1", "did not say why"),
        ("echo 'Compatible: edge'", "does not know"),
        ("echo '{}'", "does not know"),
        ("echo '[]'", "does not know"),
    ],
)
def test_what_cannot_be_read_says_why(tool: Path, tmp_path: Path, script: str, said: str) -> None:
    says(tool, script)
    found = rauc_info(tmp_path / "x.raucb")
    assert isinstance(found, NotRead)
    assert said in found.why


def test_a_machine_without_the_tool_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}")
    found = rauc_info(tmp_path / "x.raucb")
    assert isinstance(found, NotRead)
    assert "not installed" in found.why


def test_only_what_differs_is_warned_of() -> None:
    info = RaucInfo("edge-v2", "1.2.0")
    assert list(disagreements(info, "1.2.0", "")) == []
    assert list(disagreements(info, "1.2.0", "edge-v2")) == []
    (version,) = disagreements(info, "1.3.0", "")
    assert "'1.2.0', not '1.3.0'" in version
    (compatible,) = disagreements(info, "1.2.0", "edge-v1")
    assert "'edge-v2', not for 'edge-v1'" in compatible
