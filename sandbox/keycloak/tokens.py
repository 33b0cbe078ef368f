"""Keys, sessions and the tokens made from them."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from sandbox.keycloak.realm import Client, Realm, User

CODE_LIFE_S = 60
REFRESH_LIFE_S = 1800


@dataclass(slots=True)
class Session:
    """A person's login in one browser. `ended`: the client's part was ended, as after a replayed code."""

    user_id: str
    auth_time: int
    ended: bool = False
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))


@dataclass(slots=True)
class Grant:
    """What a login was for: everything a token made from it must repeat or check."""

    client_id: str
    scope: str
    redirect_uri: str = ""
    state: str | None = None
    nonce: str | None = None
    challenge: str = ""
    session: Session | None = None
    acr: str = "pwd"
    used: bool = False
    made_at: float = field(default_factory=time.time)


@dataclass(slots=True)
class DeviceGrant:
    grant: Grant
    user_code: str
    verdict: str = "pending"
    polled_at: float = 0.0


class Tokens:
    """Signs with RS256. The JWKS also lists an encryption key, as the real one does."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = secrets.token_urlsafe(32)
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.jwks = {
            "keys": [
                self._jwk(self._key, self._kid, "RS256", "sig"),
                self._jwk(other, secrets.token_urlsafe(32), "RSA-OAEP", "enc"),
            ]
        }
        self._refresh_secret = secrets.token_bytes(64)
        self.sessions: dict[str, Session] = {}
        self.codes: dict[str, Grant] = {}
        self.devices: dict[str, DeviceGrant] = {}

    @staticmethod
    def _jwk(key: rsa.RSAPrivateKey, kid: str, alg: str, use: str) -> dict[str, str]:
        made = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {"kid": kid, "kty": "RSA", "alg": alg, "use": use, "n": str(made["n"]), "e": str(made["e"])}

    def open_session(self, user: User) -> Session:
        session = Session(user.id, int(time.time()))
        self.sessions[session.id] = session
        return session

    def code_for(self, grant: Grant, session: Session, acr: str) -> str:
        grant.session, grant.acr, grant.made_at = session, acr, time.time()
        code = f"{uuid.uuid4()}.{session.id}.{uuid.uuid4()}"
        self.codes[code] = grant
        return code

    def live(self, session: Session | None) -> User | None:
        """The session's user, while both exist and the user is enabled."""
        user = self._realm.users.get(session.user_id) if session else None
        return user if user and user.enabled and session and not session.ended else None

    def for_person(self, issuer: str, grant: Grant, user: User, *, nonce: bool = True) -> dict[str, Any]:
        session = grant.session
        assert session is not None
        access = self._sign(
            self._claims(issuer, grant.client_id, user)
            | {"typ": "Bearer", "aud": [grant.client_id, "account"]}
            | {"sid": session.id, "scope": _scope(grant.scope)}
            | self._proof(grant, session)
            | self.person(user)
        )
        refresh = {
            **{"typ": "Refresh", "sub": user.id, "azp": grant.client_id, "iss": issuer, "aud": issuer},
            **{"sid": session.id, "scope": grant.scope, "acr": grant.acr, "exp": int(time.time()) + REFRESH_LIFE_S},
        }
        answer: dict[str, Any] = {
            "access_token": access,
            "expires_in": self._realm.token_life_s,
            "refresh_expires_in": REFRESH_LIFE_S,
            "refresh_token": jwt.encode(refresh, self._refresh_secret, algorithm="HS512"),
            "token_type": "Bearer",
        }
        if "openid" in grant.scope.split():
            digest = hashlib.sha256(access.encode()).digest()[:16]
            answer["id_token"] = self._sign(
                self._claims(issuer, grant.client_id, user)
                | {"typ": "ID", "aud": grant.client_id, "sid": session.id}
                | self._proof(grant, session)
                | ({"nonce": grant.nonce} if nonce and grant.nonce is not None else {})
                | {"at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
                | self.person(user)
            )
        return answer | {"not-before-policy": 0, "session_state": session.id, "scope": _scope(grant.scope)}

    def for_service(self, issuer: str, client: Client) -> dict[str, Any]:
        user = self._realm.service_account(client.id)
        rights = {"realm-management": {"roles": sorted(user.effective_rights)}} if user.rights else {}
        claims = self._claims(issuer, client.id, user) | {"typ": "Bearer", "aud": [client.id, *rights]}
        claims |= ({"resource_access": rights} if rights else {}) | ({"acr": "pwd"} if "acr" in client.scopes else {})
        more = {"scope": "email profile", "email_verified": False, "preferred_username": user.username}
        return {
            "access_token": self._sign(claims | more),
            "expires_in": self._realm.token_life_s,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "email profile",
        }

    def _proof(self, grant: Grant, session: Session) -> dict[str, Any]:
        """When and how the person logged in: from the client scopes `basic` and `acr`."""
        scopes = self._realm.clients[grant.client_id].scopes
        when: dict[str, Any] = {"auth_time": session.auth_time} if "basic" in scopes else {}
        return when | ({"acr": grant.acr} if "acr" in scopes else {})

    def read_bearer(self, authorization: str) -> dict[str, Any] | None:
        """The claims of a valid access token of ours, else None."""
        return self._read(authorization.removeprefix("Bearer "), self._key.public_key(), "RS256", "Bearer")

    def read_refresh(self, token: str) -> dict[str, Any] | None:
        return self._read(token, self._refresh_secret, "HS512", "Refresh")

    @staticmethod
    def _read(token: str, key: Any, algorithm: str, kind: str) -> dict[str, Any] | None:
        try:
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=[algorithm], options={"verify_aud": False})
        except jwt.InvalidTokenError:
            return None
        return claims if claims.get("typ") == kind else None

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def _claims(self, issuer: str, client_id: str, user: User) -> dict[str, Any]:
        now = int(time.time())
        life = {"exp": now + self._realm.token_life_s, "iat": now, "jti": str(uuid.uuid4())}
        return life | {"iss": issuer, "sub": user.id, "azp": client_id}

    def person(self, user: User) -> dict[str, Any]:
        """The claim `groups` is absent, not [], for a person in no group."""
        claims: dict[str, Any] = {
            "email_verified": user.email_verified,
            "realm_access": {"roles": [role.name for role in self._realm.effective_roles(user)]},
            "name": f"{user.first_name} {user.last_name}".strip(),
            "preferred_username": user.username,
            "given_name": user.first_name,
            "family_name": user.last_name,
            "email": user.email,
        }
        return claims | ({"groups": [group.path for group in user.groups]} if user.groups else {})


def _scope(asked: str) -> str:
    return "openid email profile" if "openid" in asked.split() else "email profile"
