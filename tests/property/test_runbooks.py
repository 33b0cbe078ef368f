"""Whatever a person types and a device prints: argv keeps its shape, secrets stay in, output stays bounded."""

from __future__ import annotations

import base64
import shlex
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.runs import CommandOutput
from runbooks import BadParameter, Catalog, Redactor, Rendering, Runbook
from runbooks.redact import REDACTED
from runbooks.schema import parse_runbook
from runbooks.text import MAX_LINE, MAX_LINES, clean
from sandbox.relay.commands import split_exec

CATALOG = Catalog.load()
ALL_TYPES = parse_runbook(
    """
name: all-types
title: All types
risk: read
description: One parameter of each type, as a word and within a word.
parameters:
  unit: {type: unit}
  span: {type: span, max: 30d}
  kind: {type: enum, values: [short, json-pretty]}
  count: {type: int, min: -5, max: 5000}
steps:
  - argv: [tool, "{unit}", "--since=-{span}", "{kind}", "-n{count}", "{unit}:{kind}"]
""",
    "all-types.yaml",
    Runbook,
)
PLAIN = {"unit": "a.service", "span": "2h", "kind": "short", "count": "50"}

nasty = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="abc -;|&$`'\"\\\n{}*?<>()0159hdms.@:_", max_size=20),
    st.sampled_from(["{unit}", "-x", "--", "50\n", "2h;", "a\x00", "０", "short ", "", "1e3", "0x10", "+5", "1_0"]),
    st.from_regex(r"[a-z][a-z0-9.@:-]{0,20}", fullmatch=True),
    st.from_regex(r"[0-9]{1,4}(s|min|h|d)?", fullmatch=True),
)


@given(st.dictionaries(st.sampled_from(sorted(PLAIN)), nasty, min_size=1))
def test_no_parameter_value_changes_the_shape_of_argv_or_reaches_a_shell(params: dict[str, str]) -> None:
    (usual,) = ALL_TYPES.plan(PLAIN).steps
    try:
        (step,) = ALL_TYPES.plan(PLAIN | params).steps
    except BadParameter:
        return
    assert len(step.argv) == len(usual.argv)
    assert step.argv[0] == "tool"
    assert split_exec(shlex.join(step.argv)) == [step.argv]
    for word, usual_word in zip(step.argv[1:], usual.argv[1:], strict=True):
        assert word.startswith("-") == usual_word.startswith("-")
        assert word.isprintable()
        assert not set(word) & set(" ;|&$`'\"\\{}*?<>()")


@given(nasty, nasty)
def test_the_journal_runbook_always_runs_journalctl_on_one_unit(unit: str, lines: str) -> None:
    journal = CATALOG.get("journal")
    assert journal is not None
    try:
        (step,) = journal.plan({"unit": unit, "lines": lines}).steps
    except BadParameter:
        return
    assert step.argv == ("journalctl", "-u", unit, "-n", str(int(lines)), "--no-pager")
    assert 1 <= int(lines) <= 500


SECRET_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/=~!#%^*"
WORD_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
secrets = st.text(alphabet=SECRET_CHARS, min_size=10, max_size=60).map(lambda text: "Zq9" + text)
words = st.text(alphabet=WORD_CHARS, min_size=12, max_size=60).map(lambda text: "Zq9" + text)

TEMPLATES = [
    "password={}",
    "db_password: {}",
    "PASSWD='{}'",
    '{{"client_secret": "{}", "x": 1}}',
    "auth_token = {}",
    "gateway_token={}",
    "token: '{}",
    "api-key={}",
    "PrivateKey = {}",
    "run --password {} --verbose",
    'run --api-token="{}"',
    "run --secret {}",
    "Authorization: Basic {}",
    "authorization: Token {}, more",
    'curl -H "Authorization: Bearer {}" host',
    "< Set-Cookie: session={}; Path=/",
    "X-Api-Key: {}",
    "GET mqtt://device:{}@broker/topic",
]
WORD_TEMPLATES = [
    "https://{}@host/path",
    "sent Bearer {} to host",
    "GatewayToken {}",
    "xoxb-{} seen",
    "key eyJ{}.eyJhYmMi.c2ln used",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nNov 24 app: {}\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n{}",
]
noise = st.text(alphabet="abcdefgh 0123456789:=\"'@/\n-.", max_size=60)
planted = st.one_of(st.tuples(st.sampled_from(TEMPLATES), secrets), st.tuples(st.sampled_from(WORD_TEMPLATES), words))


