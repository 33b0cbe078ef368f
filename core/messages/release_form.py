"""The form for a release: what goes where, in which groups, when. Within Slack's limits by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.messages.blocks import section
from core.messages.views import Field, Option, View, input_block, modal

RELEASE_FORM = "release-form"
"""The callback_id of the form."""
TITLE = "Make a release"
SET, WHERE, FILTER, GROUPS, KIND, START, POLICY, LABEL = (
    *("set", "where", "filter", "groups", "kind", "start", "policy", "label"),
)
"""The block_ids, and action_ids, of its inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFormView:
    """`sets` and `wheres`: what may be chosen. `policies`: names; of a single one nothing is asked."""

    metadata: Mapping[str, Any]
    sets: Sequence[Option]
    wheres: Sequence[Option]
    groups: str
    policies: Sequence[str]


def release_form(view: ReleaseFormView) -> View:
    kinds = (Option("forced", "forced: install when the device polls"), Option("soft", "soft: when the device likes"))
    policies = [Option(name, name) for name in view.policies]
    fields = [
        Field(block_id=SET, action_id=SET, label="Distribution set", kind="choice", options=view.sets),
        Field(
            block_id=WHERE,
            action_id=WHERE,
            label="Devices",
            kind="choice",
            options=view.wheres,
            initial=view.wheres[0].value if len(view.wheres) == 1 else "",
        ),
        Field(
            block_id=FILTER,
            action_id=FILTER,
            label="Only those that pass this filter",
            kind="text",
            hint="In hawkBit's filter language, as in controllerId==line-1-* or tag==pilot.",
            optional=True,
        ),
        Field(
            block_id=GROUPS,
            action_id=GROUPS,
            label="Groups",
            kind="text",
            hint="Shares in per cent. hawkBit pauses after each; the next one starts by policy, or by a person.",
            initial=view.groups,
        ),
        Field(block_id=KIND, action_id=KIND, label="Update", kind="choice", options=kinds, initial="forced"),
        Field(
            block_id=START,
            action_id=START,
            label="Start",
            kind="instant",
            hint="In your own time zone. Left empty, a person starts it.",
            optional=True,
        ),
    ]
    if len(policies) > 1:
        hint = "Left empty: the one whose pattern fits the name."
        fields.append(
            Field(
                block_id=POLICY,
                action_id=POLICY,
                label="Policy",
                kind="choice",
                options=policies,
                hint=hint,
                optional=True,
            )
        )
    fields.append(
        Field(
            block_id=LABEL,
            action_id=LABEL,
            label="Label",
            kind="text",
            hint="Only where the same set goes to the same devices once more.",
            optional=True,
        )
    )
    return modal(
        TITLE, [input_block(one) for one in fields], submit="Preview", callback_id=RELEASE_FORM, metadata=view.metadata
    )


def loading_release(external_id: str) -> View:
    """Opened at once; filled when Keycloak and hawkBit have answered."""
    wait = section("⏳ Asking Keycloak what you may release, and hawkBit what there is …")
    return modal(TITLE, [wait], callback_id=RELEASE_FORM, external_id=external_id)
