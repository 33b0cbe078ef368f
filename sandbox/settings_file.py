"""Writes what an operator of the bot writes: cdm.yaml and the secrets it names (mode 600)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from sandbox import cast
from sandbox.cast import PIPELINE, TENANTS, Tenant

Tree = dict[str, Any]

ADDRESS = "wireguard_ip"
RELAY = "relay-eu1"
DATA = "data"
KEY_FILE, KNOWN_HOSTS = "relay-ed25519", "known_hosts"
BOT, BRAKE, RELEASE = "cdm-bot", "cdm-bot-brake", "cdm-bot-release"
"""The bot's accounts at hawkBit; the first is also its name at the relay and its client in Keycloak."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything a bot must be told to work in one sandbox.

    `slack_secret` is the app token in mode socket and the signing secret in mode http; `logins` are each tenant's
    e-mail and password at ThingsBoard, `hawkbit_passwords` by account, `webhook_secrets` by tenant.
    """

    directory: Path
    bot_url: str
    slack_url: str
    slack_mode: Literal["socket", "http"]
    slack_token: str
    slack_secret: str
    slack_rate: float
    keycloak_url: str
    realm: str
    client_secret: str
    thingsboard_url: str
    logins: Mapping[str, tuple[str, str]]
    webhook_secrets: Mapping[str, str]
    hawkbit_url: str
    hawkbit_passwords: Mapping[str, str]
    tick_s: float
    relay_port: int

    def write(self, name: str, port: int, data_dir: str, overrides: Mapping[str, Any]) -> Path:
        """Paths in the file are relative to its own folder. `overrides` are laid over it, section by section."""
        yaml = YAML(typ="safe")
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        path = self.directory / name
        with path.open("w") as file:
            yaml.dump(_merged(self._tree(port, data_dir), overrides), file)
        return path

    def _tree(self, port: int, data_dir: str) -> Tree:
        return {
            "data_dir": data_dir,
            "server": {"host": "127.0.0.1", "port": port, "public_url": self.bot_url},
            "slack": self._slack(),
            "audit": {"key": self._kept("audit-key")},
            "keycloak": {
                "url": self.keycloak_url,
                "realm": self.realm,
                "client_id": BOT,
                "client_secret": self._secret("keycloak", self.client_secret),
            },
            "stacks": [self._stack()],
            "promotion": {
                "enabled": True,
                "owners": [PIPELINE],
                "soak_s": 0,
                "settle_s": 3.0,
                "agree_s": 1.0,
                "request_timeout_s": 0.5 * self.tick_s,
                "max_read_age_s": 0.4 * self.tick_s,
                "max_request_life_s": 3.0,
            },
            "timing": {"reconcile_s": 10.0},
        }

    def _slack(self) -> Tree:
        secret = "app_token" if self.slack_mode == "socket" else "signing_secret"
        return {
            "mode": self.slack_mode,
            "api_url": f"{self.slack_url}/api/",
            "team": cast.TEAM,
            "bot_token": self._secret("slack-bot-token", self.slack_token),
            secret: self._secret(f"slack-{secret}", self.slack_secret),
            "fallback_channel": cast.FALLBACK,
            "admin_channel": cast.ADMINS,
            "updates_per_minute": round(50 * self.slack_rate),
            "posts_per_second": 1.0 * self.slack_rate,
            "requests_per_minute": round(60 * self.slack_rate),
        }

    def _stack(self) -> Tree:
        return {
            "name": cast.STACK,
            "thingsboard_url": self.thingsboard_url,
            "address_attribute": ADDRESS,
            "rollout_channel": cast.ROLLOUTS,
            "hawkbit": {
                "url": self.hawkbit_url,
                "username": BOT,
                "password": self._secret("hawkbit", self.hawkbit_passwords[BOT]),
                "brake_username": BRAKE,
                "brake_password": self._secret("hawkbit-brake", self.hawkbit_passwords[BRAKE]),
                "release_username": RELEASE,
                "release_password": self._secret("hawkbit-release", self.hawkbit_passwords[RELEASE]),
                "tick_s": self.tick_s,
                "poll_s": 1.0,
            },
            "relay": {
                "host": "127.0.0.1",
                "port": self.relay_port,
                "relay_name": RELAY,
                "username": BOT,
                "key_file": KEY_FILE,
                "known_hosts": KNOWN_HOSTS,
            },
            "tenants": [self._tenant(tenant) for tenant in TENANTS],
        }

    def _tenant(self, tenant: Tenant) -> Tree:
        email, password = self.logins[tenant.id]
        return {
            "id": tenant.id,
            "keycloak_group": tenant.group,
            "channel": tenant.channel,
            "wireguard_range": tenant.range,
            "target_filter": f"attribute.tenant=={tenant.id}",
            "thingsboard": {"username": email, "password": self._secret(f"thingsboard-{tenant.id}", password)},
            "webhook_secrets": [self._secret(f"webhook-{tenant.id}", self.webhook_secrets[tenant.id])],
        }

    def _kept(self, name: str) -> Tree:
        """A secret of the bot's own: made once, since what it sealed outlives a start."""
        path = self.directory / "secrets" / name
        return self._secret(name, path.read_text() if path.exists() else secrets.token_urlsafe(32))

    def _secret(self, name: str, value: str) -> Tree:
        """Kept in secrets/`name`; answers how cdm.yaml refers to it."""
        folder = self.directory / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(folder / name, value)
        return {"file": f"secrets/{name}"}


def write_private(path: Path, text: str) -> None:
    """For its owner's eyes alone, from the first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _merged(tree: Tree, changes: Mapping[str, Any]) -> Tree:
    """`tree` with `changes` laid over it; a list is replaced as a whole."""
    out = dict(tree)
    for key, value in changes.items():
        known = out.get(key)
        out[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return out
