"""The system's Chromium, driven by playwright. It is never downloaded: where there is none, there is none."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, BrowserContext, async_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = f"none of {', '.join(PROGRAMS)} is here (package chromium)"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
ZONE, LOCALE = "Europe/Berlin", "en-GB"
DESKTOP = (1280, 800)
HANDHELD = 600
"""px; a narrower screen is that of a phone, which is touched."""
PATIENCE_MS = 30_000


def program() -> str | None:
    """Where the browser is; None where there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@asynccontextmanager
async def running(executable: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def desk(
    browser: Browser, size: tuple[int, int] = DESKTOP, *, scheme: str = "light", zone: str = ZONE
) -> AsyncIterator[BrowserContext]:
    """A browser that remembers nothing, in a zone and a language of its own. `scheme` is light or dark."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id=zone,
        locale=LOCALE,
        reduced_motion="reduce",
        is_mobile=size[0] < HANDHELD,
        has_touch=size[0] < HANDHELD,
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield context
    finally:
        await context.close()
