"""What every endpoint of the stand-in shares: the realm, its tokens, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse

from sandbox.keycloak.realm import Realm
from sandbox.keycloak.tokens import Grant, Tokens

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(slots=True)
class Tab:
    """A login in progress in one browser: the forms still to be filled in, in order."""

    browser: str
    grant: Grant
    steps: list[str]
    device_code: str = ""
    fixed_user: str = ""
    session_code: str = ""


@dataclass(slots=True)
class Site:
    realm: Realm
    base_path: str = ""
    tokens: Tokens = field(init=False)
    tabs: dict[str, Tab] = field(default_factory=dict)
    browsers: dict[str, str] = field(default_factory=dict)
    """The single sign-on cookie's value -> session id."""

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.realm)

    def issuer(self, request: Request) -> str:
        """Follows the Host header, as with `hostname-strict=false`."""
        return f"{request.url.scheme}://{request.headers['host']}{self.path}"

    @property
    def path(self) -> str:
        return f"{self.base_path}/realms/{self.realm.name}"

    @property
    def admin_path(self) -> str:
        return f"{self.base_path}/admin/realms/{self.realm.name}"


async def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


def refuse(status: int, error: str, description: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    told = {"error": error} | ({"error_description": description} if description else {})
    return JSONResponse(told, status, headers=headers)
