"""The machine's side of OpenID Connect: discovery, keys, token, user info, device authorization."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.keycloak.browser import code_is_late, wrong_challenge
from sandbox.keycloak.realm import Client
from sandbox.keycloak.site import NO_STORE, Site, form, refuse
from sandbox.keycloak.tokens import DeviceGrant, Grant

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


class Oidc:
    def __init__(self, site: Site) -> None:
        self._site = site
        base = f"{site.path}/protocol/openid-connect"
        self.routes = [
            Route(f"{site.path}/.well-known/openid-configuration", self.discovery),
            Route(f"{base}/certs", self.certs),
            Route(f"{base}/token", self.token, methods=["POST"]),
            Route(f"{base}/userinfo", self.userinfo, methods=["GET", "POST"]),
            Route(f"{base}/auth/device", self.device, methods=["POST"]),
            Route(f"{site.base_path}/realms/{{other}}/.well-known/openid-configuration", self.no_realm),
            Route(f"{site.base_path}/realms/{{other}}/protocol/openid-connect/token", self.no_realm, methods=["POST"]),
        ]

    async def no_realm(self, _request: Request) -> Response:
        return refuse(404, "Realm does not exist")

    async def discovery(self, request: Request) -> Response:
        issuer = self._site.issuer(request)
        base = f"{issuer}/protocol/openid-connect"
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{base}/auth",
                "token_endpoint": f"{base}/token",
                "userinfo_endpoint": f"{base}/userinfo",
                "jwks_uri": f"{base}/certs",
                "device_authorization_endpoint": f"{base}/auth/device",
                "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token", DEVICE_GRANT],
                "response_types_supported": ["code"],
                "prompt_values_supported": ["none", "login", "consent"],
                "acr_values_supported": ["pwd", "fresh", "0", "1"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def certs(self, _request: Request) -> Response:
        return JSONResponse(self._site.tokens.jwks, headers={"Cache-Control": "no-cache"})

    async def token(self, request: Request) -> Response:
        asked = await form(request)
        client = self._client(request, asked)
        if isinstance(client, Response):
            return client
        issuer = self._site.issuer(request)
        grants = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh,
            DEVICE_GRANT: self._by_device,
        }
        kind = asked.get("grant_type")
        if kind is None:
            answer: dict[str, Any] | Response = _no("invalid_request", "Missing form parameter: grant_type")
        elif kind == "client_credentials" and (unknown := _lacking(client, asked)):
            answer = _no("invalid_scope", f"Invalid scopes: {unknown}")
        elif kind == "client_credentials":
            answer = self._site.tokens.for_service(issuer, client)
        elif kind == "password":
            answer = _no("unauthorized_client", "Client not allowed for direct access grants")
        elif kind in grants:
            answer = grants[kind](issuer, client, asked)
        else:
            answer = _no("unsupported_grant_type", "Unsupported grant_type")
        return answer if isinstance(answer, Response) else JSONResponse(answer, headers=NO_STORE)

    def _client(self, request: Request, asked: dict[str, str]) -> Client | Response:
        name, secret = asked.get("client_id", ""), asked.get("client_secret", "")
        basic = request.headers.get("authorization", "")
        if basic.startswith("Basic "):
            name, _, secret = base64.b64decode(basic[6:]).decode().partition(":")
            name, secret = unquote(name), unquote(secret)
        client = self._site.realm.clients.get(name)
        told = "Invalid client or Invalid client credentials"
        if client is None or not client.enabled:
            return refuse(401, "invalid_client", told, NO_STORE)
        if not secrets.compare_digest(client.secret.encode(), secret.encode()):
            return refuse(401, "unauthorized_client", told, NO_STORE)
        return client

    def _by_code(self, issuer: str, client: Client, asked: dict[str, str]) -> dict[str, Any] | Response:
        if "code" not in asked:
            return _no("invalid_request", "Missing parameter: code")
        grant = self._site.tokens.codes.get(asked["code"])
        if grant is None or grant.used or code_is_late(grant):
            if grant is not None and grant.used and grant.session is not None:
                grant.session.ended = True  # a replayed code ends the session it was for
            return _no("invalid_grant", "Code not valid")
        grant.used = True
        if grant.client_id != client.id:
            return _no("invalid_grant", "Auth error")
        if asked.get("redirect_uri") != grant.redirect_uri:
            return _no("invalid_grant", "Incorrect redirect_uri")
        return _wrong_verifier(grant, asked) or self._tokens(issuer, grant)

    def _by_refresh(self, issuer: str, client: Client, asked: dict[str, str]) -> dict[str, Any] | Response:
        """Keeps auth_time and acr, and drops the nonce."""
        if "refresh_token" not in asked:
            return _no("invalid_request", "No refresh token")
        claims = self._site.tokens.read_refresh(asked["refresh_token"])
        if claims is None or claims["azp"] != client.id:
            return _no("invalid_grant", "Invalid refresh token")
        session = self._site.tokens.sessions.get(claims["sid"])
        if session is None:
            return _no("invalid_grant", "Session not active")
        if session.ended:
            return _no("invalid_grant", "Session doesn't have required client")
        grant = Grant(client.id, claims["scope"], session=session, acr=claims["acr"])
        return self._tokens(issuer, grant, nonce=False)

    def _by_device(self, issuer: str, _client: Client, asked: dict[str, str]) -> dict[str, Any] | Response:
        code = asked.get("device_code", "")
        device = self._site.tokens.devices.get(code)
        if device is None:
            return _no("invalid_grant", "Device code not valid")
        now, realm = time.time(), self._site.realm
        if now - device.grant.made_at > realm.device_life_s:
            return _no("expired_token", "Device code is expired")
        early = now - device.polled_at < realm.device_interval_s
        device.polled_at = now
        if early:
            return _no("slow_down", "Slow down")
        if device.verdict == "pending":
            return _no("authorization_pending", "The authorization request is still pending")
        del self._site.tokens.devices[code]
        if device.verdict == "denied":
            return _no("access_denied", "The end user denied the authorization request")
        return _wrong_verifier(device.grant, asked) or self._tokens(issuer, device.grant)

    def _tokens(self, issuer: str, grant: Grant, *, nonce: bool = True) -> dict[str, Any] | Response:
        user = self._site.tokens.live(grant.session)
        if user is None:
            return _no("invalid_grant", "User disabled")
        return self._site.tokens.for_person(issuer, grant, user, nonce=nonce)

    async def userinfo(self, request: Request) -> Response:
        """Live: refuses an ended session and a disabled user, whatever the token says."""
        claims = self._site.tokens.read_bearer(request.headers.get("authorization", ""))
        session = self._site.tokens.sessions.get(claims.get("sid", "")) if claims else None
        user = self._site.tokens.live(session)
        if claims is None or user is None:
            why = "user_session_not_found" if session is None or session.ended else "User disabled"
            told = f'Bearer realm="{self._site.realm.name}", error="invalid_token", error_description="{why}"'
            return Response(status_code=401, headers={**NO_STORE, "WWW-Authenticate": told})
        return JSONResponse({"sub": user.id, **self._site.tokens.person(user)}, headers=NO_STORE)

    async def device(self, request: Request) -> Response:
        asked = await form(request)
        client = self._client(request, asked)
        if isinstance(client, Response):
            return client
        if not client.device_grant:
            return _no("unauthorized_client", "Client is not allowed to initiate OAuth 2.0 Device Authorization Grant.")
        wrong = wrong_challenge(client, asked)
        if wrong:
            return _no(*wrong)
        code, letters = secrets.token_urlsafe(32), [secrets.choice(_LETTERS) for _ in range(8)]
        user_code = f"{''.join(letters[:4])}-{''.join(letters[4:])}"
        grant = Grant(client.id, asked.get("scope", ""), nonce=asked.get("nonce"), challenge=asked["code_challenge"])
        self._site.tokens.devices[code] = DeviceGrant(grant, user_code)
        where = f"{self._site.issuer(request)}/device"
        return JSONResponse(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": where,
                "verification_uri_complete": f"{where}?user_code={user_code}",
                "expires_in": self._site.realm.device_life_s,
                "interval": self._site.realm.device_interval_s,
            }
        )


def _lacking(client: Client, asked: dict[str, str]) -> str:
    """All that was asked for, where it names a scope that the client lacks; else "".

    >>> _lacking(client_without_acr, {"scope": "openid acr"})
    'openid acr'
    """
    wanted = asked.get("scope", "")
    return wanted if {"basic", "acr"} & set(wanted.split()) - client.scopes else ""


def _wrong_verifier(grant: Grant, asked: dict[str, str]) -> Response | None:
    if not grant.challenge:
        return None
    if "code_verifier" not in asked:
        return _no("invalid_grant", "PKCE code verifier not specified")
    digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
    if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != grant.challenge:
        return _no("invalid_grant", "PKCE verification failed: Code mismatch")
    return None


def _no(error: str, description: str) -> Response:
    return refuse(400, error, description, NO_STORE)
