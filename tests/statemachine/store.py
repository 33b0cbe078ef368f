"""The store as the ledger speaks to it, in virtual time.

Leases end by the store's own clock; the real one cannot be made to leap thirty seconds between two commands, and ten
thousand schedules cannot wait. So this is a model of the few commands and scripts that leases, records, audit and
outbox send. That it answers as the real store does is held by `test_store_model.py`, line by line on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import ResponseError

from integrations.store import audit, leases


class StoreModel:
    """What the methods of `redis.asyncio.Redis` of these names answer, at once. Values are bytes, as there."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._values: dict[str, Any] = {}
        self._ends: dict[str, float] = {}
        self._scripts: Mapping[str, Callable[[list[str], list[Any]], Any]] = {
            leases._ACQUIRE: self._acquire,
            leases._RENEW: self._renew,
            leases._RELEASE: self._release,
            leases._COMMIT: self._commit,
            audit._APPEND: self._append,
        }

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self._values if key.startswith(prefix)]

    def get(self, key: str) -> bytes | None:
        found: bytes | None = self._alive(key)
        return found

    def hkeys(self, key: str) -> list[bytes]:
        return list(self._alive(key) or {})

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        return dict(self._alive(key) or {})

    def eval(self, script: str, numkeys: int, *args: Any) -> Any:
        return self._scripts[script](list(args[:numkeys]), list(args[numkeys:]))

    # what commits carry

    def _carry_out(self, name: str, key: str, *args: Any) -> Any:
        match name:
            case "SET":
                self._set(key, _bytes(args[0]), float(args[2]) if len(args) > 1 else None)
                return b"OK"
            case "HSET":
                row = self._values.setdefault(key, {})
                row |= {_bytes(args[n]): _bytes(args[n + 1]) for n in range(0, len(args), 2)}
                return len(args) // 2
            case "HDEL":
                return int((self._alive(key) or {}).pop(_bytes(args[0]), None) is not None)
            case "EXPIRE":
                if self._alive(key) is not None:
                    self._ends[key] = self._time() + float(args[0])
                return 1
            case "XADD" | "ZADD" | "SADD":
                self._values.setdefault(key, []).append(args)
                return 1
        raise ResponseError(f"unknown command {name}")

    # the scripts, as they stand in integrations/store

    def _acquire(self, keys: list[str], args: list[Any]) -> bytes | None:
        lease, fence = keys
        holder, milliseconds = str(args[0]), float(args[1])
        held = self._alive(lease)
        if held is not None:
            if not held.startswith(f"{holder}|".encode()):
                return None
            self._ends[lease] = self._time() + milliseconds / 1000
            return bytes(held)
        number = int(self._alive(fence) or 0) + 1
        self._set(fence, b"%d" % number, None)
        token = f"{holder}|{number}".encode()
        self._set(lease, token, milliseconds / 1000)
        return token

    def _renew(self, keys: list[str], args: list[Any]) -> int:
        if not self._holds(keys[0], args[0]):
            return 0
        self._ends[keys[0]] = self._time() + float(args[1]) / 1000
        return 1

    def _release(self, keys: list[str], args: list[Any]) -> int:
        if not self._holds(keys[0], args[0]):
            return 0
        self._values.pop(keys[0], None)
        return 1

    def _commit(self, keys: list[str], args: list[Any]) -> Any:
        if not self._holds(keys[0], args[0]):
            raise ResponseError("LEASELOST the lease has another holder")
        if len(keys) > 1 and (self._alive(keys[1]) or b"") != _bytes(args[1]):
            raise ResponseError("CHANGED meanwhile")
        at, last = 2, None
        while at < len(args):
            count = int(args[at])
            last = self._carry_out(*args[at + 1 : at + 1 + count])
            at += count + 1
        return last

    def _append(self, keys: list[str], args: list[Any]) -> bytes | None:
        head = self._alive(keys[0]) or b""
        if head != _bytes(args[0]):
            return bytes(head)
        self._carry_out("XADD", keys[1], args[2])
        self._set(keys[0], _bytes(args[1]), None)
        return None

    # parts

    def _holds(self, lease: str, token: Any) -> bool:
        found: bool = self._alive(lease) == _bytes(token)
        return found

    def _alive(self, key: str) -> Any:
        if self._ends.get(key, float("inf")) <= self._time():
            self._values.pop(key, None)
            del self._ends[key]
        return self._values.get(key)

    def _set(self, key: str, value: bytes, seconds: float | None) -> None:
        self._values[key] = value
        self._ends.pop(key, None)
        if seconds is not None:
            self._ends[key] = self._time() + seconds


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
