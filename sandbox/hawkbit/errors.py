"""hawkBit's refusals, worded as the real server words them (recorded on hawkBit 1.1.0)."""

from __future__ import annotations

from typing import Any

REPOSITORY = "org.eclipse.hawkbit.repository.exception."
MGMT_REST = "org.eclipse.hawkbit.mgmt.rest.resource.exception."


class ApiError(Exception):
    """An answer other than success. `body` None is an empty body without a content type (401, flood 429)."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def _error(
    status: int, code: str, exception: str, message: str | None = None, info: dict[str, Any] | None = None
) -> ApiError:
    body: dict[str, Any] = {"errorCode": f"hawkbit.server.error.{code}", "exceptionClass": exception}
    if info is not None:
        body["info"] = info
    if message is not None:
        body["message"] = message
    return ApiError(status, body)


def not_found(kind: str, key: int | str) -> ApiError:
    return _error(
        404,
        "repo.entityNotFound",
        REPOSITORY + "EntityNotFoundException",
        f"{kind} with given identifier {{{key}}} does not exist.",
        {"entityId": key, "type": kind},
    )


def forbidden() -> ApiError:
    return _error(
        403,
        "insufficientPermission",
        REPOSITORY + "InsufficientPermissionException",
        "Insufficient Permission",
    )


def read_only(message: str) -> ApiError:
    return _error(403, "entityreadonly", REPOSITORY + "EntityReadOnlyException", message)


def illegal_state(message: str) -> ApiError:
    return _error(400, "rollout.illegalState", REPOSITORY + "RolloutIllegalStateException", message)


def invalid(message: str) -> ApiError:
    return _error(400, "repo.constraintViolation", "jakarta.validation.ValidationException", message)


def not_readable() -> ApiError:
    return _error(
        400,
        "rest.body.notReadable",
        "org.eclipse.hawkbit.rest.exception.MessageNotReadableException",
        "The given request body is not well formed",
    )


def rsql_field() -> ApiError:
    return _error(400, "rest.param.rsqlInvalidField", REPOSITORY + "RSQLParameterUnsupportedFieldException")


def rsql_syntax() -> ApiError:
    return _error(400, "rest.param.rsqlParamSyntax", REPOSITORY + "RSQLParameterSyntaxException")


def sort_field() -> ApiError:
    return _error(
        400,
        "rest.param.invalidField",
        MGMT_REST + "SortParameterUnsupportedFieldException",
        "The given sort parameter field does not exist",
    )


def sort_syntax() -> ApiError:
    return _error(
        400,
        "rest.param.sortParamSyntax",
        MGMT_REST + "SortParameterSyntaxErrorException",
        "The given sort parameter is not well formed",
    )


def already_exists(message: str = "The given entity already exists in database") -> ApiError:
    return _error(409, "repo.entityAlreadyExists", REPOSITORY + "EntityAlreadyExistsException", message)


def locked(kind: str, key: int, operation: str) -> ApiError:
    words = f"Jpa{kind} with given identifier {{{key}}} is locked and {operation} is forbidden!"
    return _error(423, "locked", REPOSITORY + "LockedException", words)


def checksum(name: str, given: str, found: str) -> ApiError:
    return _error(
        400,
        f"artifact.uploadFailed.checksum.{name}.match",
        REPOSITORY + f"Invalid{name.capitalize()}HashException",
        f"The given {name} hash {given} does not match the calculated {name} hash {found}",
    )


def set_incomplete(set_type: str, set_id: int) -> ApiError:
    return _error(
        400,
        "distributionset.incomplete",
        REPOSITORY + "IncompleteDistributionSetException",
        f"Distribution set of type {set_type} is incomplete: {set_id}",
    )


def set_invalid(set_type: str, set_id: int) -> ApiError:
    return _error(
        400,
        "distributionset.invalid",
        REPOSITORY + "InvalidDistributionSetException",
        f"Distribution set of type {set_type} is invalid: {set_id}",
    )


def not_cancelable(message: str) -> ApiError:
    return _error(405, "action.notCancelable", REPOSITORY + "CancelActionNotAllowedException", message)


def not_force_quitable(message: str) -> ApiError:
    return _error(405, "action.notForceQuitable", REPOSITORY + "ForceQuitActionNotAllowedException", message)


def quota(message: str) -> ApiError:
    return _error(429, "quota.tooManyEntries", REPOSITORY + "AssignmentQuotaExceededException", message)


def quota_of(more: int, what: str, where: str, limit: int) -> ApiError:
    return quota(f"Quota exceeded: Cannot assign {more} more {what} entities to {where}. The maximum is {limit}.")


def config_key_invalid(key: str) -> ApiError:
    return _error(
        400,
        "configKeyInvalid",
        REPOSITORY + "InvalidTenantConfigurationKeyException",
        f"The given configuration key {key} is invalid.",
    )
