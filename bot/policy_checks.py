"""The settings' policies checked stack by stack, each finding with its place in the file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.calendars import BadCalendar, read_calendar
from bot.config_file import Complaint, dotted, line_of
from bot.policies import Calendars, calendar_files, policies_of
from bot.probe import bounded, thingsboard
from bot.probe.finding import Finding
from bot.settings import Settings
from core.ids import Stack
from core.rollouts.policy_check import DEFAULT_SHARES, PolicyFinding, check_policy
from core.windows import Interval


@dataclass(frozen=True, slots=True)
class Checked:
    """`refused` must be mended; `warned` may be meant so."""

    refused: Sequence[Complaint]
    warned: Sequence[Complaint]


def check_policies(
    settings: Settings,
    path: Path,
    *,
    shares: Sequence[float] = DEFAULT_SHARES,
    devices: Mapping[Stack, int] | None = None,
) -> Checked:
    """`devices` by stack, for what depends on the groups' sizes. Reads the calendar files."""
    now = datetime.now(UTC)
    calendars, broken = _calendars(settings, path, now)
    found: dict[Complaint, bool] = {}
    for section in settings.stacks:
        known = policies_of(settings, section, calendars)
        for policy in (known.default, *(rule.policy for rule in known.rules)):
            findings = check_policy(
                policy,
                now,
                shares=shares,
                devices=(devices or {}).get(Stack(section.name)),
                relay=section.relay is not None,
            )
            for finding in findings:
                text = f"policy {policy.name} in stack {section.name}: {finding.text}"
                where, line = _place(settings, path, policy.name, finding)
                found.setdefault(Complaint(str(path), line, where, text, finding.fix), finding.refused)
    said = list(_without_repeats(found))
    return Checked([*broken, *(c for c in said if found[c])], [c for c in said if not found[c]])


def _without_repeats(found: Mapping[Complaint, bool]) -> Iterator[Complaint]:
    """What the default is told about need not be told of each policy that takes it over."""
    told: set[tuple[str, str]] = set()
    for complaint in found:
        about = complaint.where, complaint.problem.partition(": ")[2]
        if about not in told:
            told.add(about)
            yield complaint


def _calendars(settings: Settings, path: Path, now: datetime) -> tuple[Calendars, list[Complaint]]:
    known: dict[tuple[Path, str], tuple[Interval, ...]] = {}
    broken: list[Complaint] = []
    for (file, zone), loc in calendar_files(settings).items():
        try:
            known[file, zone] = read_calendar(file, ZoneInfo(zone), now)
        except BadCalendar as error:
            fix = "correct the file, or take the line out"
            broken.append(Complaint(str(path), line_of(path, loc), dotted(loc), f"{file} cannot be used: {error}", fix))
    return known, broken


def _place(settings: Settings, path: Path, policy: str, finding: PolicyFinding) -> tuple[str, int | None]:
    """Where the value stands that is to be changed: in the policy if it says it, else in the default."""
    loc: tuple[str | int, ...] = ("promotion",)
    for n, given in enumerate(settings.policies):
        if given.name == policy and finding.field in given.model_fields_set:
            loc = ("policies", n, finding.field)
    if loc == ("promotion",) and finding.field in type(settings.promotion).model_fields:
        loc = ("promotion", finding.field)
    if finding.field in ("production", "reboot_windows"):
        loc = ("stacks",)
    return dotted(loc), line_of(path, loc)


async def ask_fleet(settings: Settings, timeout_s: float) -> tuple[Mapping[Stack, int], Sequence[Finding]]:
    """How many devices each stack has by ThingsBoard, where each of its tenants said so; and what was found there."""
    devices: dict[Stack, int] = {}
    findings: list[Finding] = []
    for section in settings.stacks:
        asked = [(tenant, thingsboard.name_of(section, tenant)) for tenant in section.tenants]
        looks = [bounded(name, thingsboard.look(settings, section, tenant), timeout_s) for tenant, name in asked]
        found = [finding for one in await asyncio.gather(*looks) for finding in one]
        counts = [finding.devices for finding in found if finding.devices is not None]
        if len(counts) == len(asked):
            devices[Stack(section.name)] = sum(counts)
        findings += found
    return devices, findings
