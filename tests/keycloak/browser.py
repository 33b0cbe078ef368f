"""A person's browser, as far as a login needs one: cookies, redirects, the first form of a page."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from tests.keycloak.realm import PASSWORD


class Browser:
    """`page` is what the person sees. Redirects are followed, but not to addresses that begin with `stop_at`.

    Keycloak's cookies are Secure even over plain HTTP on loopback, which real browsers accept there; so does this one.
    """

    def __init__(self, stop_at: str = "\0") -> None:
        self._stop_at = stop_at
        self.http = httpx.AsyncClient(timeout=10, trust_env=False, verify=False)
        self.http.event_hooks = {"response": [self._keep_cookies]}
        self.page = httpx.Response(204)

    async def _keep_cookies(self, _response: httpx.Response) -> None:
        for cookie in self.http.cookies.jar:
            cookie.secure = False

    async def open(self, url: str) -> httpx.Response:
        """Type an address."""
        return await self._follow(await self.http.get(url))

    async def submit(self, button: str = "", **typed: str) -> httpx.Response:
        """Fill in and send the first form of the page, its hidden fields too. `button`: the name of the one pressed."""
        form = re.search(r"<form\b.*?</form>", self.page.text, re.S)
        assert form, f"no form on this page: {self.page.text[:500]}"
        action = re.search(r'action="([^"]*)"', form[0])
        fields = {
            html.unescape(name[1]): html.unescape(value[1]) if value else ""
            for tag in re.findall(r'<input[^>]*type="hidden"[^>]*>', form[0])
            if (name := re.search(r'name="([^"]*)"', tag))
            for value in [re.search(r'value="([^"]*)"', tag)]
        }
        pressed = {button: ""} if button else {}
        target = urljoin(str(self.page.url), html.unescape(action[1]) if action else "")
        return await self._follow(await self.http.post(target, data={**fields, **typed, **pressed}))

    async def log_in(self, username: str, password: str = PASSWORD) -> httpx.Response:
        """Fill in every login form that comes up, at most three."""
        for _ in range(3):
            if 'id="kc-form-login"' not in self.page.text:
                break
            who = {"username": username} if 'name="username"' in self.page.text else {}
            await self.submit(**who, password=password)
        return self.page

    @property
    def sent_to(self) -> str:
        """Where the last answer would lead, if it was a redirect that was not followed."""
        return str(self.page.headers.get("location", ""))

    @property
    def query(self) -> dict[str, str]:
        """The parameters of `sent_to`."""
        return dict(parse_qsl(urlsplit(self.sent_to).query))

    def sees(self, text: str) -> bool:
        """Is the text on the page, as a person reads it?"""
        return text in " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.page.text)).split())

    async def _follow(self, answer: httpx.Response) -> httpx.Response:
        while answer.is_redirect and not answer.headers["location"].startswith(self._stop_at):
            answer = await self.http.get(urljoin(str(answer.url), answer.headers["location"]))
        self.page = answer
        return answer

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
