"""One browser for the whole run, one that remembers nothing for each test; and what is said where there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import chromium
from tests.browser.reader import Reader

_SKIPPED = pytest.StashKey[str]()
NewReader = Callable[..., Awaitable[Reader]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    executable = chromium.program()
    if executable is None:
        request.config.stash[_SKIPPED] = chromium.MISSING
        pytest.skip(f"no browser: {chromium.MISSING}")
    async with chromium.running(executable) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def new_reader(browser: Browser) -> AsyncIterator[NewReader]:
    """`await new_reader(url, size, scheme=…)`: somebody at the page, who must not see it go wrong."""
    readers: list[Reader] = []
    async with AsyncExitStack() as exit:

        async def sit_down(url: str, size: tuple[int, int] = chromium.DESKTOP, **more: Any) -> Reader:
            context = await exit.enter_async_context(chromium.desk(browser, size, **more))
            readers.append(Reader(await context.new_page(), url))
            return readers[-1]

        yield sit_down
        wrong = [one for reader in readers for one in reader.wrong]
    assert wrong == [], "the page's scripts fail, or want something from elsewhere"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the run that it is a part of."""
    said = getattr(session.config, "workeroutput", None)
    if said is not None:
        said["no_browser"] = session.config.stash.get(_SKIPPED, "")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    why_not = getattr(node, "workeroutput", {}).get("no_browser")
    if why_not:
        node.config.stash[_SKIPPED] = why_not


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    why_not = config.stash.get(_SKIPPED, "")
    if why_not:
        terminalreporter.write_sep("!", "THE PAGE WAS NOT TESTED IN A BROWSER", red=True)
        terminalreporter.write_line(why_not)
