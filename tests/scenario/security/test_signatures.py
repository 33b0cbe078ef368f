"""Slack's HTTP door: what Slack did not sign, or signed before, does nothing; a click has its clicker's rights alone.

Held elsewhere: replays at another replica in `tests/scenario/test_replicas.py`, of a form for a run in
`tests/scenario/test_forms.py`; requests heard too long ago in `tests/scenario/test_commands.py`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio

from sandbox.cast import ROLLOUTS, TEAM
from sandbox.slack.delivery import sign
from sandbox.slack.seen import SeenMessage
from tests.keycloak.standin import StandInRealm
from tests.scenario.approving import gives_reason
from tests.scenario.people import ONE_LOOP, Office, Person, has, office
from tests.scenario.program import STILL, metric

pytestmark = ONE_LOOP
QUIET = "quiet"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Cast:
    """`rollout` is a running one of customer-a; `http` reaches the bot."""

    office: Office
    realm: StandInRealm
    alice: Person
    bob: Person
    carol: Person
    rollout: int
    http: httpx.AsyncClient

    @property
    def secret(self) -> str:
        return self.office.world.slack.signing_secret

    async def brings(self, body: bytes, headers: Mapping[str, str]) -> int:
        """What whoever reaches the bot's address can send."""
        answer = await self.http.post("/slack/events", content=body, headers={**headers, **FORM})
        return answer.status_code

    async def heard(self, kind: str, outcome: str) -> float:
        return await metric(self.http, "cdm_slack_heard_total", kind=kind, outcome=outcome)

    async def shows(self, button: str) -> SeenMessage:
        return await self.office.shows(ROLLOUTS, f"*{QUIET}*", button=button)

    async def acts(self, action: str) -> list[str]:
        return [entry.actor for entry in await self.office.audit() if entry.action == action]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> AsyncIterator[Cast]:
    async with office(slack_mode="http", pace=STILL) as here:
        people = {name: here.person(name) for name in ("alice", "bob", "carol")}
        await here.links({person: name for name, person in people.items()})
        rollout = await here.starts_rollout(QUIET, "1.1.0", ["a-gw-001", "a-gw-002"], fates=("silent",))
        await here.shows(ROLLOUTS, f"*{QUIET}*", button="stop")
        realm = StandInRealm(here.world.servers["keycloak"].url)
        async with httpx.AsyncClient(base_url=here.world.bot_url, trust_env=False) as http:
            yield Cast(here, realm, rollout=rollout, http=http, **people)


def command(text: str, trigger: str, user: str = "U0BOB") -> bytes:
    """A slash command as Slack writes it."""
    fields = {"command": "/cdm", "text": text, "team_id": TEAM, "user_id": user, "channel_id": ROLLOUTS}
    return urlencode({**fields, "trigger_id": trigger, "response_url": ""}).encode()


FORGED = (
    "unsigned",
    "signed with another secret",
    "signed with no secret",
    "changed after it was signed",
    "another person's name put in",
    "too old",
    "from the future",
    "its time changed",
    "its time no number",
    "its time missing",
    "its time negative",
    "another version",
)


def forged(how: str, secret: str) -> tuple[bytes, dict[str, str]]:
    body, now = command(f"rollout hold {QUIET}", f"forged {how}"), int(time.time())
    true = sign(secret, now, body)
    when, what = "x-slack-request-timestamp", "x-slack-signature"
    of_carol = command(f"rollout hold {QUIET}", f"forged {how}", "U0CAROL")
    headers = {
        "unsigned": {},
        "signed with another secret": sign("another secret", now, body),
        "signed with no secret": sign("", now, body),
        "changed after it was signed": sign(secret, now, command("rollout status", f"forged {how}")),
        "another person's name put in": sign(secret, now, of_carol),
        "too old": sign(secret, now - 360, body),
        "from the future": sign(secret, now + 360, body),
        "its time changed": {**sign(secret, now - 360, body), when: f"{now}"},
        "its time no number": {**true, when: "now"},
        "its time missing": {what: true[what]},
        "its time negative": {**true, when: f"-{now}"},
        "another version": {**true, what: true[what].replace("v0=", "v1=")},
    }
    return body, headers[how]


@pytest.mark.parametrize("how", FORGED)
async def test_what_slack_did_not_sign_just_now_is_refused_counted_and_does_nothing(cast: Cast, how: str) -> None:
    refused, kept = await cast.heard("http", "bad_signature"), await cast.heard("command", "kept")
    body, headers = forged(how, cast.secret)
    assert await cast.brings(body, headers) == 401
    assert await cast.heard("http", "bad_signature") == refused + 1
    assert await cast.heard("command", "kept") == kept
    assert has(await cast.shows("stop"), "hold"), "it must not be on hold"


