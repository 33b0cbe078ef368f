"""The code that joins a browser with a Slack user where their e-mail addresses cannot: shown in the one, typed in the
other, good once, ten minutes, and for few tries."""

from __future__ import annotations

import hashlib
import secrets

from core.access import Link, Proof
from core.ids import SlackUser
from core.messages.blocks import Message
from core.messages.links import linked_message
from flows.gate import Denied
from flows.linking.notary import Account, Notary
from flows.linking.ports import LinkCodes
from flows.linking.refusals import LinkReason, LinkRefused

CODE_LIFE_S = 600
MOST_TRIES = 5
LENGTH = 8
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: 8 of 32 are 40 bits, and what may be misread is read as what was meant."""
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": ""})


class CodeDesk:
    def __init__(self, *, codes: LinkCodes, notary: Notary) -> None:
        self._codes = codes
        self._notary = notary

    async def issue(self, user: SlackUser, account: Account) -> str:
        """A code for the browser in which `account` logged in, to be typed by `user`."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        waiting = {"team": user.team, "user": user.user, **account.noted()}
        await self._notary.noted(user, "link_code_shown", account.subject)
        await self._codes.put(_digest(code), waiting, CODE_LIFE_S)
        return f"{code[:4]}-{code[4:]}"

    async def redeem(self, user: SlackUser, typed: str) -> Message:
        """The private answer to `/cdm link <code>`. Raises Denied; or OutsideError, and then the code still holds."""
        try:
            return linked_message(await self._redeemed(user, typed))
        except LinkRefused as refused:
            raise Denied(refused.reason.value, refused.text) from refused

    async def _redeemed(self, user: SlackUser, typed: str) -> Link:
        await self._notary.member(user)
        if not await self._codes.may_try(user, MOST_TRIES, CODE_LIFE_S):
            raise await self._notary.refused(user, LinkReason.TRIES_OVER)
        waiting = await self._codes.take(_digest(typed.upper().translate(_MISREAD)))
        if waiting is None:
            raise await self._notary.refused(user, LinkReason.CODE_UNKNOWN)
        account, starter = Account.of(waiting), SlackUser(waiting["team"], waiting["user"])
        if starter != user:
            raise await self._notary.refused(user, LinkReason.CODE_FOREIGN, account.subject, begun_by=str(starter))
        link = await self._notary.write(user, account, Proof.CODE)
        await self._codes.forget_tries(user)
        return link


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
