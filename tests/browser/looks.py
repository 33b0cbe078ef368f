"""What can be measured of how the page looks: nothing cut, nothing covered, no barrier that axe-core knows."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.async_api import Page

HERE = Path(__file__).parent
_LAYOUT = (HERE / "layout.js").read_text()
_FOCUS = (HERE / "focus.js").read_text()
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
_RULES: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}


async def layout_faults(page: Page, *, is_overlaid: bool = False) -> list[str]:
    """What goes over the edge, is cut, or covered. `is_overlaid`: a menu or list lies over words on purpose."""
    return [str(fault) for fault in await page.evaluate(_LAYOUT, is_overlaid)]


async def focus_fault(page: Page) -> str:
    """Why one cannot see where the focus is; "" if one can."""
    return str(await page.evaluate(_FOCUS))


async def barriers(page: Page) -> list[str]:
    """Violations of WCAG A and AA, contrast included, as axe-core finds them."""
    await page.evaluate(_AXE)
    found = (await page.evaluate("rules => axe.run(rules)", _RULES))["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {' '.join(check['message'] for check in node['any'])}"
        for one in found
        for node in one["nodes"]
    ]
