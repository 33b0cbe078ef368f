"""The app's Home tab: by live right, with what could not be read said, and a form that answers where it was opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from sandbox.slack.seen import SeenView
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import until

pytestmark = ONE_LOOP
RELEASE = "winter release"
NOT_OURS = r"^\w+ (?!/_sandbox)"


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    bob: Person
    alice: Person
    carol: Person
    frank: Person
    heidi: Person

    async def wants(self, name: str, *devices: str) -> int:
        """Bob asks for a rollout over these devices, a group for each, to be stopped."""
        groups = [100 / len(devices)] * len(devices)
        rollout = await self.office.starts_rollout(name, "1.1.0", devices, groups, fates=("silent",))

        async def running() -> bool:
            return await self.office.started(rollout) == 1

        await until(running, f"{name} runs")
        told = await self.bob.types(f"ask stop {name} slot B is bricked")
        assert "waits for approval" in told.shown
        return rollout


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(devices=30) as here:
        people = {name: here.person(name) for name in ("bob", "alice", "carol", "frank", "heidi")}
        await here.links({person: name for name, person in people.items()})
        await here.alarm("a-gw-001")
        await here.starts_rollout(RELEASE, "1.1.0", ["a-gw-002", "a-gw-003"])
        yield Cast(here, **people)


async def opens(person: Person, *words: str, lacks: str = "") -> SeenView:
    """Open the Home tab, again and again as people do, until it shows these words."""
    slack = person.office.slack

    async def shown() -> SeenView | None:
        await slack.open_home(person.id)
        view = await slack.home(person.id)
        said = read(view) if view else ""
        return view if all(w in said for w in words) and (not lacks or lacks not in said) else None

    found = await until(shown, f"{person.id}'s Home shows {words}", look_s=0.3)
    assert isinstance(found, SeenView)
    return found


async def follows(person: Person, *words: str, lacks: str = "") -> SeenView:
    """Look at the tab, which stands open, until it shows these words by itself."""

    async def shown() -> SeenView | None:
        view = await person.office.slack.home(person.id)
        said = read(view) if view else ""
        return view if all(w in said for w in words) and (not lacks or lacks not in said) else None

    found = await until(shown, f"{person.id}'s Home comes to show {words}", within_s=45, look_s=0.3)
    assert isinstance(found, SeenView)
    return found


async def presses(person: Person, action: str, *words: str) -> SeenView:
    delivered = await person.office.slack.click_in_view(person.id, action, home=True)
    assert delivered.acked, delivered.error
    return await follows(person, *words)


def read(view: SeenView) -> str:
    """As a person reads it: without what only formats."""
    return view.shown.replace("\u200b", "").replace("*", "").replace("`", "")


def buttons(view: SeenView) -> set[str]:
    return {button.action_id for button in view.buttons}


async def test_an_operator_sees_who_they_are_and_what_is_open_in_their_tenants_with_when_it_was_read(
    cast: Cast,
) -> None:
    view = await opens(cast.bob, RELEASE, "a-gw-001")
    for words in ("bob@customer-a.example", "customer-a", "cdm-operator", "1 open incident", "CRITICAL", "Read "):
        assert words in read(view)
    assert "1 rollout under way" in read(view)
    assert "verified" in read(view)
    assert buttons(view) == {"run-form", "home-refresh"}


async def test_a_viewer_sees_as_much_and_has_nothing_to_run(cast: Cast) -> None:
    view = await opens(cast.carol, "cdm-viewer", "a-gw-001", RELEASE)
    assert "customer-b" in read(view)
    assert buttons(view) == {"home-refresh"}


async def test_an_operator_of_another_tenant_sees_nothing_of_this_one(cast: Cast) -> None:
    view = await opens(cast.frank, "customer-b", "No open incidents", "No rollout under way")
    assert "a-gw-001" not in read(view)
    assert RELEASE not in read(view)


async def test_a_stranger_is_told_how_to_link_and_nothing_else(cast: Cast) -> None:
    mallory = cast.office.person("mallory")
    view = await opens(mallory, "not linked", "/cdm link")
    assert "customer-a" not in read(view)
    assert buttons(view) == {"home-refresh"}
    written = [entry for entry in await cast.office.audit() if mallory.id in f"{entry.actor} {entry.data}"]
    assert written == [], "looking is no act"


async def test_keycloak_down_nothing_of_any_tenant_is_shown_and_refresh_brings_it_back(cast: Cast) -> None:
    await opens(cast.bob, RELEASE)
    faults = cast.office.world.servers["keycloak"].faults
    faults.add("lost_request", NOT_OURS)
    try:
        view = await opens(cast.bob, "rights cannot be checked")
    finally:
        faults.clear()
    for words in ("customer-a", "a-gw-001", RELEASE):
        assert words not in read(view)

    async def refreshed() -> bool:
        delivered = await cast.office.slack.click_in_view(cast.bob.id, "home-refresh", home=True)
        assert delivered.acked, delivered.error
        shown = await cast.office.slack.home(cast.bob.id)
        return shown is not None and RELEASE in shown.shown

    await until(refreshed, "Refresh reads it anew", look_s=0.5)


async def test_a_disabled_person_sees_that_and_nothing_of_any_tenant(cast: Cast) -> None:
    carol = cast.office.world.realm.by_username("carol")
    assert carol is not None
    carol.enabled = False
    try:
        view = await opens(cast.carol, "account is disabled")
    finally:
        carol.enabled = True
    assert "customer-a" not in read(view)


async def test_hawkbit_down_it_is_said_and_the_rest_is_shown(cast: Cast) -> None:
    faults = cast.office.world.servers["hawkbit"].faults
    faults.add("lost_request", NOT_OURS)
    try:
        view = await opens(cast.bob, "eu1: hawkBit", "a-gw-001", lacks=RELEASE)
    finally:
        faults.clear()
    assert "No rollout under way in what could be read" in read(view)


async def test_a_form_opened_here_says_here_where_the_result_is_or_why_there_is_none(cast: Cast) -> None:
    here = cast.office
    await opens(cast.bob, "customer-a")

    async def sends(device: str) -> SeenView:
        assert (await here.slack.click_in_view(cast.bob.id, "run-form", home=True)).acked
        await here.slack.wait_for_modal(cast.bob.id, lambda view: "Device" in view.shown)
        assert (await here.slack.click_in_view(cast.bob.id, "runbook", "rauc-status")).acked
        await here.slack.wait_for_modal(cast.bob.id, lambda view: "Reads only" in view.shown)
        assert (await here.slack.submit_view(cast.bob.id, {"device": device})).acked
        return await here.slack.wait_for_modal(
            cast.bob.id, lambda view: "on its way" not in view.shown and "Reads only" not in view.shown, 15
        )

    done = await sends("a-gw-004")
    assert "rauc-status on a-gw-004: the result is in <#C0ALARMSA>" in done.shown
    assert len(here.ran("a-gw-004")) == 1
    await here.slack.close_view(cast.bob.id)
    assert "There is no device b-gw-001" in (await sends("b-gw-001")).shown


async def test_what_one_may_do_is_said_in_words_with_the_runbooks_one_may_run(cast: Cast) -> None:
    said = read(await opens(cast.bob, "cdm-operator"))
    for words in ("May ", "work on alarms", "Needs a second person to", "runbooks you may run", "rauc-status"):
        assert words in said
    assert "Approves when others ask" not in said
    said = read(await opens(cast.carol, "cdm-viewer"))
    assert "Needs a second person" not in said
    assert "you may run" not in said
    assert "Approves when others ask to" in read(await opens(cast.alice, "Nothing waits for your approval"))


async def test_a_request_comes_to_the_open_tabs_of_those_it_concerns_and_is_approved_there(cast: Cast) -> None:
    await opens(cast.alice, "Nothing waits for your approval")
    await opens(cast.frank, "customer-b")
    await opens(cast.bob, "customer-a", lacks="Asked by you")
    rollout = await cast.wants("bricks", "a-gw-005")
    for person, action in ((cast.alice, "approve"), (cast.bob, "withdraw")):
        view = await follows(person, "APPROVAL WANTED", "Stop bricks on eu1 for good", "0 of 1 agreed")
        assert buttons(view) & {"approve", "withdraw"} == {action}
    frank = await cast.office.slack.home(cast.frank.id)
    assert frank is not None
    assert "bricks" not in read(frank)
    shown = await presses(cast.alice, "approve", "DONE", "Stopped for good", "Nothing waits for your approval")
    assert "1 open incident" in read(shown), "the rest of it is there too"
    assert await cast.office.status(rollout) == "stopped"


async def test_a_request_is_denied_from_the_tab_with_a_reason_that_is_asked_for(cast: Cast) -> None:
    rollout = await cast.wants("may-go-on", "a-gw-006")
    await opens(cast.alice, "Stop may-go-on")
    slack = cast.office.slack
    assert (await slack.click_in_view(cast.alice.id, "deny", home=True)).acked
    await slack.wait_for_modal(cast.alice.id, lambda view: "Why?" in view.shown, 10)
    assert (await slack.submit_view(cast.alice.id, {"reason": "the gateway team is on it"})).acked
    await follows(cast.alice, "DENIED", "alice denied it", "the gateway team is on it", "Nothing waits")
    assert await cast.office.status(rollout) == "running"


async def test_what_has_changed_since_it_was_shown_is_not_approved_but_shown_anew(cast: Cast) -> None:
    rollout = await cast.wants("gets-worse", "a-gw-009", "a-gw-010")
    await opens(cast.alice, "Stop gets-worse")
    for device in ("a-gw-009", "a-gw-010"):
        cast.office.world.device(device).fate = "fails"

    async def failed() -> bool:
        return await cast.office.status(rollout) == "paused"

    await until(failed, "hawkBit has stopped it for its error")
    view = await presses(cast.alice, "approve", "Things have changed", "Changed since it was asked", "failed devices")
    assert buttons(view) >= {"approve", "deny"}
    shown = await presses(cast.alice, "approve", "DONE", "Nothing waits for your approval")
    assert "Things have changed" not in read(shown)


async def test_who_asked_withdraws_it_from_the_tab(cast: Cast) -> None:
    await cast.wants("second-thoughts", "a-gw-007")
    await opens(cast.bob, "Asked by you", "Stop second-thoughts")
    view = await presses(cast.bob, "withdraw", "WITHDRAWN", "Nothing was done")
    assert "Asked by you" not in read(view)


async def test_who_is_disabled_meanwhile_sees_nothing_any_more_when_something_changes(cast: Cast) -> None:
    await opens(cast.heidi, "customer-a", "a-gw-001")
    heidi = cast.office.world.realm.by_username("heidi")
    assert heidi is not None
    heidi.enabled = False
    try:
        await cast.wants("behind-her-back", "a-gw-008")
        view = await follows(cast.heidi, "account is disabled")
    finally:
        heidi.enabled = True
    for words in ("customer-a", "a-gw-001", "behind-her-back"):
        assert words not in read(view)


async def test_many_openings_within_a_moment_are_read_once_or_twice(cast: Cast) -> None:
    def published() -> int:
        return sum(c.kind == "home" and c.user == cast.frank.id for c in cast.office.world.slack.workspace.changes)

    before = published()
    for _ in range(20):
        await cast.office.slack.open_home(cast.frank.id)
    await cast.frank.types("whoami")  # what comes after is worked on after
    await until(lambda: _more(published, before), "it is read")
    assert published() - before <= 3


async def _more(count: object, before: int) -> bool:
    assert callable(count)
    return bool(count() > before)
