"""A person at the page, who acts and reads by what is on the screen: roles, labels and texts, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Locator, Page, Request, expect

from tests.browser.chromium import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)
PRIVATE = "Only visible to you"


@dataclass(slots=True)
class Reader:
    """`opens` first. `wrong` are errors of the page's scripts, and what it wanted from elsewhere."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda line: self.wrong.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda request: self._note(request))

    def _note(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.wrong.append(f"the page asked for {request.url}")

    # places

    async def opens(self, person: str = "", place: str = "") -> Reader:
        """The page, at its address or at one a person has kept."""
        await self.page.goto(f"{self.url}/" + (f"#/{person}/{place}" if person else ""))
        await self.stands_in(place and (place if place == "home" else f"#{place}"))
        return self

    async def stands_in(self, title: str) -> None:
        heading = self.page.get_by_role("heading", level=1)
        await expect(heading).to_have_text(re.compile(r"^(?!CDM sandbox$)") if title in ("", "home") else title)
        if title != "home":
            await expect(self.messages).to_be_visible()

    @property
    def sidebar(self) -> Locator:
        return self.page.get_by_role("navigation", name="Workspace")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("region", name=re.compile(r"^Messages in "))

    @property
    def thread(self) -> Locator:
        return self.page.get_by_role("complementary", name=re.compile(r"^Thread in "))

    @property
    def world(self) -> Locator:
        return self.page.get_by_role("complementary", name="World")

    @property
    def home(self) -> Locator:
        return self.page.get_by_role("region", name="Home of the app")

    @property
    def dialog(self) -> Locator:
        """The one on top."""
        return self.page.get_by_role("dialog").last

    @property
    def box(self) -> Locator:
        """Where messages and commands are typed."""
        return self.page.get_by_label(re.compile(r"^Message "))

    def place(self, name: str) -> Locator:
        """The way to a channel, with its mark of what is unread."""
        return self.sidebar.get_by_role("link").filter(has_text=re.compile(rf"(^|\W){re.escape(name)}(\d|$)"))

    async def goes_to(self, channel: str) -> None:
        await self.place(channel).click()
        await self.stands_in(f"#{channel}")

    async def becomes(self, person: str) -> None:
        await self.sidebar.get_by_role("combobox", name="You are").select_option(label=person)
        await expect(self.page).to_have_title(re.compile(rf"· {person} ·"))

    # reading

    def message(self, *words: str, within: Locator | None = None) -> Locator:
        """Messages of the channel, or of `within`, that say all of these."""
        found = (within or self.messages).get_by_role("article")
        for word in words:
            found = found.filter(has_text=word)
        return found

    def posted(self, *words: str) -> Locator:
        """Messages that everybody in the channel sees."""
        return self.message(*words).filter(has_not_text=PRIVATE)

    def told(self, *words: str) -> Locator:
        """What only this person sees."""
        return self.message(PRIVATE, *words)

    # acting

    async def types(self, text: str) -> None:
        await self.box.fill(text)
        await self.box.press("Enter")

    async def presses(self, label: str, within: Locator, *, exact: bool = False) -> None:
        await within.get_by_role("button", name=label, exact=exact).click()

    async def answers(self, question: str, answer: str) -> None:
        """A question that the page asks before something is done."""
        asked = self.page.get_by_role("dialog", name=question)
        await expect(asked).to_be_visible()
        await asked.get_by_role("button", name=answer).click()
        await expect(asked).to_be_hidden()

    async def opens_thread(self, message: Locator) -> None:
        await message.get_by_role("button", name=re.compile(r"^\d+ repl(y|ies)")).click()
        await expect(self.thread).to_be_visible()

    async def opens_world(self, group: str) -> Locator:
        """That part of the world panel, unfolded."""
        folded = self.world.get_by_role("group").filter(has=self.page.locator("summary", has_text=group))
        if await folded.get_attribute("open") is None:
            await folded.locator("summary").click()
        return folded

    async def does(self, script: str, *given: Any) -> Any:
        """Ask the document itself, for what no person can measure."""
        return await self.page.evaluate(script, *given)
