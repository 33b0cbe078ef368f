"""Keys of the stand-ins, derived from a seed: a restart keeps every host key, and a fleet costs nothing until used."""

from __future__ import annotations

import hashlib

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def derived_key(seed: str, name: str) -> asyncssh.SSHKey:
    """The ed25519 private key that `seed` and `name` always give."""
    raw = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    private = Ed25519PrivateKey.from_private_bytes(raw)
    return asyncssh.import_private_key(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def known_hosts_line(name: str, key: asyncssh.SSHKey) -> str:
    """One known_hosts line that trusts `key` under `name`, without a comment."""
    kind, data = key.export_public_key().decode().split()[:2]
    return f"{name} {kind} {data}"
