"""`cdm config check --probe`: what the bot may and may not do in each system. Nothing is changed anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from pydantic import ValidationError

from bot.probe import hawkbit, keycloak, relay, slack, store, thingsboard
from bot.probe.finding import Finding, Verdict, fail
from bot.secrets import SecretMissing
from bot.settings import Settings
from core.errors import OutsideError

__all__ = ["Finding", "Verdict", "bounded", "looks", "probe"]

log = structlog.get_logger(__name__)

TIMEOUT_S = 15.0


async def probe(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> list[Finding]:
    """Every system at once, each bounded by `timeout_s`."""
    found = await asyncio.gather(*(bounded(system, look, timeout_s) for system, look in looks(settings).items()))
    return [finding for findings in found for finding in findings]


def looks(settings: Settings) -> dict[str, AsyncIterator[Finding]]:
    """How each system is looked at, by its name. Nothing has been asked yet."""
    found: dict[str, AsyncIterator[Finding]] = {
        store.SYSTEM: store.look(settings),
        slack.SYSTEM: slack.look(settings),
        keycloak.SYSTEM: keycloak.look(settings),
    }
    for section in settings.stacks:
        found[hawkbit.name_of(section)] = hawkbit.look(settings, section)
        for tenant in section.tenants:
            found[thingsboard.name_of(section, tenant)] = thingsboard.look(settings, section, tenant)
        if section.relay is not None:
            found[relay.name_of(section)] = relay.look(section, section.relay)
    return found


async def bounded(system: str, look: AsyncIterator[Finding], timeout_s: float = TIMEOUT_S) -> list[Finding]:
    """What one look found. A failure becomes a finding too, and what was found before it is kept."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(timeout_s):
            async for finding in look:
                found.append(finding)
    except TimeoutError:
        found.append(
            fail(
                system,
                f"It did not answer within {timeout_s:g} s, so what follows here was not checked.",
                "Check its address in cdm.yaml and the network between, or probe again with a longer --timeout.",
            )
        )
    except SecretMissing as error:
        what, _, fix = str(error).partition(". ")
        found.append(fail(system, f"Not asked: {what}.", fix))
    except OutsideError as error:
        found.append(fail(system, error.user_text, _fix(error)))
    except ValidationError:
        found.append(
            fail(
                system,
                "It answered in a form the bot does not know.",
                "Check that the address in cdm.yaml is this system's and not that of a proxy's login page.",
            )
        )
    except Exception as error:
        log.exception("probe_failed", system=system)
        found.append(fail(system, f"The check itself failed ({type(error).__name__}).", "Report this with the log."))
    return found


def _fix(error: OutsideError) -> str:
    if error.retryable:
        return "Check its address in cdm.yaml, whether it runs, and the network between; then probe again."
    return ""
