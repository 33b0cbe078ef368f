"""By which words a tenant is known, and whether a text holds one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import orjson

from core.ids import Stack, Tenant

_WORD = re.compile(rb"[A-Za-z0-9_.-]+")
_WHOLE = re.compile(r"[A-Za-z0-9_.-]+")
_UNMISTAKABLE = re.compile(r".*[0-9-].*")


class Marks:
    """`names` are those of devices, incidents and channels. The tenant's id alone is looked for as a word where it
    cannot be mistaken for another (a hyphen or a digit is in it, and nobody else has it: `shared`), else only as a
    value."""

    def __init__(self, stack: Stack, tenant: Tenant, names: Iterable[str], *, shared: bool) -> None:
        every = frozenset(names)
        self._words = {name.encode() for name in every if _WHOLE.fullmatch(name)}
        odd = [name for name in every if not _WHOLE.fullmatch(name)]
        at, who = re.escape(stack), re.escape(tenant)
        patterns = [rf"(?<![\w.-]){at}/{who}(?![\w.-])", rf"(?m)^{at}\n{who}$"]
        if not shared:
            if _UNMISTAKABLE.fullmatch(tenant):
                self._words.add(tenant.encode())
            else:
                patterns.append(rf'[:\[,]\s*"{who}"(?!\s*:)')
        self._patterns = [re.compile(pattern.encode()) for pattern in patterns]
        self._odd = [orjson.dumps(name)[1:-1] for name in odd] + [name.encode() for name in odd]

    def stand_in(self, text: bytes) -> bool:
        words = set(_WORD.findall(text))
        if not self._words.isdisjoint(words) or not self._words.isdisjoint({word.strip(b".-") for word in words}):
            return True
        return any(pattern.search(text) for pattern in self._patterns) or any(name in text for name in self._odd)
