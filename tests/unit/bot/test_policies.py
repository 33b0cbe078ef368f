"""What the settings make of policies, and calendars that are read again while the bot runs."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bot.config_file import BadConfig, load_settings
from bot.policies import policies_of
from bot.policy_book import LOOK_S, CalendarWatch, PolicyBook
from bot.policy_settings import PolicySection, Promotion, ReleaseFields, WindowsSection
from bot.settings import Settings
from core.errors import Refused
from core.ids import Channel, Stack, Tenant
from core.rollouts.policies import Policies
from core.rollouts.policy import PromotedBy, Verification
from core.windows import Interval, Schedule, Weekly
from integrations.store.connection import Store
from integrations.store.outbox import Outbox, OutboxRows
from tests.conftest import ManualClock
from tests.unit.bot.conftest import edit

ROOT = Path(__file__).parents[3]
POLICIES = """
policies:
  - name: careful
    rollouts: [fw-*]
    soak_s: 7200
    verify: [both, telemetry]
    promoted_by: [scheduler, approval]
    freeze:
      zone: Europe/Berlin
      weekly:
        - {days: [fri], from: "14:00", to: "24:00", name: Friday}
      fixed:
        - {from: 2026-12-20, until: 2027-01-06, name: shutdown}
        - {from: 2026-11-25 08:00:00, until: 2026-11-25T10:00:00Z}
  - name: elsewhere
    stacks: [eu2]
"""


def read(config: Path) -> Policies:
    settings = load_settings(config)
    return policies_of(settings, settings.stacks[0])


def complaint(config: Path) -> str:
    with pytest.raises(BadConfig) as refused:
        load_settings(config)
    return str(refused.value)


def test_what_a_policy_does_not_say_is_as_in_promotion(config: Path) -> None:
    edit(config, "", POLICIES.replace("    stacks: [eu2]\n", "    stacks: [eu1]\n"))
    edit(config, "  threshold_pct: 95", "  threshold_pct: 97\n  hold_window_s: 300")
    policies = read(config)
    careful = policies.of("fw-2")
    assert policies.names() == ("default", "rollback", "careful", "elsewhere")
    assert (careful.name, careful.soak_s, careful.threshold_pct, careful.hold_window_s) == ("careful", 7200, 97, 300)
    assert careful.verify == (Verification.BOTH, Verification.TELEMETRY)
    assert careful.promoted_by == (PromotedBy.SCHEDULER, PromotedBy.APPROVAL)
    assert careful.owners == {"cdm-bot", "ci"}
    assert policies.of("other").soak_s == 600
    assert policies.of("rollback-1").hold_window_s == 0


def test_windows_are_those_of_their_zone_and_a_last_day_counts_whole(config: Path) -> None:
    edit(config, "", POLICIES.replace("    stacks: [eu2]\n", ""))
    freeze = read(config).of("fw-2").freeze
    assert freeze == Schedule(
        "Europe/Berlin",
        (Weekly((4,), 14 * 60, 24 * 60, "Friday"),),
        (
            Interval(1_797_721_200, 1_799_276_400, "shutdown"),  # 2026-12-19T23:00Z to 2027-01-06T23:00Z
            Interval(1_795_590_000, 1_795_600_800),  # 07:00Z to 10:00Z
        ),
    )


def test_windows_of_a_tenant_are_in_every_policy_but_production_stops_no_rollback(config: Path) -> None:
    windows = '{zone: Europe/Berlin, weekly: [{days: [mon, tue], from: "06:00", to: "22:00"}]}'
    edit(config, "        wireguard_range", f"        production: {windows}\n        wireguard_range")
    policies = read(config)
    assert policies.default.production == {
        Tenant("customer-a"): Schedule("Europe/Berlin", (Weekly((0, 1), 6 * 60, 22 * 60),))
    }
    assert policies.default.reboot_windows == {}
    assert policies.of("rollback-1").production == {}


def test_a_policy_named_rollback_changes_the_built_in_one(config: Path) -> None:
    edit(config, "", "\npolicies:\n  - {name: other, rollouts: ['*']}\n  - {name: rollback, threshold_pct: 80}\n")
    back = read(config).of("rollback-1")
    assert (back.name, back.threshold_pct, back.soak_s) == ("rollback", 80, 0)


def test_what_is_wrong_is_said_with_its_line(config: Path) -> None:
    edit(config, "", POLICIES)
    assert "which there is not" in complaint(config)
    edit(config, "    stacks: [eu2]\n", "")
    edit(config, "    soak_s: 7200\n", "    soak: 7200\n")
    line = next(i for i, text in enumerate(config.read_text().splitlines(), 1) if "soak: 7200" in text)
    assert f"{config}:{line}: policies[0].soak: unknown key\n    fix: write 'soak_s'" in complaint(config)
    edit(config, "    soak: 7200\n", "")
    edit(config, 'from: "14:00"', 'fron: "14:00"')
    assert "write 'from'" in complaint(config)
    edit(config, 'fron: "14:00"', 'from: "14:00"')
    edit(config, "until: 2027-01-06", "until: 2026-01-06")
    assert "shutdown ends at 2026-01-06 23:00 UTC, not after it begins" in complaint(config)
    edit(config, "until: 2026-01-06", "until: 2027-01-06")
    edit(config, "      zone: Europe/Berlin\n", "      zone: Europe/Berln\n")
    assert "'Europe/Berln' is unknown" in complaint(config)
    edit(config, "      zone: Europe/Berln\n", "      zone: Europe/Berlin\n")
    edit(config, "name: elsewhere", "name: default")
    assert "the policy default is the section promotion" in complaint(config)
    edit(config, "name: default", "name: careful")
    assert "the policy name 'careful' is given twice" in complaint(config)


def test_what_the_page_about_policies_shows_is_understood_and_its_table_has_every_field() -> None:
    page = (ROOT / "docs" / "policies.md").read_text()
    shown, tenants = (YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    Promotion.model_validate(shown["promotion"])
    assert [PolicySection.model_validate(one).verify[0] for one in shown["policies"]] == [Verification.BOTH]
    assert WindowsSection.model_validate(tenants["tenants"][0]["reboot_windows"]).schedule()
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(ReleaseFields.model_fields)


# calendars


def holiday(day: str) -> str:
    return (
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\nBEGIN:VEVENT\nUID:1\n"
        f"DTSTART;VALUE=DATE:{day}\nSUMMARY:{day}\nEND:VEVENT\nEND:VCALENDAR\n"
    )


class Installation:
    """A bot's policies with a calendar file beside its settings."""

    def __init__(self, config: Path, clock: ManualClock, store: Store) -> None:
        self.file = config.parent / "holidays.ics"
        edit(config, "  soak_s: 600", "  soak_s: 600\n  freeze: {zone: Europe/Berlin, holidays: holidays.ics}")
        self.settings: Settings = load_settings(config)
        self.clock, self.store = clock, store
        self.book = PolicyBook(self.settings, clock)
        self.site = Adopting()
        self.watch = CalendarWatch(
            book=self.book,
            sites={Stack("eu1"): self.site},  # type: ignore[dict-item]
            outbox=Outbox(store, clock),
            clock=clock,
            channel=Channel("C0ADMINS"),
        )

    def write(self, content: str) -> None:
        self.file.write_text(content)
        stamp = self.clock.now().timestamp()
        os.utime(self.file, (stamp, stamp))

    async def an_hour_later(self) -> None:
        await self.clock.forward(LOOK_S + 1)
        await self.watch.tick()

    def holidays(self) -> list[str]:
        policies = self.site.policies
        return [] if policies is None else [one.name for one in policies.default.freeze.calendar]

    async def told(self) -> list[str]:
        jobs = await OutboxRows(self.store).due(Channel("C0ADMINS"), self.clock.now().timestamp())
        return [job.wanted.message.text for job in jobs]


