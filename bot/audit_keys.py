"""The audit's keys out of the settings."""

from __future__ import annotations

from bot.secrets import Secret, SecretMissing
from bot.settings import Settings
from core.audit import Keyring

SHORTEST = 32


class KeyTooShort(SecretMissing):
    """The audit key could be guessed."""


def keyring(settings: Settings) -> Keyring:
    """Read now; a changed key takes a restart. Raises SecretMissing or KeyTooShort."""
    audit = settings.audit
    current = _key(audit.key) if audit.key is not None else None
    return Keyring(current, [_key(secret) for secret in audit.old_keys], keyed_from=audit.keyed_from)


def _key(secret: Secret) -> bytes:
    key = secret.read()
    if len(key) < SHORTEST:
        raise KeyTooShort(
            f"The {secret.where} holds fewer than {SHORTEST} characters, too few for an audit key. Write a random one "
            "there (docs/operations.md, Rotating secrets)."
        )
    return key.encode()
