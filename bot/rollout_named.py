"""A rollout by its name, for commands that read the store alone."""

from __future__ import annotations

from bot.settings import Settings
from core.errors import NotFound
from core.ids import Stack
from core.messages.text import plain
from core.rollouts.records import RolloutRecord
from integrations.store.rollouts import RolloutStore


async def rollout_named(settings: Settings, records: RolloutStore, name: str) -> RolloutRecord:
    """What the bot keeps of it; of the first stack in the settings that has one. Raises NotFound."""
    for section in settings.stacks:
        stack = Stack(section.name)
        if (rollout := await records.called(stack, name)) is not None:
            return await records.record(stack, rollout)
    raise NotFound(f"The bot knows no rollout called {plain(name, 100)!r}. Names are exact, as in hawkBit.")
