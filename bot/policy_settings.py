"""The settings of releases: the default policy with the fence's timings, further policies, and windows of time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from bot.settings_base import Name, Section
from core.rollouts.policy import PromotedBy, Verification
from core.windows import DAYS, Interval, Schedule, Weekly

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Label = Annotated[str, StringConstraints(max_length=80)]
Moment = datetime | date
"""A day alone is its beginning where a window begins, and its end where a window ends."""
Long = Annotated[float, Field(gt=0, le=90 * 86400)]
_NUMBERS = {day.lower(): number for number, day in enumerate(DAYS)}


def _one_or_many(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class WeeklySection(Section):
    """`to` at or before `from` is on the next day; 24:00 is midnight. `days` are those on which it opens."""

    days: list[Day] = Field(min_length=1)
    opens: Clock = Field(alias="from")
    closes: Clock = Field(alias="to")
    name: Label = ""


class FixedSection(Section):
    begins: Moment = Field(alias="from")
    ends: Moment = Field(alias="until")
    name: Label = ""


class WindowsSection(Section):
    """Times of a zone. `holidays` is a calendar file (ICS): what stands in it counts as windows too."""

    zone: str = "UTC"
    weekly: list[WeeklySection] = Field(default_factory=list, max_length=50)
    fixed: list[FixedSection] = Field(default_factory=list, max_length=200)
    holidays: Path | None = None

    @model_validator(mode="after")
    def _can_be(self) -> WindowsSection:
        problems = self.schedule().problems()
        if problems:
            raise ValueError(" ".join(problems))
        return self

    def schedule(self, calendar: tuple[Interval, ...] = ()) -> Schedule:
        """As core knows it, with what was read from `holidays`."""
        weekly = tuple(
            Weekly(tuple(sorted({_NUMBERS[day] for day in w.days})), _minute(w.opens), _minute(w.closes), w.name)
            for w in self.weekly
        )
        bare = Schedule(self.zone, weekly)
        if not self.fixed or bare.problems():
            return Schedule(self.zone, weekly, calendar=calendar)
        zone = ZoneInfo(self.zone)
        fixed = tuple(Interval(_second(f.begins, zone), _second(f.ends, zone, end=True), f.name) for f in self.fixed)
        return Schedule(self.zone, weekly, fixed, calendar)


class ReleaseFields(Section):
    """What a policy says about releases. In `policies`, what is not given there is as in `promotion`."""

    enabled: bool = Field(False, description="The scheduler may start groups; else a person starts each")
    threshold_pct: float = Field(95.0, gt=0, le=100, description="Verified among the group less excluded devices")
    confidence_pct: float | None = Field(
        None, gt=0, lt=100, description="The lower Wilson bound at this confidence must reach the threshold too"
    )
    minimum_sample: int = Field(1, ge=1)
    max_errors: int | None = Field(None, ge=0)
    max_errors_pct: float = Field(5.0, ge=0, le=100)
    soak_s: float = Field(0.0, ge=0)
    hold_window_s: float = Field(0.0, ge=0, le=86400, description="Told beforehand for so long, for somebody to hold")
    verify: Annotated[list[Verification], BeforeValidator(_one_or_many)] = Field(
        [Verification.TELEMETRY], min_length=1, max_length=500, description="By group from 1; the last one repeats"
    )
    promoted_by: Annotated[list[PromotedBy], BeforeValidator(_one_or_many)] = Field(
        [PromotedBy.SCHEDULER], min_length=1, max_length=500, description="By group from 2; the last one repeats"
    )
    max_alarm_pct: float | None = Field(
        None,
        ge=0,
        le=100,
        description="So many per cent points more open alarms among updated devices than among others",
    )
    alarm_types: list[str] = Field(default_factory=list, max_length=50, description="Which alarms count; none: all")
    freeze: WindowsSection = Field(WindowsSection(), description="In these times the scheduler starts nothing")
    exclude_cap_pct: float = Field(10.0, ge=0, le=100, description="So many of a group may be excluded")
    poll_deadline_s: Long = Field(86_400.0, description="A device that never asked hawkBit is stuck after this")
    download_deadline_s: Long = Field(7200.0, description="So is one that downloads longer than this")
    reboot_deadline_s: Long = Field(3600.0, description="Without proof of a new boot by then a device is unknown")
    cancel_deadline_s: Long = Field(3600.0, description="A device that did not confirm a cancel by then is stuck")
    offline_hold_s: float = Field(900.0, ge=0, le=86400, description="An updating device's offline alarm waits so long")


class TelemetryKeys(Section):
    """What the devices call the readings that carry proof. Without a version nothing can ever be verified."""

    version: str = "sw_version"
    slot: str = "rauc_slot"
    boot_id: str = "boot_id"
    uptime_s: str = "uptime_s"


class Promotion(ReleaseFields):
    """The default policy, and what all share: whose rollouts, the fence, what is read. Times in seconds."""

    owners: list[str] = Field(default_factory=list, description="hawkBit users whose rollouts are ours (a CI account)")
    settle_s: float = Field(10.0, gt=0, description="No two promotions of one rollout within this time")
    agree_s: float = Field(2.5, gt=0, description="Two agreeing reads, at least this far apart")
    request_timeout_s: float = Field(1.0, gt=0, description="For resume; must stay below hawkBit's tick")
    max_read_age_s: float = Field(0.9, gt=0, description="How old the read may be on which a resume is sent")
    max_request_life_s: float = Field(15.0, gt=0, description="After this no request of ours can still take effect")
    keys: TelemetryKeys = TelemetryKeys()
    freshness_s: float = Field(900.0, gt=0, description="Older evidence is no evidence")
    readings_per_tick: int = Field(40, ge=1)


class PolicySection(ReleaseFields):
    """A policy for some rollouts. Without `stacks` it is for all; without `rollouts` it applies where it is named."""

    name: Name
    stacks: list[Name] = Field(default_factory=list, max_length=100)
    rollouts: list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=100, description="Patterns of names, as release-*; case counts"
    )

    @model_validator(mode="after")
    def _not_the_default(self) -> PolicySection:
        if self.name == "default":
            raise ValueError("the policy default is the section promotion; give this one another name")
        return self


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _second(moment: Moment, zone: ZoneInfo, *, end: bool = False) -> int:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment + timedelta(days=1) if end else moment, time())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())