def run(stdout: bytes, cut: bool = False) -> CommandOutput:
    return CommandOutput(("journalctl",), stdout, b"", 0, cut, 0.1)


def told(name: str, output: CommandOutput) -> Rendering:
    runbook = CATALOG.get(name)
    assert runbook is not None
    return runbook.render([output])


@given(noise, planted, noise)
@example("", ("password={}", "Zq9'quoted'"), "")
def test_no_planted_secret_gets_through(before: str, plant: tuple[str, str], after: str) -> None:
    template, secret = plant
    text = f"{before}\n{template.format(secret)}\n{after}"
    assert secret not in Redactor()(text)
    rendering = told("journal", run(text.encode()))
    assert secret not in "\n".join((rendering.summary, *rendering.lines, *rendering.warnings, rendering.complete))


@given(noise, planted, st.integers(min_value=0, max_value=80))
def test_no_secret_gets_through_where_the_output_was_cut_off(before: str, plant: tuple[str, str], left: int) -> None:
    template, secret = plant
    text = f"{before}\n{template.format(secret)}"
    rendering = told("journal", run(text[: len(text) - left].encode(), cut=True))
    assert secret[:10] not in "\n".join((rendering.summary, *rendering.lines, rendering.complete))


@given(st.binary(min_size=32, max_size=32))
def test_no_wireguard_key_gets_through(raw: bytes) -> None:
    key = base64.b64encode(raw).decode()
    assert Redactor()(f"peer: {key} endpoint") == f"peer: {REDACTED} endpoint"


@given(noise, planted, noise)
def test_redacting_twice_changes_nothing_more(before: str, plant: tuple[str, str], after: str) -> None:
    template, secret = plant
    once = Redactor()(before + template.format(secret) + after)
    assert Redactor()(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "://a:",
        "://a@",
        'password="',
        "password='\\",
        "--token",
        "-",
        "eyJ",
        "-eyJaaaaa.",
        "token",
        "A",
        "A+/",
        "-----BEGIN X-----",
        "-----BEGIN ",
        "bearer ",
        "basic a",
        "cookie",
        "xoxb-",
        "\x1b[",
        "\x1b]a",
        "a@",
        " ",
        "gh_",
    ],
)
def test_time_grows_with_the_length_of_the_text_only(piece: str) -> None:
    """8 times the text may take about 8 times as long; 64 times (quadratic) is what this catches."""

    def spent(size: int) -> float:
        text = piece * (size // len(piece))
        started = time.process_time()
        Redactor()(clean(text))
        return time.process_time() - started

    small = min(spent(16_000) for _ in range(3))
    assert spent(128_000) < 8 * small * 3 + 0.05


@given(
    st.one_of(st.binary(max_size=400), st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass"))),
    st.sampled_from(["journal", "rauc-status"]),
    st.integers(min_value=1, max_value=200),
    st.booleans(),
)
@example(b"\xc2\x9b31mx\xc2\x85\xe2\x80\xa8y", "journal", 1, False)
@example(b'{"compatible":"\\u001b[2J","slots":[{"a\\u202e":{"state":"booted\\n"}}]}', "rauc-status", 1, False)
def test_output_is_always_bounded_and_free_of_control_characters(raw: bytes, name: str, times: int, cut: bool) -> None:
    rendering = told(name, run(raw * times, cut))
    shown = (rendering.summary, *rendering.lines, *rendering.warnings)
    assert len(rendering.lines) <= MAX_LINES
    assert len(rendering.warnings) <= MAX_LINES
    assert rendering.summary
    for line in shown:
        assert len(line) <= MAX_LINE
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
        assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    for char in rendering.complete:
        assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
