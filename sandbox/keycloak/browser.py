"""What a browser meets: the authorization endpoint, the login forms, and the pages of the device grant."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.keycloak import pages
from sandbox.keycloak.realm import Client, User
from sandbox.keycloak.site import Site, Tab, form
from sandbox.keycloak.tokens import CODE_LIFE_S, Grant, Session

_USERNAME, _PASSWORD, _FRESH = "username", "password", "fresh"
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Browser:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._title = site.realm.title
        oidc = f"{site.path}/protocol/openid-connect"
        actions = f"{site.path}/login-actions"
        self._authenticate, self._consent = f"{actions}/authenticate", f"{actions}/consent"
        self._required = f"{actions}/required-action"
        self.routes = [
            Route(f"{oidc}/auth", self.authorize),
            Route(self._authenticate, self.show_form),
            Route(self._authenticate, self.take_form, methods=["POST"]),
            Route(self._required, self.show_consent),
            Route(self._consent, self.take_consent, methods=["POST"]),
            Route(f"{site.path}/device", self.show_device),
            Route(f"{site.path}/device", self.take_device, methods=["POST"]),
            Route(f"{site.path}/device/status", self.show_device_status),
        ]

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        client = self._site.realm.clients.get(asked.get("client_id", ""))
        if client is None or not client.enabled:
            return pages.sorry(self._title, "Client not found.")
        if asked.get("redirect_uri") not in client.redirect_uris:
            return pages.sorry(self._title, "Invalid parameter: redirect_uri")
        grant = Grant(
            client_id=client.id,
            scope=asked.get("scope", ""),
            redirect_uri=asked["redirect_uri"],
            state=asked.get("state"),
            nonce=asked.get("nonce"),
            challenge=asked.get("code_challenge", ""),
        )
        wrong = _wrong_request(client, asked)
        if wrong:
            return self._back(request, grant, {"error": wrong[0], "error_description": wrong[1]})
        session = self._signed_on(request)
        steps = _steps(session, asked)
        if not steps and session:
            return self._with_code(request, grant, session, "pwd")
        if "none" in asked.get("prompt", "").split():
            return self._back(request, grant, {"error": "login_required"})
        tab_id, answer = self._open_tab(grant, steps, session)
        return self._cookies(self._form(request, tab_id, answer), answer)

    async def show_form(self, request: Request) -> Response:
        tab_id, tab = self._tab(request)
        return self._form(request, tab_id, tab) if tab else pages.sorry(self._title, pages.NO_COOKIE)

    async def take_form(self, request: Request) -> Response:
        """A wrong password shows the form again. A form used before leads back to the current one, and does nothing."""
        tab_id, tab = self._tab(request)
        if tab is None:
            return pages.sorry(self._title, pages.NO_COOKIE)
        if request.query_params.get("session_code") != tab.session_code:
            return RedirectResponse(self._tab_url(request, tab_id, tab), 302)
        typed = await form(request)
        realm = self._site.realm
        user = realm.users.get(tab.fixed_user) if tab.fixed_user else realm.by_login(typed.get("username", ""))
        if user is None or user.password is None or typed.get("password") != user.password:
            return self._form(request, tab_id, tab, typed.get("username", ""), pages.WRONG)
        if not user.enabled:
            return self._form(request, tab_id, tab, typed.get("username", ""), pages.DISABLED)
        return self._step_done(request, tab_id, tab, user)

    def _step_done(self, request: Request, tab_id: str, tab: Tab, user: User) -> Response:
        acr = "fresh" if tab.steps.pop(0) == _FRESH else "pwd"
        tab.fixed_user = user.id
        if tab.steps:
            return self._form(request, tab_id, tab)
        session = self._signed_on(request)
        if session is None or session.user_id != user.id:
            session = self._site.tokens.open_session(user)
        session.auth_time = int(time.time())
        if tab.device_code:
            tab.grant.session = session
            where = f"{self._required}?{urlencode({'execution': 'OAUTH_GRANT', 'tab_id': tab_id})}"
            return self._sign_on(RedirectResponse(self._absolute(request, where), 302), session)
        del self._site.tabs[tab_id]
        return self._sign_on(self._with_code(request, tab.grant, session, acr), session)

    # the device grant's browser side

    async def show_device(self, request: Request) -> Response:
        user_code = request.query_params.get("user_code")
        if user_code is None:
            return pages.device_form(self._title, f"{self._site.path}/device")
        return self._begin_device(request, user_code)

    async def take_device(self, request: Request) -> Response:
        return self._begin_device(request, (await form(request)).get("device_user_code", ""))

    def _begin_device(self, request: Request, user_code: str) -> Response:
        """An old single sign-on session is enough here: `prompt` and the like are ignored (measured)."""
        found = next((c for c, d in self._site.tokens.devices.items() if d.user_code == user_code.upper()), None)
        if found is None:
            again = "Invalid code, please try again."
            return pages.device_form(self._title, f"{self._site.path}/device", again)
        device = self._site.tokens.devices[found]
        session = self._signed_on(request)
        tab_id, tab = self._open_tab(device.grant, [] if session else [_USERNAME], session)
        tab.device_code = found
        device.grant.session = session
        where = self._tab_url(request, tab_id, tab)
        if session:
            query = urlencode({"execution": "OAUTH_GRANT", "tab_id": tab_id})
            where = self._absolute(request, f"{self._required}?{query}")
        return self._cookies(RedirectResponse(where, 302), tab)

    async def show_consent(self, request: Request) -> Response:
        tab_id, tab = self._tab(request)
        if tab is None or not tab.device_code or tab.grant.session is None:
            return pages.sorry(self._title, pages.NO_COOKIE)
        tab.session_code = secrets.token_urlsafe(32)
        name = self._site.realm.clients[tab.grant.client_id].name
        action = f"{self._consent}?{urlencode({'client_id': tab.grant.client_id, 'tab_id': tab_id})}"
        return pages.consent_form(self._title, name, action, tab.session_code)

    async def take_consent(self, request: Request) -> Response:
        tab_id, tab = self._tab(request)
        typed = await form(request)
        if tab is None or tab.grant.session is None or typed.get("code") != tab.session_code:
            return pages.sorry(self._title, pages.NO_COOKIE)
        device = self._site.tokens.devices.get(tab.device_code)
        if device is not None:
            device.verdict = "denied" if "cancel" in typed else "approved"
        del self._site.tabs[tab_id]
        return RedirectResponse(self._absolute(request, f"{self._site.path}/device/status"), 302)

    async def show_device_status(self, _request: Request) -> Response:
        return pages.device_done(self._title)

    # what they share

    def _signed_on(self, request: Request) -> Session | None:
        """The session of the single sign-on cookie, while its user may still log in."""
        session = self._site.tokens.sessions.get(
            self._site.browsers.get(request.cookies.get("KEYCLOAK_IDENTITY", ""), "")
        )
        user = self._site.realm.users.get(session.user_id) if session else None
        return session if user and user.enabled else None

    def _open_tab(self, grant: Grant, steps: list[str], session: Session | None) -> tuple[str, Tab]:
        tab_id = secrets.token_urlsafe(8)
        tab = Tab(secrets.token_urlsafe(24), grant, steps, fixed_user=session.user_id if session else "")
        self._site.tabs[tab_id] = tab
        return tab_id, tab

    def _tab(self, request: Request) -> tuple[str, Tab | None]:
        """The login this request belongs to: only in the browser that began it."""
        tab_id = request.query_params.get("tab_id", "")
        tab = self._site.tabs.get(tab_id)
        own = tab is not None and request.cookies.get("AUTH_SESSION_ID") == tab.browser
        return tab_id, tab if own else None

    def _form(self, request: Request, tab_id: str, tab: Tab, typed: str = "", error: str = "") -> Response:
        tab.session_code = secrets.token_urlsafe(32)
        fixed = self._site.realm.users.get(tab.fixed_user)
        action = self._tab_url(request, tab_id, tab, session_code=tab.session_code)
        return pages.login_form(self._title, action, fixed=fixed.username if fixed else None, typed=typed, error=error)

    def _tab_url(self, request: Request, tab_id: str, tab: Tab, **more: str) -> str:
        query = urlencode({**more, "client_id": tab.grant.client_id, "tab_id": tab_id})
        return self._absolute(request, f"{self._authenticate}?{query}")

    def _absolute(self, request: Request, path: str) -> str:
        return self._site.issuer(request).removesuffix(self._site.path) + path

    def _with_code(self, request: Request, grant: Grant, session: Session, acr: str) -> Response:
        code = self._site.tokens.code_for(grant, session, acr)
        return self._back(request, grant, {"code": code}, session)

    def _back(
        self, request: Request, grant: Grant, told: dict[str, str], session: Session | None = None
    ) -> RedirectResponse:
        """To the client, with the state it gave and who we are (RFC 9207)."""
        before = {k: v for k, v in told.items() if k != "code"}
        query: dict[str, Any] = {
            **before,
            **({"state": grant.state} if grant.state is not None else {}),
            **({"session_state": session.id} if session else {}),
            "iss": self._site.issuer(request),
            **({"code": told["code"]} if "code" in told else {}),
        }
        return RedirectResponse(
            f"{grant.redirect_uri}{'&' if '?' in grant.redirect_uri else '?'}{urlencode(query)}", 302
        )

    def _cookies(self, answer: Response, tab: Tab) -> Response:
        self._set(answer, "AUTH_SESSION_ID", tab.browser, "Secure;HttpOnly;SameSite=None")
        self._set(answer, "KC_RESTART", uuid.uuid4().hex, "Secure;HttpOnly;SameSite=None")
        return answer

    def _sign_on(self, answer: Response, session: Session) -> Response:
        cookie = secrets.token_urlsafe(32)
        self._site.browsers[cookie] = session.id
        self._set(answer, "KC_RESTART", "", "Max-Age=0")
        self._set(answer, "KEYCLOAK_IDENTITY", cookie, "Secure;HttpOnly;SameSite=None")
        return answer

    def _set(self, answer: Response, name: str, value: str, flags: str) -> None:
        """Secure even over plain HTTP, as the real ones are: a strict cookie jar will not send them back."""
        answer.headers.append("Set-Cookie", f"{name}={value};Version=1;Path={self._site.path}/;{flags}")


def _wrong_request(client: Client, asked: dict[str, str]) -> tuple[str, str] | None:
    if not asked.get("response_type"):
        return "invalid_request", "Missing parameter: response_type"
    if asked["response_type"] != "code":
        return "unauthorized_client", (
            "Client is not allowed to initiate browser login with given response_type. "
            "Implicit flow is disabled for the client."
        )
    return wrong_challenge(client, asked)


def wrong_challenge(client: Client, asked: dict[str, str]) -> tuple[str, str] | None:
    """What is wrong with the PKCE parameters, for a client that enforces S256."""
    if not client.pkce:
        return None
    if not asked.get("code_challenge_method"):
        return "invalid_request", "Missing parameter: code_challenge_method"
    if asked["code_challenge_method"] != "S256":
        return "invalid_request", "Invalid parameter: code challenge method is not matching the configured one"
    if not asked.get("code_challenge"):
        return "invalid_request", "Missing parameter: code_challenge"
    if not _CHALLENGE.fullmatch(asked["code_challenge"]):
        return "invalid_request", "Invalid parameter: code_challenge"
    return None


def _steps(session: Session | None, asked: dict[str, str]) -> list[str]:
    """Which forms are due. `max_age` counts whole seconds: 0 right after a login shows no form (measured)."""
    prompt, max_age = asked.get("prompt", "").split(), asked.get("max_age", "")
    old = session is not None and max_age.isdigit() and time.time() - session.auth_time >= int(max_age) + 1
    steps = [_USERNAME] if session is None else [_PASSWORD] if "login" in prompt or old else []
    return [*steps, _FRESH] if _FRESH in asked.get("acr_values", "").split() else steps


def code_is_late(grant: Grant) -> bool:
    return time.time() - grant.made_at > CODE_LIFE_S
