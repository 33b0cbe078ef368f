"""Alarm rules as JSON documents, read into one form: device-profile alarms (4.2) and ALARM calculated fields (4.3).

Only what such rules commonly use is imitated: simple and repeating conditions, string, numeric and boolean predicates.
Anything else in a posted document is refused (`NotModelled`), never silently accepted.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.thingsboard.entities import SEVERITIES, Json
from sandbox.thingsboard.errors import NotModelled

KeyKind = Literal["TIME_SERIES", "ATTRIBUTE"]
Key = tuple[KeyKind, str]
Predicate = Callable[[Any], bool]

_ORDERED: dict[str, Callable[[float, float], bool]] = {
    "EQUAL": operator.eq,
    "NOT_EQUAL": operator.ne,
    "GREATER": operator.gt,
    "LESS": operator.lt,
    "GREATER_OR_EQUAL": operator.ge,
    "LESS_OR_EQUAL": operator.le,
}
_TEXTUAL: dict[str, Callable[[str, str], bool]] = {
    "EQUAL": operator.eq,
    "NOT_EQUAL": operator.ne,
    "STARTS_WITH": str.startswith,
    "ENDS_WITH": str.endswith,
    "CONTAINS": lambda text, part: part in text,
    "NOT_CONTAINS": lambda text, part: part not in text,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One create or clear rule. `filters` are ANDed (ORed if `any_of`); `repeats` events in a row are needed."""

    severity: str | None
    filters: tuple[tuple[Key, Predicate], ...]
    details: str | None
    repeats: int = 1
    any_of: bool = False

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset(key for key, _ in self.filters)

    def holds(self, values: Mapping[Key, Any]) -> bool:
        found = [key in values and predicate(values[key]) for key, predicate in self.filters]
        return any(found) if self.any_of else all(found)


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """`details_keys` names what `${...}` in details may use: 4.2 the condition's own keys (None), 4.3 any argument."""

    id: str
    alarm_type: str
    creates: tuple[Condition, ...]
    clear: Condition | None
    propagate: bool = False
    propagate_to_owner: bool = False
    propagate_to_tenant: bool = False
    arguments: Mapping[str, Key] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def concerns(self, condition: Condition, changed: frozenset[Key]) -> bool:
        """Whether this change has the condition evaluated. 4.3: a change of any argument. 4.2: of the condition's own
        keys, and no attribute's where it looks at telemetry (upstream source)."""
        if self.arguments is not None:
            return bool(changed & set(self.arguments.values()))
        if not condition.keys & changed:
            return False
        return all(kind == "ATTRIBUTE" for kind, _ in condition.keys) or any(k == "TIME_SERIES" for k, _ in changed)

    def details(self, condition: Condition, values: Mapping[Key, Any]) -> Json | None:
        """The alarm's details, or None where the rule names none and the alarm keeps what it has."""
        if not condition.details:
            return None
        usable = self.arguments or {key[1]: key for key in condition.keys}

        def fill(match: re.Match[str]) -> str:
            key = usable.get(match[1])
            return as_text(values[key]) if key is not None and key in values else match[0]

        return {"data": re.sub(r"\$\{([^}]*)\}", fill, condition.details)}


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def profile_rules(body: Json) -> list[AlarmRule]:
    """The rules of a device profile: `profileData.alarms` and nothing else (`alarmRules` is ignored, measured)."""
    return [_profile_rule(alarm) for alarm in (body.get("profileData") or {}).get("alarms") or []]


def _profile_rule(alarm: Json) -> AlarmRule:
    creates = [_profile_condition(s, rule) for s, rule in (alarm.get("createRules") or {}).items()]
    clear = alarm.get("clearRule")
    return AlarmRule(
        id=str(alarm.get("id")),
        alarm_type=str(alarm["alarmType"]),
        creates=tuple(sorted(creates, key=lambda c: SEVERITIES.index(str(c.severity)))),
        clear=_profile_condition(None, clear) if clear else None,
        propagate=bool(alarm.get("propagate")),
        propagate_to_owner=bool(alarm.get("propagateToOwner")),
        propagate_to_tenant=bool(alarm.get("propagateToTenant")),
    )


