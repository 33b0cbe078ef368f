"""The login that waits at Keycloak: asked about at its pace, told about at its end, and answered by nobody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from core.access import Identity
from core.errors import OutsideError, RateLimited, Refused, Unavailable
from core.ids import DEFAULT_REALM, Channel, SlackUser, Subject
from core.members import Member
from core.messages.blocks import Message
from core.ports import DeviceCode
from flows.gate import Denied
from flows.linking.device import DeviceLinking
from flows.linking.notary import Notary
from flows.linking.ports import Place
from integrations.store.connection import Store
from integrations.store.leases import Leases
from integrations.store.link_grants import LinkGrants
from integrations.store.people import Links, LinkStates
from tests.conftest import ManualClock
from tests.unit.handlers.link_lab import ALICE, BOB, AuditLines

WHO = Identity(Subject("s-bob"), "bob", "bob@cdm.example", True, None, "")
CODE = DeviceCode("secret", "ABCD-EFGH", "http://kc/device", "http://kc/device?user_code=ABCD-EFGH", 5, 600, "n", "v")


@dataclass
class Keycloak:
    """`says` is what polls are answered, the last for ever; `asked_at` when they came."""

    clock: ManualClock
    says: list[str | OutsideError | None] = field(default_factory=lambda: [None])
    asked_at: list[float] = field(default_factory=list)
    who: Identity = WHO

    async def begin(self) -> DeviceCode:
        return CODE

    async def poll(self, code: DeviceCode) -> str | None:
        assert code == CODE
        self.asked_at.append(self.clock.monotonic() - 1000)
        answer = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(answer, OutsideError):
            raise answer
        return answer

    async def verify(self, id_token: str, *, nonce: str) -> Identity:
        assert (id_token, nonce) == ("token", "n")
        return self.who


class Bench:
    """One process of the bot; another on the same store is `again()`."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock, self.keycloak = store, clock, Keycloak(clock)
        self.audit, self.links = AuditLines(), Links(store)
        self.told: list[tuple[str, str, Message]] = []
        self.slack_away = False
        self.linking = self.again()

    def again(self) -> DeviceLinking:
        notary = Notary(links=self.links, audit=self.audit, members=self, team="T1", clock=self.clock)
        return DeviceLinking(
            grants=LinkGrants(self.store),
            logins={DEFAULT_REALM: self.keycloak},
            verifiers={DEFAULT_REALM: self.keycloak},
            states=LinkStates(self.store),
            notary=notary,
            answers=self,
            leases=Leases(self.store, self.clock),
            clock=self.clock,
        )

    async def member(self, user: str, *, timeout_s: float) -> Member | None:
        if self.slack_away:
            raise Unavailable("Slack does not answer.", system="Slack")
        return Member("bob@cdm.example" if user == BOB.user else "alice@cdm.example", frozenset({"T1"}))

    async def tell(self, channel: Channel, user: str, message: Message, response_url: str | None = None) -> None:
        assert (channel, response_url) == ("C1", "http://slack/answer")
        self.told.append((user, message.text, message))

    async def begins(self, user: SlackUser = BOB) -> str:
        return (await self.linking.begin(user, DEFAULT_REALM, Place(Channel("C1"), "http://slack/answer"))).text

    async def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.clock.forward(1)
            await self.linking.tick()

    @property
    def question(self) -> str:
        """The state behind the buttons of what was told last."""
        buttons: Any = self.told[-1][2].blocks[-1]["elements"]
        assert [b["action_id"] for b in buttons] == ["link_confirm", "link_decline"]
        return str(buttons[0]["value"])


@pytest_asyncio.fixture
async def bench(store: Store) -> AsyncIterator[Bench]:
    await store.flushall()
    yield Bench(store, ManualClock(datetime.now(UTC)))


async def test_keycloak_is_asked_at_its_own_pace_and_slower_once_it_says_so(bench: Bench) -> None:
    bench.keycloak.says = [None, RateLimited("slow down", retry_after_s=5), None]
    await bench.begins()
    await bench.passes(31)
    assert bench.keycloak.asked_at == [5, 10, 20, 30]


async def test_two_processes_ask_once_and_the_other_goes_on_where_one_ended(bench: Bench) -> None:
    await bench.begins()
    other = bench.again()
    for _ in range(11):
        await bench.passes(1)
        await other.tick()
    assert bench.keycloak.asked_at == [5, 10]
    await bench.store.delete("cdm:lease:link-grants")
    bench.keycloak.says = ["token"]
    bench.linking = other
    await bench.passes(4)
    assert bench.told[-1][0] == "UBOB"
    assert "Link these two accounts?" in bench.told[-1][1]


async def test_a_keycloak_away_for_a_while_costs_only_time(bench: Bench) -> None:
    bench.keycloak.says = [Unavailable("Keycloak was not reached."), Unavailable("again"), "token"]
    await bench.begins()
    await bench.passes(15)
    assert len(bench.told) == 1
    assert "Link these two accounts?" in bench.told[0][1]


@pytest.mark.parametrize(
    ("why", "told", "reason"),
    [
        (Refused("The login was declined in the browser."), "declined in the browser", "login_cancelled"),
        (None, "Nobody logged in to Keycloak in time", "grant_over"),
    ],
)
async def test_the_end_without_a_login_is_told_once(
    bench: Bench, why: OutsideError | None, told: str, reason: str
) -> None:
    bench.keycloak.says = [why]
    await bench.begins()
    await bench.passes(610)
    assert [text for _, text, _ in bench.told if told in text and "/cdm link" in text] == [bench.told[0][1]]
    assert len(bench.told) == 1
    assert [data["reason"] for _, action, _, data in bench.audit.lines if action == "refused:link"] == [reason]


async def test_slack_silent_when_the_login_is_there_links_nobody(bench: Bench) -> None:
    bench.keycloak.says, bench.slack_away = ["token"], True
    await bench.begins()
    await bench.passes(6)
    assert re.search(r"Slack.* does not answer.*Nothing was linked", bench.told[0][1])
    await bench.passes(20)
    assert len(bench.told) == len(bench.keycloak.asked_at) == 1


async def test_an_unverified_address_is_refused(bench: Bench) -> None:
    bench.keycloak.says = ["token"]
    bench.keycloak.who = Identity(Subject("s-bob"), "bob", "bob@cdm.example", False, None, "")
    await bench.begins()
    await bench.passes(6)
    assert "not verified" in bench.told[0][1]


async def test_only_who_began_may_answer_and_another_answer_makes_the_question_void(bench: Bench) -> None:
    bench.keycloak.says = ["token"]
    await bench.begins()
    await bench.passes(6)
    for who, why in ((ALICE, "Another Slack user began this"), (BOB, "answered before")):
        with pytest.raises(Denied, match=why):
            await bench.linking.confirm(who, bench.question)
    assert await bench.links.of(BOB) == {}
    assert await bench.links.of(ALICE) == {}
    assert ("note", "refused:link", "slack:T1/UALICE", {"reason": "not_yours"}) in bench.audit.lines


async def test_slack_silent_at_the_answer_leaves_the_button_as_it_is(bench: Bench) -> None:
    bench.keycloak.says = ["token"]
    await bench.begins()
    await bench.passes(6)
    bench.slack_away = True
    with pytest.raises(Unavailable):
        await bench.linking.confirm(BOB, bench.question)
    bench.slack_away = False
    assert "now linked" in (await bench.linking.confirm(BOB, bench.question)).text
    assert DEFAULT_REALM in await bench.links.of(BOB)
    assert "is linked with the Keycloak account `bob`" in await bench.begins()
