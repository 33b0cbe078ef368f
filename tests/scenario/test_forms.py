"""The form for a run: opened at once, filled by right, checked beside the inputs, carried out once, never silent."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from integrations.store.embedded import EmbeddedStore
from sandbox.cast import PEOPLE, ROLLOUTS
from sandbox.slack.inputs import NotOnScreen, elements
from sandbox.slack.seen import Delivered, SeenMessage, SeenView
from tests.scenario.people import ONE_LOOP, Office, Person, office
from tests.scenario.program import incident_of, ready, running, still_world, until

pytestmark = ONE_LOOP
ALARMS_A = "C0ALARMSA"
RAUC = ("rauc", "status", "--detailed", "--output-format=json")


@dataclass(frozen=True, slots=True)
class Cast:
    office: Office
    bob: Person
    carol: Person


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(devices=40) as here:
        people = {name: here.person(name) for name in ("bob", "carol")}
        await here.links({person: name for name, person in people.items()})
        yield Cast(here, **people)


async def asks(person: Person, text: str = "run", *words: str) -> SeenView:
    """Type `/cdm <text>`; the form with these words, once it is more than loading."""
    assert (await person.office.slack.slash(person.id, ROLLOUTS, "/cdm", text)).acked
    return await shows(person, *(words or ("Device",)))


async def shows(person: Person, *words: str) -> SeenView:
    return await person.office.slack.wait_for_modal(
        person.id, lambda view: all(word in view.shown for word in words), 15
    )


async def chooses(person: Person, runbook: str, *words: str, **typed: str) -> SeenView:
    delivered = await person.office.slack.click_in_view(person.id, "runbook", runbook, values=typed)
    assert delivered.acked, delivered.error
    return await shows(person, *words)


async def sends(person: Person, **values: Any) -> Delivered:
    delivered = await person.office.slack.submit_view(person.id, values)
    assert delivered.acked, delivered.error
    return delivered


async def is_closed(person: Person) -> bool:
    return await person.office.slack.modal(person.id) is None


def inputs(view: SeenView) -> dict[str, dict[str, Any]]:
    """The elements of the form by action_id."""
    return {part["action_id"]: part for _, part in elements(view.blocks)}


async def told(person: Person, word: str, within_s: float = 15) -> str:
    return (await person.office.slack.wait_for_ephemeral(person.id, lambda e: word in e.shown, within_s)).shown


async def offered(here: Office, incident: str, channel: str) -> SeenMessage:
    """A message that offers the form for an incident of many devices."""
    text = {"type": "plain_text", "text": "Run a runbook on one of them"}
    button = {"type": "button", "action_id": "run-form", "text": text, "value": incident}
    body = {"channel": channel, "text": "more", "blocks": [{"type": "actions", "elements": [button]}]}
    headers = {"authorization": f"Bearer {here.world.slack.bot_token}"}
    async with httpx.AsyncClient(base_url=here.world.url("slack"), trust_env=False, headers=headers) as http:
        said = (await http.post("/api/chat.postMessage", json=body)).json()
    return await here.slack.wait_for(channel, lambda message: message.ts == said["ts"])


async def test_a_form_takes_a_runbook_its_parameters_and_a_device_and_the_result_comes_to_the_channel(
    cast: Cast,
) -> None:
    form = await asks(cast.bob)
    menu = inputs(form)["runbook"]
    assert [option["value"] for option in menu["options"]] == ["journal", "rauc-status", "redeploy"]
    form = await chooses(cast.bob, "journal", "Lines", "Reads only", device="a-gw-004")
    assert inputs(form)["device"]["initial_value"] == "a-gw-004"
    lines = inputs(form)["lines"]
    assert (lines["type"], lines["min_value"], lines["max_value"], lines["initial_value"]) == (
        "number_input",
        "1",
        "500",
        "50",
    )
    await sends(cast.bob, device="a-gw-004", lines="20")
    assert await is_closed(cast.bob)
    await cast.office.shows(ALARMS_A, "Journal of a unit", "a-gw-004", "DONE")
    assert "journal on a-gw-004: the result is in" in await told(cast.bob, "journal on a-gw-004")
    assert cast.office.ran("a-gw-004") == [
        ("journalctl", "-u", "rauc-hawkbit-updater", "-n", "20", "--no-pager"),
    ]


async def test_what_is_wrong_is_said_beside_its_input_and_nothing_runs(cast: Cast) -> None:
    await asks(cast.bob, "run journal", "Lines")
    before = len(cast.office.world.relay.devices.ran)
    await sends(cast.bob, device="a gw 005", lines="9999", unit="x;reboot")
    form = await cast.office.slack.modal(cast.bob.id)
    assert form is not None
    assert form.trouble == ""
    assert "no spaces" in form.errors["device"]
    assert form.errors["param:journal:lines"] == "Lines must be a whole number from 1 to 500."
    assert "systemd unit" in form.errors["param:journal:unit"]
    assert len(cast.office.world.relay.devices.ran) == before
    await sends(cast.bob, device="a-gw-005", lines="1", unit="")
    assert await is_closed(cast.bob)
    await cast.office.shows(ALARMS_A, "Journal of a unit", "a-gw-005", "DONE")
    assert cast.office.ran("a-gw-005")[-1][2] == "rauc-hawkbit-updater"


async def test_what_was_typed_already_is_filled_in(cast: Cast) -> None:
    form = await asks(cast.bob, "run a-gw-006")
    assert inputs(form)["device"]["initial_value"] == "a-gw-006"
    assert "initial_option" not in inputs(form)["runbook"]
    form = await asks(cast.bob, "run rauc-status", "Reads only")
    assert inputs(form)["runbook"]["initial_option"]["value"] == "rauc-status"
    assert "initial_value" not in inputs(form)["device"]


async def test_a_form_from_an_incident_knows_the_device_and_answers_in_its_thread(cast: Cast) -> None:
    here = cast.office
    alarm = await here.alarm("a-gw-007")
    await cast.bob.clicks(alarm, "run-form", ALARMS_A)
    form = await shows(cast.bob, "a-gw-007", "Runbook")
    assert "device" not in inputs(form)
    await chooses(cast.bob, "rauc-status", "Reads only")
    await sends(cast.bob)
    await here.reply(alarm, ALARMS_A, "RAUC slots", "DONE")
    assert here.ran("a-gw-007") == [RAUC]


async def test_a_runbook_that_changes_a_device_says_so_and_wants_a_tick(cast: Cast) -> None:
    here = cast.office
    alarm = await here.alarm("a-gw-008")
    await cast.bob.clicks(alarm, "run-form", ALARMS_A)
    await shows(cast.bob, "a-gw-008", "Runbook")
    form = await chooses(cast.bob, "redeploy", "This changes a-gw-008", "downloads and installs it")
    assert "Yes, redeploy the bundle on a-gw-008" in str(inputs(form)["sure"]["options"])
    with pytest.raises(NotOnScreen):
        await sends(cast.bob)
    before = len(await here.audit())
    await sends(cast.bob, sure=["yes"])
    await here.reply(alarm, ALARMS_A, "Redeploy the bundle", "a-gw-008")

    async def written() -> list[str]:
        return [e.kind for e in (await here.audit())[before:] if e.action == "run:redeploy"]

    await until(lambda: _same(written(), ["intent", "outcome"]), "the redeploy is written down")


async def test_the_right_is_asked_of_keycloak_and_a_viewer_is_refused_in_the_form(cast: Cast) -> None:
    form = await asks(cast.carol, "run", "needs the role")
    assert "cdm-operator" in form.shown
    assert inputs(form) == {}
    with pytest.raises(NotOnScreen):
        await cast.office.slack.click_in_view(cast.carol.id, "runbook", "journal")
    stranger = await asks(cast.office.person("mallory"), "run", "not linked")
    assert "/cdm link" in stranger.shown
    alarm = await cast.office.alarm("a-gw-009")
    await cast.carol.clicks(alarm, "run-form", ALARMS_A)
    assert "a-gw-009" not in (await shows(cast.carol, "needs the role", "customer-a")).shown


async def test_keycloak_gone_between_opening_and_sending_nothing_runs_and_the_person_is_told(cast: Cast) -> None:
    await asks(cast.bob, "run rauc-status", "Reads only")
    faults = cast.office.world.servers["keycloak"].faults
    faults.add("lost_request", r"^\w+ (?!/_sandbox)")
    try:
        await sends(cast.bob, device="a-gw-010")
        assert "Nothing was done" in await told(cast.bob, "rights cannot be checked")
        assert "rights cannot be checked" in (await asks(cast.bob, "run", "Keycloak", "Nothing was done")).shown
    finally:
        faults.clear()
    assert cast.office.ran("a-gw-010") == []


@pytest.mark.parametrize("fault", ["late_request", "late_answer"])
async def test_slack_slow_to_open_the_form_the_person_is_told_what_to_type(cast: Cast, fault: Any) -> None:
    faults = cast.office.world.servers["slack"].faults
    faults.add(fault, "views.open", delay_s=4.0)
    before = {said.ts for said in await cast.bob.private()}
    try:
        began = time.monotonic()
        delivered = await cast.office.slack.slash(cast.bob.id, ROLLOUTS, "/cdm", "run rauc-status")
        assert delivered.acked
        assert time.monotonic() - began < 3
        said = await cast.office.slack.wait_for_ephemeral(cast.bob.id, lambda e: e.ts not in before)
        assert "/cdm run rauc-status <device> [name=value…]" in said.shown
        if fault == "late_answer":  # it did open: so it is filled all the same
            await shows(cast.bob, "Reads only")
    finally:
        faults.clear()


async def test_a_form_sent_twice_runs_once(cast: Cast) -> None:
    await asks(cast.bob, "run rauc-status", "Reads only")
    await cast.office.slack.set(duplicate_next=1)
    delivered = await sends(cast.bob, device="a-gw-011")
    await told(cast.bob, "rauc-status on a-gw-011")
    assert (await cast.office.slack.replay(delivered.id)).acked
    await cast.bob.types("run rauc-status a-gw-012")  # what comes after is worked on after
    assert cast.office.ran("a-gw-011") == [RAUC]
    assert not [said for said in await cast.bob.private() if "Another run is at work" in said.shown]


async def test_a_command_brought_twice_opens_one_form_which_is_filled(cast: Cast) -> None:
    await cast.office.slack.set(duplicate_next=1)
    before = len(await cast.bob.private())
    await asks(cast.bob, "run rauc-status", "Reads only")
    assert len(await cast.bob.private()) == before


async def test_another_choice_that_was_not_drawn_yet_is_drawn_at_sending_and_nothing_runs(cast: Cast) -> None:
    """Slack answers no update, so the form still shows the inputs of the runbook before."""
    here = cast.office
    await asks(cast.bob, "run journal", "Lines")
    faults = here.world.servers["slack"].faults
    faults.add("status", "views.update", status=503)
    try:
        await here.slack.click_in_view(cast.bob.id, "runbook", "redeploy")
    finally:
        faults.clear()
    before = len(here.world.relay.devices.ran)
    await sends(cast.bob, device="a-gw-012", runbook="redeploy")
    form = await shows(cast.bob, "These are the inputs of Redeploy the bundle", "This changes")
    assert inputs(form)["device"]["initial_value"] == "a-gw-012"
    assert inputs(form)["runbook"]["initial_option"]["value"] == "redeploy"
    assert len(here.world.relay.devices.ran) == before


async def test_what_a_person_fills_in_is_only_text(cast: Cast) -> None:
    evil = "<!channel>*x*`y`"
    form = await asks(cast.bob, f"run {evil}")
    assert inputs(form)["device"]["initial_value"] == evil, "in an input nothing is live"
    await chooses(cast.bob, "rauc-status", "Reads only")
    await sends(cast.bob, device=evil)
    before = await cast.office.slack.wait_for_ephemeral(cast.bob.id, lambda e: "There is no device" in e.shown)
    assert "<!channel>" not in before.text


async def test_a_form_from_an_incident_about_many_devices_asks_which_and_takes_no_other(cast: Cast) -> None:
    here = cast.office
    sick = [here.world.device(f"a-gw-{number:03}") for number in (1, 2, 3, 15, 16, 12)]
    for device in sick:
        device.ota_status, device.ota_error = "failure", "bundle signature verification failed"
        await here.world.fleet.report(device)
    many = await here.shows(ALARMS_A, "OTA Failure", "devices", button="acknowledge", fits=_is_incident)
    offer = await offered(here, incident_of(many) or "", ALARMS_A)
    for name, word in (("a-gw-010", "is not about a-gw-010"), ("a-gw-016", "")):
        await cast.bob.clicks(offer, "run-form", ALARMS_A)
        await shows(cast.bob, "devices of this incident")
        await chooses(cast.bob, "rauc-status", "Reads only")
        await sends(cast.bob, device=name)
        if word:
            assert "nothing was run" in await told(cast.bob, word)
    await here.reply(many, ALARMS_A, "RAUC slots", "a-gw-016", "DONE")
    assert here.ran("a-gw-010") == []


async def test_a_form_sent_before_the_bot_was_killed_is_carried_out_after_and_over_http_forms_work_too(
    cast: Cast,
) -> None:
    here = cast.office
    await asks(cast.bob, "run rauc-status", "Reads only")
    slow = here.world.servers["thingsboard"].faults
    slow.add("late_answer", "GET /api/tenant/devices", delay_s=20.0)
    try:
        await sends(cast.bob, device="a-gw-013")
        await here.bot.kill()
    finally:
        slow.clear()
    assert here.ran("a-gw-013") == []
    here.world.slack_mode = "http"
    here.world.slack.courier.use_http(f"{here.world.bot_url}/slack/events")
    here.world.write_config()
    await here.bot.start()
    await here.shows(ALARMS_A, "RAUC slots", "a-gw-013", "DONE", within_s=30)
    assert here.ran("a-gw-013") == [RAUC]

    await asks(cast.bob)
    await chooses(cast.bob, "journal", "Lines")
    await sends(cast.bob, device="a-gw-014", lines="0")
    form = await here.slack.modal(cast.bob.id)
    assert form is not None
    assert "from 1 to 500" in form.errors["param:journal:lines"]
    await sends(cast.bob, device="a-gw-014", lines="5")
    assert await is_closed(cast.bob)
    await here.shows(ALARMS_A, "Journal of a unit", "a-gw-014", "DONE")


async def test_the_store_away_the_form_says_that_nothing_was_done() -> None:
    directory = Path(tempfile.mkdtemp(prefix="cdm-"))
    valkey = EmbeddedStore(directory)
    await valkey.start()
    bob = PEOPLE["bob"].id
    try:
        async with still_world() as world:
            world.write_config(store={"url": valkey.url})
            async with running(world) as bot, httpx.AsyncClient(base_url=world.bot_url, trust_env=False) as http:
                here = Person(Office(world, bot), bob)
                await here.office.links({here: "bob"})
                await asks(here, "run rauc-status", "Reads only")
                await valkey.stop()
                await sends(here, device="a-gw-001")
                form = await world.people.modal(bob)
                assert form is not None
                assert "Nothing was done" in form.errors["runbook:rauc-status"]
                assert (await world.people.slash(bob, ROLLOUTS, "/cdm", "run")).acked
                await shows(here, "Nothing was done", "store")
                await told(here, "Nothing was done")
                await world.people.open_home(bob)
                await until(lambda: _home_says(here, "cannot reach its store"), "the Home tab says it too")
                await valkey.start()
                await until(lambda: ready(http), "the bot is ready again")
                await asks(here, "run rauc-status", "Reads only")
    finally:
        await valkey.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def _home_says(person: Person, words: str) -> bool:
    view = await person.office.slack.home(person.id)
    return view is not None and words in view.shown


def _is_incident(message: SeenMessage) -> bool:
    return incident_of(message) is not None


async def _same(question: Any, wanted: Any) -> bool:
    return bool(await question == wanted)
