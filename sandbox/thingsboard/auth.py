"""Who is calling: ThingsBoard's own JWTs and, on 4.3, API keys (measured on 4.2.1 and 4.3.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from sandbox.thingsboard.entities import Json, User, ref
from sandbox.thingsboard.errors import AUTHENTICATION, TOKEN_EXPIRED, ApiError
from sandbox.thingsboard.world import World

JWT_LIFETIME_S = 9000.0
REFRESH_LIFETIME_S = 604_800.0


def _refused(message: str = "Invalid username or password") -> ApiError:
    return ApiError(AUTHENTICATION, message)


@dataclass(slots=True)
class ApiKey:
    id: str
    user: User
    value: str
    description: str
    expiration: int
    created: int
    enabled: bool = True

    def json(self, world: World, *, with_value: bool = False) -> Json:
        shown: Json = {
            "id": ref("API_KEY", self.id),
            "createdTime": self.created,
            "tenantId": ref("TENANT", self.user.tenant),
            "userId": ref("USER", self.user.id),
            "expirationTime": self.expiration,
            "description": self.description,
            "enabled": self.enabled,
        }
        if with_value:
            shown["value"] = self.value
        return shown | {"expired": self.expired(world.now())}

    def expired(self, now_ms: int) -> bool:
        return 0 < self.expiration <= now_ms


class Auth:
    """Issues and checks tokens. `jwt_lifetime_s` can be set short to see code 11. The key survives a restart."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jwt_lifetime_s = JWT_LIFETIME_S
        self.refresh_lifetime_s = REFRESH_LIFETIME_S
        self.keys: dict[str, ApiKey] = {}
        self._secret = f"{world.rng.getrandbits(512):0128x}"
        self._ended: set[str] = set()

    def login(self, email: str, password: str) -> Json:
        user = self.world.user_by_email(email)
        if user is None or user.password is None or user.password != password:
            raise _refused()
        return self.pair(user)

    def pair(self, user: User) -> Json:
        return {
            "token": self._sign(user, [user.authority], self.jwt_lifetime_s),
            "refreshToken": self._sign(user, ["REFRESH_TOKEN"], self.refresh_lifetime_s),
        }

    def refresh(self, token: str) -> Json:
        """A new pair. The same refresh token may be used again (measured)."""
        claims = self._check(token)
        if claims["scopes"] != ["REFRESH_TOKEN"]:
            raise _refused()
        return self.pair(self._user(claims))

    def end_session(self, headers: Mapping[str, str]) -> None:
        self._ended.add(str(self._check(self._bearer(headers))["sessionId"]))

    def caller(self, headers: Mapping[str, str]) -> User:
        given = headers.get("x-authorization") or headers.get("authorization") or ""
        if not given:
            raise _refused("Authentication failed")
        if self.world.is_43 and given.startswith("ApiKey "):
            return self._by_key(given.removeprefix("ApiKey "))
        claims = self._check(self._bearer(headers))
        if claims["scopes"] == ["REFRESH_TOKEN"]:
            raise _refused()
        return self._user(claims)

    def add_key(self, user: User, description: str, expiration: int) -> ApiKey:
        value = "tb_" + "".join(self.world.new_token() for _ in range(5))[:86]
        key = ApiKey(self.world.new_id(), user, value, description, expiration, self.world.now())
        self.keys[key.id] = key
        return key

    def _by_key(self, value: str) -> User:
        key = next((k for k in self.keys.values() if k.value == value), None)
        if key is None:
            raise _refused()
        if not key.enabled:
            raise _refused("User account is not active")
        if key.expired(self.world.now()):
            raise _refused()
        return key.user

    @staticmethod
    def _bearer(headers: Mapping[str, str]) -> str:
        given = headers.get("x-authorization") or headers.get("authorization") or ""
        return given[len("Bearer ") :]

    def _sign(self, user: User, scopes: list[str], lifetime_s: float) -> str:
        now = self.world.clock()
        claims: dict[str, Any] = {
            "sub": user.email,
            "userId": user.id,
            "scopes": scopes,
            "sessionId": self.world.new_id(),
            "exp": int(now + lifetime_s),
            "iss": "thingsboard.io",
            "iat": int(now),
            "isPublic": False,
        }
        if scopes == ["REFRESH_TOKEN"]:
            claims["jti"] = self.world.new_id()
        else:
            claims |= {
                "firstName": user.first,
                "lastName": user.last,
                "enabled": True,
                "tenantId": user.tenant,
                "customerId": user.customer,
            }
        return jwt.encode(claims, self._secret, algorithm="HS512")

    def _check(self, token: str) -> dict[str, Any]:
        unchecked: Options = {"verify_exp": False, "verify_iat": False}
        try:
            claims: dict[str, Any] = jwt.decode(token, self._secret, algorithms=["HS512"], options=unchecked)
        except jwt.InvalidTokenError:
            raise _refused() from None
        if claims["exp"] <= self.world.clock():
            raise ApiError(TOKEN_EXPIRED, "Token has expired")
        if claims["sessionId"] in self._ended:
            raise ApiError(TOKEN_EXPIRED, "Token is outdated")
        return claims

    def _user(self, claims: Mapping[str, Any]) -> User:
        user = self.world.users.get(str(claims["userId"]))
        if user is None:
            raise _refused("User not found by refresh token" if "jti" in claims else "Authentication failed")
        return user
