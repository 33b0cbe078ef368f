"""Every key the bot writes has a family, and a family beyond its cap is seen."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import flows
import integrations
from bot.store_survey import ALL_FAMILIES, FamilyUse, family_of, survey
from integrations.store.connection import Store
from integrations.store.families import Family


def modules_below(package: ModuleType) -> list[ModuleType]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found]


def test_every_module_with_families_is_registered() -> None:
    owners = [m for package in (integrations, flows) for m in modules_below(package) if hasattr(m, "FAMILIES")]
    assert len(owners) > 8
    assert {m.__name__ for m in owners if not set(m.FAMILIES) <= set(ALL_FAMILIES)} == set()


def test_patterns_are_whole_keys_or_beginnings_and_no_two_are_equal() -> None:
    patterns = [family.pattern for family in ALL_FAMILIES]
    assert len(set(patterns)) == len(patterns)
    assert [p for p in patterns if not p.startswith("cdm:") or set("*?[") & set(p.removesuffix("*"))] == []


def test_the_longest_pattern_decides() -> None:
    def name(key: str) -> str | None:
        found = family_of(key, ALL_FAMILIES)
        return found.name if found else None

    assert name("cdm:work") == "work"
    assert name("cdm:work:dead") == "work, failed"
    assert name("cdm:outbox:budget:C1") == "budgets"
    assert name("cdm:alarms:active:eu1/customer-a") == "alarms, active"
    assert name("cdm:workshop") is None


async def test_what_is_counted_is_what_is_there(store: Store) -> None:
    many, one = Family("many", "cdm:many:*", "never", max_entries=2, max_bytes=1000), Family("one", "cdm:one", "never")
    for number in range(3):
        await store.set(f"cdm:many:{number}", b"x" * (5000 if number == 1 else 10))
    for _ in range(4):
        await store.xadd("cdm:one", {"a": "b"})
    await store.set("cdm:other", "1")
    await store.set("somebody:else", "1")
    found = await survey(store, (many, one))
    assert [(use.keys, use.longest) for use in found.families] == [(3, 0), (1, 4)]
    assert (found.strangers, found.stranger_count) == (("cdm:other",), 1)
    entries, size = found.families[0].over
    assert entries == "3 entries, the cap is 2"
    assert size == "one key has 5,000 bytes, the cap is 1,000"
    assert found.families[1].over == ()


async def test_a_large_family_is_reckoned_from_a_sample(store: Store) -> None:
    family = Family("docs", "cdm:doc:*", "never")
    async with store.pipeline(transaction=False) as pipe:
        for number in range(500):
            pipe.set(f"cdm:doc:{number:03}", b"x" * 1000)
        await pipe.execute()
    (use,) = (await survey(store, (family,))).families
    assert use.keys == 500
    assert 500 * 1000 < use.bytes < 500 * 2000


def test_the_longest_stream_counts_against_the_cap_of_entries() -> None:
    family = Family("work", "cdm:work", "when done", max_entries=10)
    assert FamilyUse(family, keys=1, longest=10).over == ()
    assert FamilyUse(family, keys=1, longest=11).over == ("11 entries, the cap is 10",)
