"""What RAUC's own tool says of a bundle, where the tool is there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOOL_S = 120.0
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class RaucInfo:
    compatible: str
    version: str


@dataclass(frozen=True, slots=True)
class NotRead:
    """`why` says in a sentence what RAUC could not say, and why."""

    why: str


def rauc_info(file: Path) -> RaucInfo | NotRead:
    """Of the manifest alone: whether the signature is one that devices take, only their keyring can say."""
    tool = shutil.which("rauc")
    if tool is None:
        return NotRead("The tool rauc is not installed here, so what the bundle says of itself was not read.")
    command = [tool, "info", "--no-verify", "--output-format=json", str(file)]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=TOOL_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return NotRead(f"rauc info did not end within {TOOL_S:g} s.")
    if ran.returncode:
        words = ran.stderr.decode(errors="replace").strip().splitlines()
        return NotRead(f"rauc does not take it for a bundle: {(words or ['it did not say why'])[-1][:_SHOWN]}")
    try:
        found = json.loads(ran.stdout)
        return RaucInfo(str(found["compatible"]), str(found["version"]))
    except (ValueError, KeyError, TypeError):
        return NotRead("rauc info answered in a form the bot does not know.")


def disagreements(info: RaucInfo, version: str, compatible: str) -> Iterator[str]:
    """Where the bundle says something else than the person. `compatible` "" where they did not say."""
    if info.version != version:
        yield (
            f"The bundle says that its version is {info.version!r}, not {version!r}: devices will report its own, and "
            "a release of the set could never be verified by that."
        )
    if compatible and info.compatible != compatible:
        yield f"The bundle is for {info.compatible!r}, not for {compatible!r}: devices of another kind refuse it."
