"""Loops that end when they are told to."""

from __future__ import annotations

import asyncio


def check_cancelled() -> None:
    """Raise CancelledError if this task was cancelled and the cancellation got lost on the way.

    redis-py sends each command inside `asyncio.wait_for`, which in Python 3.11 returns the result and drops a
    cancellation that arrives in the same turn (seen: a loop over the store that outlived its `cancel()`). So a loop
    that talks to the store calls this in every round.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
