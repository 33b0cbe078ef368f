"""Every command in the documents is run, or stands in a list with the reason why not; every link leads somewhere.

Commands are the lines that begin with "$ " in ```console blocks of README.md and docs/*.md. Those of one document run
one after another in one shell, in a folder of their own, against a sandbox that stands in for the systems of the
examples.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sandbox.cast import PIPELINE, ROLLOUTS, TEAM, TENANTS
from sandbox.settings_file import BOT, BRAKE, KEY_FILE, KNOWN_HOSTS, RELAY
from sandbox.slack.client import SlackPeople
from sandbox.world import SandboxWorld
from tests.scenario.program import STILL, until

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BIN = Path(sys.executable).parent

NOT_RUN = {
    "make setup": "sets up a venv from the package index; `make test` itself has done it",
    ". .venv/bin/activate": "the tests run in that venv",
    "make run": "sets up as `make setup` does, then `cdm run`, which docs/scenarios.md has",
    "make test": "runs this",
    "cdm run --scenario bad-bundle": "a minute long; tests/scenario/test_scenarios.py plays it on the real bot",
    "cdm run --scenario mine.yaml": "nobody has written it; tests/unit/sandbox reads files of one's own",
    "cdm rollout ": "asks for a login in a browser; tests/scenario/test_cli_identity.py has one",
    "cdm links ": "as above",
    "cdm bundle ": "as above: tests/scenario/test_releases.py",
    "cdm tenant ": "as above: tests/scenario/test_tenants.py",
    "deploy/keycloak/apply.py": "needs a real Keycloak; tests/contract/keycloak has one where there is Java",
    "sudo ": "changes the relay's machine; the sshd settings are checked in tests/docs/test_recipes.py",
    "cdm audit trim": "no entry there is thirty days old; tests/unit/bot/test_audit_trim_command.py trims an old log",
    "cdm audit close": "as above",
    "cdm audit verify --archive": "as above",
    "ssh-keyscan": "needs a real relay: the sandbox's listens on a port of its own",
}
"""Commands that are not run here, by how they begin, and why."""

A = TENANTS[0]
_OUTSIDE = "env -u CDM_SLACK__API_URL -u CDM_SERVER__PORT"
"""A sandbox of its own must not be told of the one that stands in here."""
_HIDDEN = re.compile(r"^(    )?(\$ )?(cdm|make|curl|docker-compose|pytest|\.venv/bin/\w+) ")


@dataclass(frozen=True, slots=True)
class Command:
    document: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}: {self.text}"


def commands_of(document: Path) -> list[Command]:
    found, inside = [], False
    for number, line in enumerate(document.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside = line.strip() == "```console"
        elif inside and line.startswith("$ "):
            found.append(Command(document, number, line.removeprefix("$ ").strip()))
    return found


def not_run(command: Command) -> str | None:
    """Why it is not run, if so."""
    return next((why for start, why in NOT_RUN.items() if command.text.startswith(start)), None)


@dataclass(slots=True)
class Desk:
    """A folder as a reader of the documents has it after `cdm init`, and what the examples' names stand for."""

    world: SandboxWorld
    folder: Path
    bot: subprocess.Popen[bytes] | None = None
    said: list[str] = field(default_factory=list)

    @classmethod
    def laid_out(cls, world: SandboxWorld) -> Desk:
        folder = Path(tempfile.mkdtemp(prefix="cdm-docs-"))
        (folder / "deploy").symlink_to(ROOT / "deploy")
        (folder / "secrets").mkdir(mode=0o700)
        shutil.copy(world.directory / KEY_FILE, folder / "secrets" / "relay-ed25519")
        shutil.copy(world.directory / KNOWN_HOSTS, folder / KNOWN_HOSTS)
        ci = folder / "secrets" / "ci-password"
        ci.touch(mode=0o600)
        ci.write_text(world.hawkbit.accounts[PIPELINE].password)
        YAML(typ="safe").dump(_answers(world), folder / "answers.yaml")
        return cls(world, folder)

    @property
    def env(self) -> dict[str, str]:
        """As a person's shell, with what the sandbox needs besides the answers."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("CDM_")}
        return given | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1",
            "CDM_SLACK__API_URL": f"{self.world.url('slack')}/api/",
            "CDM_SERVER__PORT": str(self.world.bot_port),
            "THINGSBOARD": self.world.url("thingsboard"),
            "DEVICE_ACCESS_TOKEN": f"token-{A.device(1)}",
        }

    def in_place(self, text: str) -> str:
        """The command with the examples' names replaced by the sandbox's."""
        for shown, meant in (
            ("cdm init", "cdm init --answers answers.yaml --overwrite"),
            ("http://127.0.0.1:8080", self.world.bot_url),
            ("https://hawkbit.example.com", self.world.url("hawkbit")),
            ("https://thingsboard.example.com", self.world.url("thingsboard")),
            ("--start-after 30", "--start-after 0"),
            ("--replace", "--replace --without-login 'nobody stands at the browser of this test'"),
            ("cdm run --scenario none", f"{_OUTSIDE} cdm run --config none.yaml --no-page --for 2 --scenario none"),
        ):
            text = text.replace(shown, meant)
        return text

    def serve(self) -> int:
        """`cdm serve`, which goes on in the background from when it is ready."""
        log = (self.folder / "bot.log").open("wb")
        self.bot = subprocess.Popen(["cdm", "serve"], cwd=self.folder, env=self.env, stdout=log, stderr=log)
        ready = ["curl", "-fsS", "--retry", "60", "--retry-delay", "1", "--retry-all-errors"]
        return subprocess.run([*ready, f"{self.world.bot_url}/readyz"], capture_output=True, check=False).returncode

    def stop(self) -> None:
        if self.bot is not None:
            self.bot.terminate()
            self.bot.wait(30)
            self.bot = None


def _answers(world: SandboxWorld) -> dict[str, object]:
    secrets = world.directory / "secrets"

    def kept(name: str) -> dict[str, str]:
        return {"file": str(secrets / name)}

    return {
        "server": {"public_url": world.bot_url},
        "slack": {
            "bot_token": kept("slack-bot-token"),
            "app_token": kept("slack-app_token"),
            "team": TEAM,
            "channel": ROLLOUTS,
        },
        "stack": {"tenant": A.id, "wireguard_range": A.range},
        "thingsboard": {
            "url": world.url("thingsboard"),
            "username": f"cdm-bot@{A.id}.example",
            "password": kept(f"thingsboard-{A.id}"),
        },
        "hawkbit": {"url": world.url("hawkbit"), "username": BOT, "password": kept("hawkbit")},
        "brake": {"username": BRAKE, "password": kept("hawkbit-brake")},
        "keycloak": {"url": world.url("keycloak"), "client_secret": kept("keycloak")},
        "relay": {"host": "127.0.0.1", "port": world.relay.port, "name": RELAY},
    }


class Shell:
    """One bash for a document, so that what it exports stays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=desk.folder,
            env=desk.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, text: str) -> tuple[int, str]:
        """Exit status and output."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{{ {text}\n}} </dev/null\necho; echo @@done $?\n")
        self._bash.stdin.flush()
        said: list[str] = []
        for line in self._bash.stdout:
            if line.startswith("@@done "):
                return int(line.split()[1]), "".join(said)
            said.append(line)
        return self._bash.wait(), "".join(said)

    def close(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(10)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """The sandbox lives in a thread, since the commands are waited for here."""
    up: Future[SandboxWorld] = Future()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def live() -> None:
        directory = Path(tempfile.mkdtemp(prefix="cdm-"))
        try:
            async with SandboxWorld(directory, devices=30, pace=STILL, slack_rate=20.0) as world:
                up.set_result(world)
                await over.wait()
        except BaseException as error:
            if not up.done():
                up.set_exception(error)
            raise
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),), daemon=True)
    thread.start()
    made = Desk.laid_out(up.result(30))
    try:
        done = subprocess.run(
            ["cdm", "init", "--answers", "answers.yaml", "--no-probe"],
            cwd=made.folder,
            env=made.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.stop()
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()
        shutil.rmtree(made.folder, ignore_errors=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_works_as_it_stands_there(document: Path, request: pytest.FixtureRequest) -> None:
    commands = [command for command in commands_of(document) if not_run(command) is None]
    if not commands:
        return
    desk: Desk = request.getfixturevalue("desk")
    failed = []
    needs_bot = any("/readyz" in c.text for c in commands) and not any(c.text == "cdm serve" for c in commands)
    if needs_bot:
        assert desk.serve() == 0
    shell = Shell(desk)
    for command in commands:
        if command.text.startswith("cdm restore"):
            desk.stop()  # as the sentence before it says
        code, said = (desk.serve(), "") if command.text == "cdm serve" else shell.run(desk.in_place(command.text))
        if code != 0:
            failed.append(f"{command}\n    exit {code}: {said[-1500:]}")
    shell.close()
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_command_stands_where_it_would_not_be_found(document: Path) -> None:
    found = {command.line for command in commands_of(document)}
    lines = enumerate(document.read_text().splitlines(), 1)
    assert [line for number, line in lines if _HIDDEN.match(line) and number not in found] == []


def test_each_document_with_commands_is_looked_at() -> None:
    with_commands = {document.name for document in DOCUMENTS if commands_of(document)}
    assert {"README.md", "quickstart.md", "operations.md"} <= with_commands


def test_no_reason_stands_in_the_list_for_nothing() -> None:
    texts = [command.text for document in DOCUMENTS for command in commands_of(document)]
    assert [start for start in NOT_RUN if start != "make run" and not any(t.startswith(start) for t in texts)] == []


def test_the_first_alarm_of_the_quick_start_reaches_the_channel(desk: Desk) -> None:
    alarm = next(c for c in commands_of(ROOT / "docs" / "quickstart.md") if "first-alarm.json" in c.text)
    assert desk.serve() == 0
    shell = Shell(desk)
    assert shell.run(desk.in_place(alarm.text))[0] == 0
    shell.close()
    seen = asyncio.run(_shown(desk.world.url("slack")))
    assert "demo-0001" in seen


async def _shown(slack: str) -> str:
    async with SlackPeople(slack) as people:

        async def alarm() -> str:
            return "".join(m.shown for m in await people.messages(ROLLOUTS) if "demo-0001" in m.shown)

        return str(await until(alarm, "the alarm's message"))


LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:deploy|docs|tests|core|flows|bot|sandbox|integrations|handlers|runbooks)/[\w./-]+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_every_named_file_is_there(document: Path) -> None:
    text = document.read_text()
    lost = []
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        to = (document.parent / path).resolve() if path else document
        if not to.exists() or (anchor and anchor not in _anchors(to)):
            lost.append(target)
    lost += [path for path in PATH.findall(text) if not list(ROOT.glob(path.rstrip("/")))]
    assert not lost


def _anchors(document: Path) -> set[str]:
    """The headings, as the page of a repository names them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
