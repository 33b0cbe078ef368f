"""What clients may send. A wrong shape, or a word an enum does not know, is "not well formed" (400)."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from sandbox.hawkbit import errors
from sandbox.hawkbit.model import Conditions

ActionType = Literal["soft", "forced", "timeforced", "downloadonly"]


class Body(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, coerce_numbers_to_str=True)


class ConditionBody(Body):
    condition: Literal["THRESHOLD"] = "THRESHOLD"
    expression: str = "50"


class SuccessActionBody(Body):
    action: Literal["NEXTGROUP", "PAUSE"] = "NEXTGROUP"


class ErrorActionBody(Body):
    action: Literal["PAUSE"] = "PAUSE"


class Conditioned(Body):
    success_condition: ConditionBody | None = None
    success_action: SuccessActionBody | None = None
    error_condition: ConditionBody | None = None
    error_action: ErrorActionBody | None = None

    def conditions(self, defaults: Conditions) -> Conditions:
        """A threshold that is no number is refused; "150" is accepted (measured)."""
        success, error = self.success_condition, self.error_condition
        found = Conditions(
            success_threshold=success.expression if success else defaults.success_threshold,
            success_action=self.success_action.action if self.success_action else defaults.success_action,
            error_threshold=error.expression if error else defaults.error_threshold,
        )
        if not (found.success_threshold.isdigit() and found.error_threshold.isdigit()):
            raise errors.invalid("Threshold expression is not a number")
        return found


class GroupBody(Conditioned):
    name: str | None = None
    description: str | None = None
    target_filter_query: str = ""
    target_percentage: float = 100.0


class RolloutBody(Conditioned):
    name: str | None = None
    description: str | None = None
    target_filter_query: str | None = None
    distribution_set_id: int | None = None
    type: ActionType = "forced"
    forcetime: int = 0
    weight: int | None = None
    start_at: int | None = None
    amount_groups: int | None = None
    groups: list[GroupBody] | None = None


class RolloutUpdate(Body):
    name: str | None = None
    description: str | None = None


class TargetBody(Body):
    controller_id: str
    name: str | None = None
    description: str | None = None
    security_token: str | None = None


class TargetUpdate(Body):
    name: str | None = None
    description: str | None = None
    security_token: str | None = None


class AssignmentBody(Body):
    type: ActionType = "forced"
    forcetime: int | None = None
    weight: int = 1000


class SetAssignment(AssignmentBody):
    id: int


class TargetAssignment(AssignmentBody):
    id: str


class ActionUpdate(Body):
    force_type: Literal["forced", "soft"]


class ModuleBody(Body):
    name: str
    version: str
    type: Literal["os", "application"]
    vendor: str | None = None


class ModuleRef(Body):
    id: int


class SetBody(Body):
    name: str
    version: str
    type: Literal["os", "os_app", "app"] = "os_app"
    description: str | None = None
    modules: list[ModuleRef] = Field(default_factory=list)


class SetUpdate(Body):
    name: str | None = None
    version: str | None = None
    description: str | None = None
    locked: bool | None = None


class InvalidationBody(Body):
    action_cancelation_type: Literal["soft", "force", "none"]
    cancel_rollouts: bool = False


class SettingBody(Body):
    value: Any


class FeedbackResult(Body):
    finished: Literal["success", "failure", "none"] = "none"


class FeedbackStatus(Body):
    execution: Literal["closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download"]
    result: FeedbackResult = Field(default_factory=FeedbackResult)
    details: list[str] = Field(default_factory=list)
    code: int | None = None


class Feedback(Body):
    """`timestamp`: the device's own clock, in ms. What it says becomes `installedAt` (measured)."""

    status: FeedbackStatus
    timestamp: int | None = None


class ConfigData(Body):
    data: dict[str, str]
    mode: Literal["merge", "replace", "remove"] = "merge"


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], data: Any) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError:
        raise errors.not_readable() from None


def parse_list(model: type[Model], data: Any) -> list[Model]:
    adapter: TypeAdapter[list[Model]] = TypeAdapter(list[model])  # type: ignore[valid-type]
    try:
        return adapter.validate_python(data)
    except ValidationError:
        raise errors.not_readable() from None