async def test_a_true_request_brought_again_to_the_byte_is_carried_out_once(cast: Cast) -> None:
    """Whoever listened at a proxy has signature and time as well."""
    body = command("run rauc-status a-gw-003", "heard by another")
    headers = sign(cast.secret, int(time.time()), body)
    before = await cast.heard("command", "replay")
    assert await cast.brings(body, headers) == 200
    await cast.office.slack.wait_for_ephemeral(cast.bob.id, lambda said: "the result is in" in said.shown)
    assert [await cast.brings(body, headers) for _ in range(3)] == [200] * 3
    assert await cast.heard("command", "replay") == before + 3
    assert "Running version" in (await cast.bob.types("device a-gw-003")).shown, "what came after is answered"
    assert len(cast.office.ran("a-gw-003")) == 1


async def test_a_click_replayed_after_it_was_taken_back_does_not_act_again(cast: Cast) -> None:
    slack = cast.office.slack
    pressed = await cast.bob.clicks(await cast.shows("hold"), "hold")
    held = await cast.shows("unhold")
    assert "lifted" in (await cast.bob.presses(held, "unhold")).shown
    await cast.shows("hold")
    before = await cast.heard("click", "replay")
    assert (await slack.replay(pressed.id)).acked
    assert await cast.heard("click", "replay") == before + 1
    assert "Running version" in (await cast.bob.types("device a-gw-003")).shown, "what came after is answered"
    assert has(await cast.shows("stop"), "hold"), "it must not be on hold again"
    assert len(await cast.acts("hold")) == 2, "one intent, one outcome"


async def test_a_reason_replayed_after_its_request_was_withdrawn_asks_for_nothing(cast: Cast) -> None:
    slack = cast.office.slack
    refused = await cast.bob.presses(await cast.shows("stop"), "stop")
    assert "waits for approval" in (await gives_reason(cast.bob, refused, "ask", "it may brick slot B")).shown
    sent = (await slack.deliveries())[-1]
    assert sent["payload"]["type"] == "view_submission"
    wanted = await cast.office.shows(ROLLOUTS, "APPROVAL WANTED", QUIET, button="withdraw")
    assert "WITHDRAWN" in (await cast.bob.presses(wanted, "withdraw")).shown
    before = await cast.heard("reason", "replay")
    assert (await slack.replay(int(sent["id"]))).acked
    assert await cast.heard("reason", "replay") == before + 1
    assert QUIET not in (await cast.bob.types("approvals")).shown
    assert len(await cast.acts("approval:asked")) == 1


async def test_anothers_private_message_pressed_acts_with_the_rights_of_who_presses_it(cast: Cast) -> None:
    """Bob is offered to ask for a stop. Carol, a viewer, presses that very button; then alice, an admin."""
    slack, asked = cast.office.slack, len(await cast.acts("approval:asked"))
    offered = await cast.bob.presses(await cast.shows("stop"), "stop")
    assert [button.action_id for button in offered.buttons] == ["ask"]
    bobs = await cast.bob.private()
    _shown_too(cast.office, offered.ts, cast.carol, cast.alice)

    told = (await gives_reason(cast.carol, offered, "ask", "I should like it to end")).shown
    assert "needs the role `cdm-admin` in customer-a" in told
    assert len(await cast.acts("approval:asked")) == asked
    carol = await cast.realm.user_id("carol")
    assert (await cast.acts("refused:stop"))[-1] == carol
    assert await cast.bob.private() == bobs, "the refusal is private to who pressed it"
    assert all("cdm-admin" not in message.shown for message in await slack.messages(ROLLOUTS))

    assert "waits for approval" in (await gives_reason(cast.alice, offered, "ask", "I want it to end")).shown
    assert await cast.acts("approval:asked") == [await cast.realm.user_id("bob")] * asked + [
        await cast.realm.user_id("alice")
    ]
    assert await cast.office.status(cast.rollout) == "running"


def _shown_too(here: Office, ts: str, *others: Person) -> None:
    """Slack shows a private message to nobody else. Should it ever, or should somebody make it so: so it comes in."""
    ephemerals = here.world.slack.workspace.ephemerals
    private = next(said for said in ephemerals if said.ts == ts)
    ephemerals += [dataclasses.replace(private, user=person.id) for person in others]
