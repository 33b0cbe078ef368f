"""Every key family the store's own modules write, in one place."""

from __future__ import annotations

from integrations.store import (
    approvals,
    audit,
    budgets,
    homes,
    incidents,
    intake,
    link_grants,
    outbox,
    people,
    previous_sets,
    reboots,
    releases,
    replicas,
    rollout_past,
    rollouts,
    update_stories,
    work,
)
from integrations.store.families import BASE_FAMILIES, Family

STORE_FAMILIES: tuple[Family, ...] = (
    *BASE_FAMILIES,
    *audit.FAMILIES,
    *approvals.FAMILIES,
    *intake.FAMILIES,
    *incidents.FAMILIES,
    *update_stories.FAMILIES,
    *work.FAMILIES,
    *people.FAMILIES,
    *link_grants.FAMILIES,
    *rollouts.FAMILIES,
    *rollout_past.FAMILIES,
    *reboots.FAMILIES,
    *previous_sets.FAMILIES,
    *releases.FAMILIES,
    *outbox.FAMILIES,
    *budgets.FAMILIES,
    *homes.FAMILIES,
    *replicas.FAMILIES,
)
"""Flows keep a few keys of their own; `bot.store_survey.ALL_FAMILIES` has those too."""
