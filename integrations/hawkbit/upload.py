"""A file as the body of an upload, read while it is sent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from integrations.hawkbit import errors
from integrations.hawkbit.wire import Stream

CHUNK = 1 << 20


async def multipart(file: Path, sent: Callable[[int], None]) -> Stream:
    """One part named `file`, as hawkBit wants it. `sent` is told the bytes of the file handed over so far. The file's
    own name goes into the query, where no quote or umlaut hurts. Raises OSError, Rejected where the file is empty."""
    size = (await asyncio.to_thread(file.stat)).st_size
    if not size:
        raise errors.Rejected(f"{file.name} is empty.")
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="bundle"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield head
        done = 0
        with await asyncio.to_thread(file.open, "rb") as source:
            while chunk := await asyncio.to_thread(source.read, CHUNK):
                yield chunk
                done += len(chunk)
                sent(done)
        yield tail

    return Stream(chunks(), len(head) + size + len(tail), f"multipart/form-data; boundary={boundary}")
