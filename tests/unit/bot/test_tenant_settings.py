"""`cdm tenant add` and the settings file: one tenant more, valid as a whole, and not a byte of the rest changed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import app
from bot.config_file import load_settings
from bot.tenants.settings_text import CannotEdit, with_tenant, without_tenant

OPTIONS = {
    "--group": "/customer-b",
    "--channel": "C0B",
    "--range": "10.66.2.0/24",
    "--username": "bot@b.example",
    "--password": "env:TB_B",
}


pytestmark = pytest.mark.usefixtures("logged_in")


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TB_B", "a-password-of-b")


def words(config: Path, id: str = "customer-b", **changed: str) -> list[str]:
    options = OPTIONS | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return ["tenant", "add", id, "--no-probe", "--config", str(config), *[w for o in options.items() for w in o]]


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, list(words), input=typed)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_tenant_is_added_with_a_secret_of_its_own_and_the_rest_stays_byte_for_byte(config: Path) -> None:
    config.chmod(0o640)
    before = config.read_text()
    done = run(*words(config))
    assert done.exit_code == 0, done.output
    first, second = load_settings(config).stacks[0].tenants
    assert (first.id, second.id, second.channel) == ("customer-a", "customer-b", "C0B")
    secret = config.parent / "secrets" / "webhook-customer-b"
    assert (mode(secret), mode(secret.parent), mode(config)) == (0o600, 0o700, 0o640)
    assert len(secret.read_text().strip()) > 40
    assert secret.read_text().strip() not in done.output
    assert "a-password-of-b" not in config.read_text() + done.output
    kept = config.with_name("cdm.yaml.bak")
    assert (kept.read_text(), mode(kept)) == (before, 0o640)
    after = config.read_text().splitlines()
    assert [line for line in before.splitlines() if line not in after] == []
    assert without_tenant(config, "eu1", "customer-b") == before
    for said in ("/invite @cdm", "thingsboard wiring --stack eu1 --tenant customer-b", "Restart every bot"):
        assert said in done.stdout


def test_what_no_option_says_is_asked_for_and_a_password_is_kept_in_a_file(config: Path) -> None:
    typed = "\nC0B\n10.66.2.0/24\nbot@b.example\ntyped-password\n"
    given = ["tenant", "add", "customer-b", "--no-probe", "--config", str(config)]
    done = run(*given, typed=typed)
    assert done.exit_code == 0, done.output
    assert "typed-password" not in done.output
    password = load_settings(config).stacks[0].tenants[1].thingsboard.password
    assert password is not None
    assert password.file is not None
    assert (password.file.name, mode(config.parent / "secrets" / "thingsboard-customer-b")) == (
        "thingsboard-customer-b",
        0o600,
    )


def test_broken_off_while_asking_nothing_is_written(config: Path) -> None:
    before = sorted(config.parent.rglob("*")), config.read_text()
    done = run("tenant", "add", "customer-b", "--config", str(config), typed="\nC0B\n")
    assert done.exit_code != 0
    assert (sorted(config.parent.rglob("*")), config.read_text()) == before


@pytest.mark.parametrize(
    ("id", "changed", "said"),
    [
        ("customer-a", {}, "has a tenant customer-a already"),
        ("Customer B", {}, "no id for a tenant"),
        ("customer-b", {"range": "10.66.1.128/25"}, "ranges of customer-a and customer-b overlap"),
        ("customer-b", {"range": "10.66.2.7/24"}, "a network"),
        ("customer-b", {"channel": "#alarms-b"}, "not the channel's name"),
        ("customer-b", {"group": "customer-b"}, "a path such as"),
        ("customer-b", {"password": "a-password-of-b"}, "env:NAME or file:path"),
        ("customer-b", {"password": "env:NOT_SET"}, "holds no secret"),
        ("customer-b", {"stack": "eu9"}, "no stack eu9"),
    ],
)
def test_what_will_not_do_is_told_and_nothing_is_written(
    config: Path, id: str, changed: dict[str, str], said: str
) -> None:
    before = sorted(config.parent.rglob("*")), config.read_text()
    done = run(*words(config, id, **changed))
    assert done.exit_code == 1
    assert said in done.stderr
    assert "a-password-of-b" not in done.output
    assert (sorted(config.parent.rglob("*")), config.read_text()) == before


def test_a_secret_that_is_there_from_before_is_not_taken_over(config: Path) -> None:
    (config.parent / "secrets").mkdir()
    old = config.parent / "secrets" / "webhook-customer-b"
    old.write_text("known to somebody")
    before = config.read_text()
    done = run(*words(config))
    assert done.exit_code == 1
    assert "webhook-customer-b is there already" in done.stderr.replace("\n", "")
    assert (config.read_text(), old.read_text()) == (before, "known to somebody")


def test_a_failure_at_the_last_step_leaves_no_secret_behind(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(config.parent.rglob("*")), config.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    done = run(*words(config))
    assert done.exit_code == 1
    assert "No space left" in done.stderr
    left = sorted(path for path in config.parent.rglob("*") if path.suffix != ".bak" and path.name != "secrets")
    assert (left, config.read_text()) == before


LISTS = """stacks:
- name: eu1
  tenants:
  # the first of all
  - id: a
    channel: C1     # loud
  # b is new
  - id: b
    channel: C2
    # until March

# of the other stack
- name: eu2
  tenants:
    - {id: c, channel: C3}
last: 1
"""


def in_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return path


def test_comments_and_indentation_of_any_style_are_kept(tmp_path: Path) -> None:
    path = in_file(tmp_path, LISTS)
    added = with_tenant(path, "eu1", {"id": "d", "channel": "C4"})
    new = "  - id: d\n    channel: C4\n"
    assert added == LISTS.replace("    # until March\n", f"    # until March\n{new}")
    flow = with_tenant(path, "eu2", {"id": "d", "channel": "C4"})
    assert flow == LISTS.replace("C3}\n", "C3}\n    - id: d\n      channel: C4\n")
    without = "  # b is new\n  - id: b\n    channel: C2\n    # until March\n"
    assert without_tenant(path, "eu1", "b") == LISTS.replace(without, "")
    path.write_text(added)
    assert without_tenant(path, "eu1", "d") == LISTS


def test_values_that_yaml_would_read_otherwise_are_quoted(tmp_path: Path) -> None:
    path = in_file(tmp_path, LISTS)
    tenant = {"id": "no", "keycloak_group": "/a: b #c", "webhook_secrets": [{"env": "X"}, {"file": "a b"}]}
    path.write_text(with_tenant(path, "eu1", tenant))  # it is read again there, and compared
    assert '"/a: b #c"' in path.read_text()


def test_a_list_in_brackets_is_left_to_a_person(tmp_path: Path) -> None:
    path = in_file(tmp_path, "stacks: [{name: eu1, tenants: [{id: a}, {id: b}]}]\n")
    with pytest.raises(CannotEdit, match="in brackets"):
        without_tenant(path, "eu1", "a")
