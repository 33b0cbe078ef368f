"""The file of a backup: a tar with `manifest.json` and `store.rdb`, the server's own snapshot format."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import Refused
from integrations.store.families import SCHEMA_VERSION

FORMAT = "cdm-backup"
MANIFEST, SNAPSHOT = "manifest.json", "store.rdb"
_MAX_MANIFEST = 1 << 20
_CHUNK = 1 << 20


class Manifest(BaseModel):
    """`sha256` and `size` are those of the snapshot, `keys` counts them by family, `audit_head` is "<number> <hash>" of
    the newest audit entry."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: str = FORMAT
    schema_version: int
    taken_at: datetime
    sha256: str
    size: int
    keys: Mapping[str, int]
    audit_head: str


class BadBackup(Refused):
    """The file is no backup that can be used. The text says why and what to do."""

    reason = "bad_backup"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}", system="backup")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, manifest: Manifest, snapshot: Path) -> None:
    """All of it or nothing, mode 600, on disk when it returns. FileExistsError where `path` is there already."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _pack(file, manifest, snapshot)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # a rename would replace a file that somebody put there meanwhile
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _pack(file: IO[bytes], manifest: Manifest, snapshot: Path) -> None:
    with tarfile.open(fileobj=file, mode="w") as tar:
        told = manifest.model_dump_json(indent=1).encode()
        tar.addfile(_entry(MANIFEST, len(told), manifest), io.BytesIO(told))
        with snapshot.open("rb") as content:
            tar.addfile(_entry(SNAPSHOT, manifest.size, manifest), content)


def _entry(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(manifest.taken_at.timestamp())
    return info


def read(path: Path, snapshot: Path) -> Manifest:
    """The manifest; the snapshot goes to `snapshot`. Raises BadBackup where the file is damaged or too new."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            manifest = Manifest.model_validate_json(_member(tar, MANIFEST).read(_MAX_MANIFEST))
            if manifest.format != FORMAT:
                raise BadBackup(path, "is no backup of this bot.")
            if manifest.schema_version > SCHEMA_VERSION:
                raise BadBackup(
                    path,
                    f"was made by a newer bot (schema {manifest.schema_version}, this one knows {SCHEMA_VERSION}). "
                    "Restore it with that version.",
                )
            found = _unpack(_member(tar, SNAPSHOT), snapshot)
    except (tarfile.TarError, KeyError, ValidationError) as error:
        raise BadBackup(path, "is no backup, or its beginning is damaged. Take another copy.") from error
    if found != manifest.sha256:
        raise BadBackup(path, "is damaged: its checksum is not the one it was made with. Take another copy.")
    return manifest


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _unpack(content: IO[bytes], to: Path) -> str:
    """SHA-256 of what was written. A file that ends too early has another."""
    seen = hashlib.sha256()
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := content.read(_CHUNK):
            seen.update(chunk)
            file.write(chunk)
    return seen.hexdigest()
