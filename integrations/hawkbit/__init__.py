"""Rollouts, releases and actions of one stack, over hawkBit's Management API."""

from integrations.hawkbit.actions import HawkbitActions
from integrations.hawkbit.client import HawkbitRollouts
from integrations.hawkbit.releases import HawkbitReleases
from integrations.hawkbit.wire import HawkbitAccount

__all__ = ["HawkbitAccount", "HawkbitActions", "HawkbitReleases", "HawkbitRollouts"]
