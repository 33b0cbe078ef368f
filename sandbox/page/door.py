"""What the page needs of the world around Slack: a picture of it, and a way to say words to it."""

from __future__ import annotations

from typing import Any, Protocol


class WorldDoor(Protocol):
    """`sandbox.controls.Controls` is one. `view` is JSON and cheap: it is asked twice a second while a page is open."""

    def view(self) -> dict[str, Any]: ...

    async def run(self, words: list[str]) -> str:
        """Carry out words as typed at the console; answers with a line. `sandbox.controls.Misunderstood` if they make
        no sense."""
