"""The pictures that the docs show: there, small, and as they were taken."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from tests.browser.png import with_palette
from tests.browser.shots import IMAGES, MOST_BYTES

ROOT = Path(__file__).parents[2]


def test_every_picture_that_the_docs_show_is_there_and_small() -> None:
    shown = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        shown |= {page.parent / path for path in re.findall(r"!\[[^\]]*\]\(([^):]+\.png)\)", page.read_text())}
    assert len(shown) > 18
    assert [str(path) for path in shown if not path.is_file()] == []
    assert [path.name for path in IMAGES.glob("*.png") if path.stat().st_size >= MOST_BYTES] == []


def test_a_picture_of_few_colours_is_the_same_pixel_by_pixel() -> None:
    red, green, blue = b"\xff\0\0", b"\0\xff\0", b"\0\0\xff"
    rows = [[red, green, blue], [green, green, red]]
    small = with_palette(png(rows))
    assert small[25] == 3, "it has a palette"
    assert pixels(small) == rows


def png(rows: list[list[bytes]]) -> bytes:
    """24-bit, each line as the difference from its left."""
    lines = b""
    for row in rows:
        flat = b"".join(row)
        lines += b"\1" + bytes((flat[x] - (flat[x - 3] if x >= 3 else 0)) & 255 for x in range(len(flat)))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def pixels(png: bytes) -> list[list[bytes]]:
    """Of a picture with a palette and without filters."""
    width, height = struct.unpack(">II", png[16:24])
    at, body = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    data, palette = zlib.decompress(body[b"IDAT"]), body[b"PLTE"]
    lines = [data[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height)]
    return [[palette[3 * number : 3 * number + 3] for number in line] for line in lines]
