"""Work that one process at a time does, for as long as it holds a lease."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import structlog
from redis.exceptions import RedisError

from core.ports import Clock
from integrations.store.connection import STORE_DOWN
from integrations.store.leases import Lease, LeaseLost, Leases

log = structlog.get_logger(__name__)

LEASE_S = 10.0
PAUSE_S = 1.0


async def work_under(leases: Leases, clock: Clock, name: str, work: Callable[[Lease], Awaitable[object]]) -> None:
    """Do `work` again and again while the lease is ours; wait where it is another's. Runs until cancelled."""
    while True:
        lease: Lease | None = None
        try:
            lease = await leases.acquire(name, LEASE_S)
            while lease is not None and (lease.valid(LEASE_S / 2) or await lease.renew()):
                await work(lease)
        except LeaseLost:
            log.warning("lease_lost", lease=name)
        except STORE_DOWN as error:
            log.warning("leased_work_paused", lease=name, error=repr(error))
        except Exception as error:
            log.error("leased_work_failed", lease=name, error=repr(error))
        finally:
            if lease is not None:
                with contextlib.suppress(RedisError):
                    await lease.release()
        await clock.sleep(PAUSE_S)
