"""How ThingsBoard says no: one JSON shape, with its own error codes (measured on ThingsBoard 4.2.1)."""

from __future__ import annotations

GENERAL = 2
AUTHENTICATION = 10
TOKEN_EXPIRED = 11
PERMISSION_DENIED = 20
BAD_REQUEST = 31
NOT_FOUND = 32
TOO_MANY = 33

STATUS = {
    GENERAL: 500,
    AUTHENTICATION: 401,
    TOKEN_EXPIRED: 401,
    PERMISSION_DENIED: 403,
    BAD_REQUEST: 400,
    NOT_FOUND: 404,
    TOO_MANY: 429,
}


class ApiError(Exception):
    """An answer other than 2xx, told in ThingsBoard's error shape. `code` decides the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS[code]
        self.message = message


class NotModelled(Exception):
    """The stand-in was asked for something of the real server that it does not imitate (answered with 501)."""


def bad_request(message: str) -> ApiError:
    return ApiError(BAD_REQUEST, message)


def forbidden() -> ApiError:
    return ApiError(PERMISSION_DENIED, "You don't have permission to perform this operation!")


def not_found(message: str = "Requested item wasn't found!") -> ApiError:
    return ApiError(NOT_FOUND, message)
