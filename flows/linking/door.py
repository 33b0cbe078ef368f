"""`/cdm link`: in which realm, and which way."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Refused
from core.ids import Realm, SlackUser
from core.messages.blocks import Message
from core.messages.links import RealmLine, realms_message
from flows.linking.codes import CodeDesk
from flows.linking.notary import Notary
from flows.linking.ports import LinkWay, Place


class LinkDoor:
    """`ways` by realm, in the settings' order; `names` is what people call them."""

    def __init__(
        self, *, ways: Mapping[Realm, LinkWay], names: Mapping[Realm, str], codes: CodeDesk | None, notary: Notary
    ) -> None:
        self._ways = ways
        self._names = names
        self._codes = codes
        self._notary = notary

    async def link(self, user: SlackUser, word: str, place: Place) -> Message:
        """The private answer. `word`: the name of a realm, or a code; "" for whatever is not linked yet. Raises Denied
        or OutsideError."""
        named = [realm for realm in self._ways if self._names[realm].casefold() == word.casefold()]
        if word and not named:
            if self._codes is None:
                raise Refused("No code is typed in Slack here: /cdm link, without a code, says where to log in.")
            return await self._codes.redeem(user, word)
        linked = await self._notary.linked(user)
        open_ones = named or [realm for realm in self._ways if realm not in linked] or list(self._ways)
        if len(open_ones) == 1:
            return await self._ways[open_ones[0]].begin(user, open_ones[0], place)
        return realms_message([RealmLine(self._names[realm], linked.get(realm)) for realm in self._ways])
