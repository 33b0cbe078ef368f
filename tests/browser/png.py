"""PNGs of screens made small: a palette of the commonest 256 colours, and no filters (W3C's PNG specification, 9, 11).

Chromium writes 24 bits a pixel and filters meant for photographs, twice as long for a page of text.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_8, _PALETTE_8 = (8, 2, 0, 0, 0), (8, 3, 0, 0, 0)
_DEPTH = 3


def with_palette(png: bytes) -> bytes:
    """The picture in at most 256 colours, rarer ones as the nearest of those. ValueError if it is not 24-bit RGB."""
    width, height, *kind = struct.unpack(">IIBBBBB", png[16:29])
    if tuple(kind) != _RGB_8:
        raise ValueError(f"a picture of another kind: {kind}")
    packed = b"".join(body for name, body in _chunks(png) if name == b"IDAT")
    rows = [
        [row[at : at + _DEPTH] for at in range(0, len(row), _DEPTH)] for row in _rows(zlib.decompress(packed), width)
    ]
    counts = Counter(pixel for row in rows for pixel in row)
    palette = [colour for colour, _ in counts.most_common(256)]
    number = {colour: palette.index(_nearest(colour, palette)) for colour in counts}
    packed = b"".join(b"\0" + bytes(number[pixel] for pixel in row) for row in rows)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *_PALETTE_8)),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(packed, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _nearest(colour: bytes, palette: list[bytes]) -> bytes:
    return min(palette, key=lambda other: sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _rows(data: bytes, width: int) -> Iterator[bytes]:
    """The lines of pixels, their filters undone."""
    length = width * _DEPTH
    above = bytes(length)
    for at in range(0, len(data), length + 1):
        line = bytearray(data[at + 1 : at + 1 + length])
        for x in range(length):
            left, corner = (line[x - _DEPTH], above[x - _DEPTH]) if x >= _DEPTH else (0, 0)
            line[x] = (line[x] + _guess(data[at], left, above[x], corner)) & 255
        above = bytes(line)
        yield above


def _guess(filter: int, left: int, above: int, corner: int) -> int:
    match filter:
        case 1:
            return left
        case 2:
            return above
        case 3:
            return (left + above) // 2
        case 4:
            guess = left + above - corner
            return min((left, above, corner), key=lambda one: abs(guess - one))
    return 0