class Adopting:
    policies: Policies | None = None

    def adopt(self, policies: Policies) -> None:
        self.policies = policies


async def test_a_broken_calendar_at_the_start_is_an_error_with_its_place(
    config: Path, clock: ManualClock, store: Store
) -> None:
    bot = Installation(config, clock, store)
    with pytest.raises(Refused) as refused:
        await bot.book.load()
    assert "holidays.ics (promotion.freeze.holidays in cdm.yaml) cannot be used" in refused.value.user_text
    assert "No such file" in refused.value.user_text


async def test_a_changed_calendar_is_in_force_within_the_hour(config: Path, clock: ManualClock, store: Store) -> None:
    bot = Installation(config, clock, store)
    year = clock.now().year
    bot.write(holiday(f"{year}1224"))
    await bot.book.load()
    await bot.an_hour_later()
    assert bot.holidays() == [f"{year}1224"]
    bot.write(holiday(f"{year}1231"))
    await clock.forward(LOOK_S / 2)
    await bot.watch.tick()
    assert bot.holidays() == [f"{year}1224"]
    await bot.an_hour_later()
    assert bot.holidays() == [f"{year}1231"]
    assert await bot.told() == []


async def test_a_calendar_that_breaks_is_told_its_windows_stay_and_its_mending_is_told_in_the_same_message(
    config: Path, clock: ManualClock, store: Store
) -> None:
    bot = Installation(config, clock, store)
    year = clock.now().year
    bot.write(holiday(f"{year}1224"))
    await bot.book.load()
    bot.write("<html>Please log in</html>")
    await bot.an_hour_later()
    await bot.an_hour_later()
    assert bot.holidays() == [f"{year}1224"]
    (told,) = await bot.told()
    assert "`holidays.ics`* cannot be read" in told
    assert "stay in force" in told
    bot.write(holiday(f"{year}1226"))
    await bot.an_hour_later()
    assert bot.holidays() == [f"{year}1226"]
    (told,) = await bot.told()
    assert "can be read again" in told


async def test_with_another_year_the_calendar_is_read_further(config: Path, clock: ManualClock, store: Store) -> None:
    bot = Installation(config, clock, store)
    year = clock.now().year
    bot.write(holiday(f"{year}1224").replace("SUMMARY", "RRULE:FREQ=YEARLY\nSUMMARY"))
    await bot.book.load()
    first = bot.book.of(Stack("eu1")).default.freeze.calendar
    await clock.forward(timedelta(days=366).total_seconds())
    await bot.watch.tick()
    assert len(bot.holidays()) > len(first)
