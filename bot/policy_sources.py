"""Where each value of a policy stands in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.config_file import dotted, keys_at
from bot.policy_settings import Promotion, ReleaseFields
from bot.settings import Settings
from core.rollouts.policies import ROLLBACK, ROLLBACK_VALUES

_FIELDS = {*ReleaseFields.model_fields, "owners"}


def sources(settings: Settings, path: Path, policy: str) -> Mapping[str, str]:
    """By the policy's field, "policies[0]", "promotion", "tenants", "environment"; what is missing is built in."""
    usual = Promotion()
    found = {"production": "tenants", "reboot_windows": "tenants"}
    found |= {n: "environment" for n in _FIELDS if getattr(settings.promotion, n) != getattr(usual, n)}
    found |= dict.fromkeys(_FIELDS & keys_at(path, ("promotion",)), "promotion")
    if policy == ROLLBACK:
        found |= dict.fromkeys(ROLLBACK_VALUES, "policy rollback")
    for n, given in enumerate(settings.policies):
        if given.name == policy:
            found |= dict.fromkeys(_FIELDS & given.model_fields_set, dotted(("policies", n)))
    return found