def _profile_condition(severity: str | None, rule: Json) -> Condition:
    if (rule.get("schedule") or {"type": "ANY_TIME"})["type"] != "ANY_TIME":
        raise NotModelled("alarm rule schedules")
    filters = []
    for part in rule["condition"]["condition"]:
        kind = part["key"]["type"]
        if kind not in ("TIME_SERIES", "ATTRIBUTE"):
            raise NotModelled(f"alarm rule key type {kind}")
        filters.append(((kind, str(part["key"]["key"])), _predicate(part["predicate"], "defaultValue")))
    return Condition(severity, tuple(filters), rule.get("alarmDetails"), _repeats(rule["condition"].get("spec")))


def _repeats(spec: Json | None) -> int:
    if spec is None or spec["type"] == "SIMPLE":
        return 1
    if spec["type"] == "REPEATING":
        return int(spec["predicate"]["defaultValue"])
    raise NotModelled(f"alarm condition of type {spec['type']}")


def field_rule(body: Json) -> AlarmRule:
    """The rule of an ALARM calculated field (4.3)."""
    configuration = body["configuration"]
    arguments: dict[str, Key] = {}
    defaults: dict[str, Any] = {}
    for name, argument in configuration["arguments"].items():
        entity_key = argument["refEntityKey"]
        kinds: dict[str, KeyKind] = {"TS_LATEST": "TIME_SERIES", "ATTRIBUTE": "ATTRIBUTE"}
        if entity_key["type"] not in kinds:
            raise NotModelled(f"calculated field argument of type {entity_key['type']}")
        arguments[name] = (kinds[entity_key["type"]], str(entity_key["key"]))
        if argument.get("defaultValue") is not None:
            defaults[name] = argument["defaultValue"]
    creates = [_field_condition(s, rule, arguments) for s, rule in configuration["createRules"].items()]
    clear = configuration.get("clearRule")
    return AlarmRule(
        id=str(body["id"]["id"]),
        alarm_type=str(body["name"]),
        creates=tuple(sorted(creates, key=lambda c: SEVERITIES.index(str(c.severity)))),
        clear=_field_condition(None, clear, arguments) if clear else None,
        propagate=bool(configuration.get("propagate")),
        propagate_to_owner=bool(configuration.get("propagateToOwner")),
        propagate_to_tenant=bool(configuration.get("propagateToTenant")),
        arguments=arguments,
        defaults=defaults,
    )


def _field_condition(severity: str | None, rule: Json, arguments: Mapping[str, Key]) -> Condition:
    condition = rule["condition"]
    if condition["type"] != "SIMPLE" or condition["expression"]["type"] != "SIMPLE" or condition.get("schedule"):
        raise NotModelled("calculated field conditions other than SIMPLE")
    filters = []
    for part in condition["expression"]["filters"]:
        predicate = {"type": "COMPLEX", "operation": part["operation"], "predicates": part["predicates"]}
        filters.append((arguments[part["argument"]], _predicate(predicate, "staticValue")))
    any_of = condition["expression"].get("operation") == "OR"
    return Condition(severity, tuple(filters), rule.get("alarmDetails"), any_of=any_of)


def _predicate(written: Json, value_key: str) -> Predicate:
    kind = written["type"]
    if kind == "COMPLEX":
        parts = [_predicate(part, value_key) for part in written["predicates"]]
        join = any if written["operation"] == "OR" else all
        return lambda value: join(part(value) for part in parts)
    if written["value"].get("dynamicValue") or written["value"].get("dynamicValueArgument"):
        raise NotModelled("dynamic values in alarm rules")
    wanted = written["value"][value_key]
    if kind == "STRING":
        return _string(written, str(wanted))
    if kind == "NUMERIC":
        return _numeric(_ORDERED[written["operation"]], float(wanted))
    if kind == "BOOLEAN":
        same = written["operation"] == "EQUAL"
        return lambda value: (as_text(value) == as_text(bool(wanted))) is same
    raise NotModelled(f"predicate of type {kind}")


def _string(written: Json, wanted: str) -> Predicate:
    if written["operation"] not in _TEXTUAL:
        raise NotModelled(f"string operation {written['operation']}")
    compare = _TEXTUAL[written["operation"]]
    if written.get("ignoreCase"):
        return lambda value: compare(as_text(value).lower(), wanted.lower())
    return lambda value: compare(as_text(value), wanted)


def _numeric(compare: Callable[[float, float], bool], wanted: float) -> Predicate:
    def holds(value: Any) -> bool:
        try:
            return compare(float(value), wanted)
        except (TypeError, ValueError):
            return False

    return holds
