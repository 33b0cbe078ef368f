"""Whatever stands in them, the bot's forms and Home tabs are within Slack's limits, and nothing in them is live."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.access import Action
from core.alarms.facts import Severity
from core.approvals import Kind as AskKind
from core.approvals import Order, Party, Phase, Request, Rule, ask
from core.evidence import Evidence
from core.ids import AlarmId, ApprovalId, Channel, DeviceName, IncidentId, RolloutId, Stack, Subject, Tenant
from core.incidents import Incident, Member
from core.messages.blocks import compose, section
from core.messages.home import HomeView, RolloutShown, home, home_notice
from core.messages.rights import Rights
from core.messages.text import literal
from core.messages.views import (
    METADATA_LIMIT,
    BookView,
    Field,
    Option,
    RunFormView,
    loading_form,
    modal,
    notice_form,
    parameter_block,
    run_form,
)
from core.rollouts.facts import Counts, RolloutFacts, RolloutStatus
from sandbox.slack.limits import Limits
from sandbox.slack.texts import PING
from sandbox.slack.views import problems_of_view

Kind = Literal["text", "number", "choice"]
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
NASTY = st.sampled_from(["<!channel>", "<@U0BOB>", "<!here|x>", "&lt;!channel>", "`*_~", "\u202e", "\x1b[31m", "\n"])
TEXT = st.one_of(st.text(max_size=400), st.builds("".join, st.lists(NASTY, max_size=40)), st.just("x" * 5_000))
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)
OPTIONS = st.lists(st.builds(Option, NAME, TEXT, TEXT), min_size=1, max_size=130, unique_by=lambda o: o.value)


@st.composite
def fields(draw: st.DrawFn) -> list[Field]:
    names = draw(st.lists(NAME, max_size=120, unique=True))
    kinds: st.SearchStrategy[Kind] = st.sampled_from(get_args(Kind))
    return [
        Field(
            block_id=parameter_block("book", name),
            action_id=name,
            label=draw(TEXT),
            kind=draw(kinds),
            hint=draw(TEXT),
            initial=draw(TEXT),
            optional=draw(st.booleans()),
            low=draw(st.none() | st.integers(-9, 0)),
            high=draw(st.none() | st.integers(1, 9)),
            options=[Option("one", draw(TEXT)), Option("x" * 151, "too long to be offered")],
        )
        for name in names
    ]


BOOK = st.builds(BookView, name=NAME, title=TEXT, does=TEXT, changes=st.booleans(), fields=fields())
FORM = st.builds(
    RunFormView,
    metadata=st.dictionaries(NAME, NAME, max_size=8),
    books=OPTIONS,
    book=st.none() | BOOK,
    device=TEXT,
    device_fixed=st.booleans(),
    device_hint=TEXT,
    more=st.integers(0, 999),
    note=TEXT,
)


def fits(view: dict[str, Any]) -> bool:
    problems = problems_of_view(view, view["type"], Limits())
    assert problems == []
    live = [block for block in view["blocks"] if block["type"] not in ("input", "actions")]  # nothing is live in those
    assert PING.findall(json.dumps(live, ensure_ascii=False)) == []
    return True


@settings(deadline=None)
@given(FORM)
def test_a_form_fits_whatever_stands_in_it(view: RunFormView) -> None:
    assert fits(run_form(view))


@settings(deadline=None)
@given(TEXT)
def test_words_in_the_form_s_or_the_tab_s_place_fit(text: str) -> None:
    said = compose(literal(text, 2_000), section(literal(text, 2_000)))
    assert fits(notice_form(said))
    assert fits(notice_form(compose(literal(text, 2_000))))
    assert fits(home_notice(said, NOW))
    assert fits(loading_form("run-1"))


@settings(deadline=None)
@given(TEXT, st.integers(0, 40), st.integers(0, 40), st.lists(TEXT, max_size=20))
def test_a_home_tab_fits_whatever_stands_in_it(text: str, incidents: int, rollouts: int, missing: list[str]) -> None:
    tenants = [Tenant(f"{n}{text}") for n in range(30)]
    request, done = _request(text, AskKind.REQUEST, Phase.OPEN), _request(text, AskKind.BREAK_GLASS, Phase.DONE)
    view = home(
        HomeView(
            username=text,
            email=text,
            roles={tenant: [f"{tenant}"] for tenant in tenants},
            rights=dict.fromkeys(tenants, Rights(*(frozenset(Action),) * 3)),
            waiting=[request] * rollouts,
            mine=[request] * rollouts,
            reviews=[done] * rollouts,
            incidents=[_incident(n, text) for n in range(incidents)],
            rollouts=[RolloutShown(_rollout(n, text), None) for n in range(rollouts)],
            missing=missing,
            runbooks=[(f"{n}{text}", text, True) for n in range(30)],
            read_at=NOW,
        ),
        compose(literal(text, 2_000), section(literal(text, 2_000))),
    )
    assert fits(view)
    said = json.dumps(view)
    assert (f"and {incidents - 10} more: `/cdm alarms`" in said) == (incidents > 10)
    assert (f"and {rollouts - 10} more: `/cdm rollout list`" in said) == (rollouts > 10)
    assert "more parts do not fit" not in said
    assert said.count('"approve"') == min(rollouts, 8)
    assert said.count('"withdraw"') == said.count('"sign-review"') == min(rollouts, 5)


def test_what_a_form_must_remember_is_never_cut() -> None:
    with pytest.raises(ValueError, match="private_metadata"):
        modal("x", [section("x")], callback_id="x", metadata={"a": "x" * METADATA_LIMIT})


def _request(text: str, kind: AskKind, phase: Phase) -> Request:
    order = Order(Action.STOP, "rollout:eu1/1", text, {}, Stack("eu1"), frozenset({Tenant(text)}), Channel("C1"), 5)
    facts = Evidence({f"{n}{text}": (text, f"{text} and more") for n in range(7)})
    asked = ask(ApprovalId("k7m2p9"), order, Party(Subject("s"), text, "T1/U1"), text, facts, Rule(), NOW)
    return replace(asked, kind=kind, phase=phase, said=text)


def _incident(number: int, text: str) -> Incident:
    id = AlarmId(str(number))
    member = Member(id, "o", DeviceName(text), None, Severity.CRITICAL, False, False, False, 1, 0, 0, 1)
    return Incident(IncidentId(f"i{number:020x}"), Stack("eu1"), Tenant("a"), text, False, 1, 1, {id: member})


def _rollout(number: int, text: str) -> RolloutFacts:
    return RolloutFacts(
        id=RolloutId(number),
        name=text,
        status=RolloutStatus.RUNNING,
        created_by="ci",
        created_at=NOW,
        last_modified_by="ci",
        last_modified_at=NOW,
        set_id=1,
        total=5,
        counts=Counts(finished=1, running=4),
        target_filter="",
        action_type="forced",
        total_groups=1,
    )
