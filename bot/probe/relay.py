"""The relay: reached, known by its host key, and taking the bot's key. No device is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.probe.finding import Finding, ok
from bot.settings import RelaySection, StackSection
from integrations.relay import RelaySettings, SshRelay

TIMEOUT_S = 10.0


def name_of(section: StackSection) -> str:
    return f"relay {section.name}"


class _Knock(SshRelay):
    async def knock(self) -> None:
        """Connect and authenticate, as before the first command. Raises RelayError."""
        await self._connected_relay()


async def look(section: StackSection, given: RelaySection) -> AsyncIterator[Finding]:
    """BadKeyFile where a file cannot be used, else what the connection itself raises: both say what to do."""
    relay = _Knock(
        RelaySettings(
            name=given.relay_name,
            host=given.host,
            port=given.port,
            user=given.username,
            key_file=given.key_file,
            known_hosts=given.known_hosts,
            relay_timeout_s=min(given.connect_timeout_s, TIMEOUT_S),
        )
    )
    try:
        await relay.knock()
    finally:
        await relay.aclose()
    yield ok(
        name_of(section),
        f"{given.host}:{given.port} is {given.relay_name} by its host key and takes the bot's key as {given.username}.",
    )
