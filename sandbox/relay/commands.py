"""What a device's shell makes of an exec string, and the few programs installed on it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.relay import rauc
from sandbox.relay.view import DeviceView, JournalLine

OPERATORS = set(";&|<>()\n")


@dataclass(frozen=True, slots=True)
class Answer:
    stdout: bytes = b""
    stderr: bytes = b""
    status: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """The device and the circumstances a command may see."""

    view: DeviceView
    now: datetime
    rauc_service: bool = True
    booted_as: str = "slot"


def split_exec(text: str) -> list[tuple[str, ...]]:
    """The simple commands in an exec string: sshd hands it to a shell, so an operator starts another command.

    ValueError for what a shell would expand or could not parse: `$`, a backtick, an open quote.
    """
    if _expands(text):
        raise ValueError("expansion")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>()\n")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    for token in lexer:
        if token and set(token) <= OPERATORS:
            commands.append([])
        else:
            commands[-1].append(token)
    return [tuple(words) for words in commands if words]


def _expands(text: str) -> bool:
    """Whether a shell would find `$` or a backtick outside of single quotes, unescaped."""
    quote = ""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == quote:
            quote = ""
        elif quote == "'":
            continue
        elif char == "\\":
            escaped = True
        elif not quote and char in "'\"":
            quote = char
        elif char in "$`":
            return True
    return False


def run(argv: Sequence[str], machine: Machine) -> Answer:
    """One simple command. Unknown ones end as in a POSIX shell: exit 127."""
    program = PROGRAMS.get(argv[0])
    if program is None:
        return Answer(stderr=f"sh: 1: {argv[0]}: not found\n".encode(), status=127)
    return program(argv[1:], machine)


def _journalctl(args: Sequence[str], machine: Machine) -> Answer:
    unit: str | None = None
    count: int | None = None
    words = list(args)
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if option in ("-u", "--unit", "-n", "--lines"):
            if not equals:
                if not words:
                    return _failed(f"journalctl: option requires an argument -- '{option.strip('-')[0]}'")
                value = words.pop(0)
            if option in ("-u", "--unit"):
                unit = value.removesuffix(".service")
            elif value.isdecimal():
                count = int(value)
            else:
                return _failed(f"Failed to parse lines '{value}'")
        elif word not in ("--no-pager", "-q", "--quiet"):
            return _failed(f"journalctl: unrecognized option '{word}'")
    lines = [line for line in machine.view.journal if unit is None or line.unit == unit]
    shown = lines if count is None else lines[len(lines) - min(count, len(lines)) :]
    if not shown:
        return Answer(stdout=b"-- No entries --\n")
    return Answer(stdout="".join(_short(line, machine.view.name) for line in shown).encode())


def _short(line: JournalLine, host: str) -> str:
    return f"{line.at:%b %d %H:%M:%S} {host} {line.unit}[412]: {line.message}\n"


def _rauc(args: Sequence[str], machine: Machine) -> Answer:
    options = [word for word in args if word.startswith("-")]
    if [word for word in args if not word.startswith("-")] != ["status"]:
        return _failed("Invalid arguments")
    formats = [o.removeprefix("--output-format=") for o in options if o.startswith("--output-format=")]
    unknown = [o for o in options if o != "--detailed" and not o.startswith("--output-format=")]
    if unknown:
        return _failed(f"Unknown option {unknown[0]}")
    if not machine.rauc_service:
        return Answer(stderr=rauc.NO_SERVICE.encode(), status=1)
    detailed = "--detailed" in options
    if formats == ["json"]:
        return Answer(rauc.status_json(machine.view, detailed=detailed, booted_as=machine.booted_as).encode())
    if formats in ([], ["readable"]):
        return Answer(rauc.status_text(machine.view, detailed=detailed).encode())
    return _failed(f"Unknown output format: '{formats[-1]}'")


def _cat(args: Sequence[str], machine: Machine) -> Answer:
    if list(args) == ["/proc/sys/kernel/random/boot_id"]:
        return Answer(f"{machine.view.boot_id}\n".encode())
    return _failed(f"cat: {args[0] if args else '-'}: No such file or directory")


def _uptime(args: Sequence[str], machine: Machine) -> Answer:
    if args:
        return _failed(f"uptime: unrecognized option '{args[0]}'")
    up = max(machine.now - machine.view.booted_at, timedelta(0))
    hours, minutes = up.seconds // 3600, up.seconds % 3600 // 60
    days = f"{up.days} day{'s' if up.days != 1 else ''}, " if up.days else ""
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes} min"
    load = "0.08, 0.03, 0.01" if machine.view.updater_state == "idle" else "1.74, 0.92, 0.41"
    return Answer(f" {machine.now:%H:%M:%S} up {days}{clock},  0 users,  load average: {load}\n".encode())


def _systemctl(args: Sequence[str], machine: Machine) -> Answer:
    if list(args) != ["reboot"]:
        return _failed(f"Unknown command verb '{args[0] if args else ''}'.")
    machine.view.reboot()
    return Answer()


def _failed(text: str) -> Answer:
    return Answer(stderr=f"{text}\n".encode(), status=1)


PROGRAMS: dict[str, Callable[[Sequence[str], Machine], Answer]] = {
    "journalctl": _journalctl,
    "rauc": _rauc,
    "cat": _cat,
    "uptime": _uptime,
    "systemctl": _systemctl,
}
