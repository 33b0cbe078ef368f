"""The catalog: the runbooks that come with the bot, and those of the installation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from runbooks.engine import Runbook
from runbooks.schema import CatalogError, parse_runbook


class Catalog:
    """Runbooks by name."""

    def __init__(self, runbooks: Mapping[str, Runbook]) -> None:
        self._runbooks = MappingProxyType(dict(runbooks))

    @classmethod
    def load(cls, extra_dir: Path | None = None) -> Catalog:
        """The built-in runbooks, and each `*.yaml` of `extra_dir`, which replaces a built-in one of the same name.

        CatalogError lists every fault of every file.
        """
        runbooks = _read(files("runbooks").joinpath("catalog").iterdir())
        if extra_dir is not None:
            if not extra_dir.is_dir():
                raise CatalogError(f"{extra_dir}:1: no such directory of runbooks")
            runbooks |= _read(extra_dir.iterdir(), str(extra_dir))
        return cls(runbooks)

    def get(self, name: str) -> Runbook | None:
        return self._runbooks.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._runbooks))


def _read(entries: Iterable[Traversable | Path], folder: str = "catalog") -> dict[str, Runbook]:
    runbooks: dict[str, Runbook] = {}
    faults: list[str] = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        if not entry.name.endswith((".yaml", ".yml")):
            continue
        file = f"{folder}/{entry.name}"
        try:
            runbook = parse_runbook(entry.read_text(encoding="utf-8"), file, Runbook)
        except CatalogError as error:
            faults.append(str(error))
            continue
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{file}:1: cannot be read: {error}")
            continue
        if runbook.name != entry.name.rpartition(".")[0] or runbook.name in runbooks:
            faults.append(f"{file}:1: name: must be the file's name, without .yaml, and once only")
        runbooks[runbook.name] = runbook
    if faults:
        raise CatalogError("\n".join(faults))
    return runbooks
