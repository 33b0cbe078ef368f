"""Rollouts of one stack, over hawkBit's Management API."""

from integrations.hawkbit.client import HawkbitRollouts
from integrations.hawkbit.wire import HawkbitAccount

__all__ = ["HawkbitAccount", "HawkbitRollouts"]
