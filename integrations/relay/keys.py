"""The bot's own key, and the host keys it trusts: both from files, the latter read again when the file changes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh

from integrations.relay.errors import BadKeyFile


def load_client_key(path: Path) -> asyncssh.SSHKeyPair:
    """The ed25519 key in `path`, which only its owner may read. BadKeyFile otherwise."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadKeyFile(f"The SSH key {path} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 it.")
        key = asyncssh.read_private_key(path)
    except OSError as error:
        raise BadKeyFile(f"The SSH key {path} cannot be read: {error.strerror}.") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise BadKeyFile(f"The SSH key {path} is not an unencrypted private key in OpenSSH or PEM format.") from error
    if key.get_algorithm() != "ssh-ed25519":
        raise BadKeyFile(f"The SSH key {path} is {key.get_algorithm()}: make one with `ssh-keygen -t ed25519`.")
    return asyncssh.load_keypairs([key])[0]


class HostKeys:
    """A known_hosts file whose host names are device names and the relay's name, never addresses.

    `@cert-authority` lines trust host certificates that name it as a principal (one without principals is good for
    every name, as in OpenSSH: the authority must not issue such); `@revoked` lines count.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._hosts = asyncssh.SSHKnownHosts()
        self._names: dict[str, list[str]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it changed. BadKeyFile if it cannot be read or is malformed."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            text = self.path.read_text()
            self._hosts = asyncssh.import_known_hosts(text)
        except OSError as error:
            raise BadKeyFile(f"The known_hosts file {self.path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise BadKeyFile(f"The known_hosts file {self.path} is malformed: {error}.") from error
        self._names = _names_by_key(text)
        self._stamp = stamp

    def matcher(self, name: str) -> Callable[[str, str, int | None], Any]:
        """asyncssh's `known_hosts` for one peer: whatever it connects to, only `name` is looked up."""

        def match(_host: str, _address: str, _port: int | None) -> Any:
            return self._hosts.match(name, "", None)

        return match

    def knows(self, name: str) -> bool:
        """Whether a key or an authority is trusted for `name`."""
        keys, authorities, *_ = self._hosts.match(name, "", None)
        return bool(keys or authorities)

    def owners(self, key: asyncssh.SSHKey) -> list[str]:
        """The names under which the file lists this very key."""
        return self._names.get(_data(key.export_public_key().decode()), [])


def _data(public_line: str) -> str:
    return public_line.split()[1]


def _names_by_key(text: str) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not words[0].startswith(("#", "@", "|")):
            names.setdefault(words[2], []).extend(words[0].split(","))
    return names
