"""The stand-in as one ASGI app."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from sandbox.keycloak.admin import Admin
from sandbox.keycloak.browser import Browser
from sandbox.keycloak.control import Control
from sandbox.keycloak.oidc import Oidc
from sandbox.keycloak.realm import Realm
from sandbox.keycloak.site import Site, refuse


def create_app(realm: Realm | None = None, *, base_path: str = "") -> Starlette:
    """`base_path` is where Keycloak stands below its host, e.g. "/auth". Without a realm: the file's."""
    site = Site(realm or Realm.load(), base_path)
    routes = [*Browser(site).routes, *Oidc(site).routes, *Admin(site).routes, *Control(site).routes]

    async def not_found(_request: Request, _error: Exception) -> Response:
        return refuse(404, "HTTP 404 Not Found")

    async def wrong_method(_request: Request, _error: Exception) -> Response:
        return refuse(405, "HTTP 405 Method Not Allowed")

    return Starlette(routes=routes, exception_handlers={404: not_found, 405: wrong_method})
