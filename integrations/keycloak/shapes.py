"""Answers of the admin API, checked field by field: a page of a proxy must never read as a person with rights."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, TypeAdapter


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class UserAnswer(_Answer):
    id: UUID
    username: StrictStr = Field(min_length=1)
    email: StrictStr = ""
    email_verified: StrictBool = Field(alias="emailVerified")
    enabled: StrictBool


class ManagedUserAnswer(UserAnswer):
    access: dict[str, StrictBool]


class RoleAnswer(_Answer):
    name: StrictStr = Field(min_length=1)
    client_role: StrictBool = Field(alias="clientRole")


class GroupAnswer(_Answer):
    id: UUID
    name: StrictStr = Field(min_length=1)
    path: StrictStr = Field(pattern=r"^/")

    @property
    def depth(self) -> int:
        return self.path.count("/")


USERS = TypeAdapter(list[UserAnswer])
ROLES = TypeAdapter(list[RoleAnswer])
GROUPS = TypeAdapter(list[GroupAnswer])
