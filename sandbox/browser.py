"""A person's browser, as far as linking an account needs one: cookies, redirects, the first form of a page."""

from __future__ import annotations

import html
import re
from urllib.parse import urljoin

import httpx

_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
_LOGIN = 'id="kc-form-login"'


class Browser:
    """`page` is what the person sees. Keycloak's cookies are Secure even over plain HTTP on loopback, where real
    browsers accept them; so does this one."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=15, trust_env=False, follow_redirects=False)
        self._http.event_hooks = {"response": [self._keep_cookies]}
        self.page = httpx.Response(204)

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def open(self, url: str) -> None:
        await self._follow(await self._http.get(url))

    @property
    def asks_for_login(self) -> bool:
        return _LOGIN in self.page.text

    @property
    def has_form(self) -> bool:
        return _FORM.search(self.page.text) is not None

    async def submit(self, **typed: str) -> None:
        """Send the page's first form: its hidden fields, what was typed, and its first button."""
        form = _FORM.search(self.page.text)
        assert form is not None, f"no form on this page: {self.text}"
        fields = {**dict(_hidden(form[0])), **dict(_first_button(form[0])), **typed}
        target = urljoin(str(self.page.url), _attribute(form[0], "action"))
        await self._follow(await self._http.post(target, data=fields))

    async def log_in(self, username: str, password: str) -> None:
        """Fill in one login form; a form for a person known already has no field for the name."""
        who = {"username": username} if 'name="username"' in self.page.text else {}
        await self.submit(**who, password=password)

    @property
    def text(self) -> str:
        """The page as a person reads it."""
        body = re.sub(r"<(style|script|title)\b.*?</\1>", " ", self.page.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())

    async def _follow(self, answer: httpx.Response) -> None:
        for _ in range(10):
            if not answer.is_redirect:
                break
            answer = await self._http.get(urljoin(str(answer.url), answer.headers["location"]))
        self.page = answer

    async def _keep_cookies(self, _response: httpx.Response) -> None:
        for cookie in self._http.cookies.jar:
            cookie.secure = False


def _hidden(form: str) -> list[tuple[str, str]]:
    tags = re.findall(r"<input\b[^>]*>", form)
    return [(_attribute(tag, "name"), _attribute(tag, "value")) for tag in tags if _attribute(tag, "type") == "hidden"]


def _first_button(form: str) -> list[tuple[str, str]]:
    tags = re.findall(r"<button\b[^>]*>", form)
    return [(_attribute(tag, "name"), _attribute(tag, "value")) for tag in tags[:1] if _attribute(tag, "name")]


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", tag)
    return html.unescape(next((part for part in found.groups() if part is not None), "")) if found else ""
