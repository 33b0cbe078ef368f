"""Secrets come from the environment or from files, never from cdm.yaml, and are read again when the file changes."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class SecretMissing(Exception):
    """The variable is not set, or the file cannot be read. The text says which and what to do."""


class Secret(BaseModel):
    """`{env: NAME}` or `{file: path}`. The value is never part of the settings tree: it cannot be printed with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _not_in_clear(cls, given: Any) -> Any:
        if isinstance(given, str):
            raise ValueError(
                "a secret must not stand in cdm.yaml; write {env: NAME} or {file: path} here and put the value there"
            )
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("give exactly one of env and file")
        if self.env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.env):
            raise ValueError("env takes the name of an environment variable, not the secret itself")
        return self

    @property
    def where(self) -> str:
        return f"environment variable {self.env}" if self.env else f"file {self.file}"

    def read(self) -> str:
        """The value now. A file is read at each change of its time or size, so rotation needs no restart."""
        value = os.environ.get(self.env, "") if self.env is not None else _read_file(self.file or Path())
        if not value.strip():
            raise SecretMissing(f"The {self.where} holds no secret. Set it, or correct its name in cdm.yaml.")
        return value.strip()

    def warning(self) -> str | None:
        """Why the secret is badly kept, if it is."""
        if self.file is None or not self.file.exists():
            return None
        if self.file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return f"{self.file} can be read by others; run: chmod 600 {self.file}"
        return None


_files: dict[Path, tuple[tuple[int, int, int], str]] = {}


def _read_file(path: Path) -> str:
    try:
        found = path.stat()
        mark = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = _files.get(path)
        if known is None or known[0] != mark:
            known = (mark, path.read_text(encoding="utf-8"))
            _files[path] = known
        return known[1]
    except (OSError, UnicodeDecodeError) as error:
        raise SecretMissing(
            f"The secret file {path} cannot be read ({error}). Create it, or correct its path."
        ) from error
