"""Output of a runbook's steps told to a person: pure, redacted, free of control characters, bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.runs import CommandOutput
from runbooks.rauc import NotRaucStatus, RaucStatus, SlotState, parse_rauc_status
from runbooks.redact import Redactor
from runbooks.schema import ParserName
from runbooks.text import bounded, clean, cut, flat

_LAST_ERROR = re.compile(r"LastError: *\S")


@dataclass(frozen=True, slots=True)
class Rendering:
    """`summary` one line; `lines` and `warnings` to show below it; `complete` everything, for a file."""

    summary: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    complete: str


@dataclass(frozen=True, slots=True)
class _Told:
    """What a parser makes of the output, before it is cleaned, redacted and bounded."""

    summary: str
    lines: Sequence[str]
    warnings: Sequence[str] = ()


def render(parser: ParserName, results: Sequence[CommandOutput], redact: Redactor) -> Rendering:
    """Tell what the steps of a run gave, one result a step; a run that was broken off has fewer."""
    told = PARSERS[parser](results, redact) if _went_well(results) else _text(results, redact)
    return Rendering(
        summary=cut(redact(flat(told.summary)), 300),
        lines=bounded([cut(redact(flat(line))) for line in told.lines]),
        warnings=bounded([cut(redact(flat(text))) for text in (*_troubles(results), *told.warnings)]),
        complete="\n".join(_section(result, redact) for result in results),
    )


def _went_well(results: Sequence[CommandOutput]) -> bool:
    return bool(results) and all(result.exit_status == 0 or result.truncated for result in results)


def _troubles(results: Sequence[CommandOutput]) -> list[str]:
    texts = []
    for result in results:
        if result.truncated:
            size = len(result.stdout) + len(result.stderr)
            texts.append(f"{result.argv[0]}: output cut at {size} bytes, the command was ended.")
        elif result.exit_status is None:
            texts.append(f"{result.argv[0]}: ended by a signal.")
        elif result.exit_status == 127:
            texts.append(f"{result.argv[0]}: not installed on the device (exit status 127).")
        elif result.exit_status:
            texts.append(f"{result.argv[0]}: exit status {result.exit_status}.")
    return texts


def _section(result: CommandOutput, redact: Redactor) -> str:
    ended = "truncated" if result.truncated else f"exit status {result.exit_status}"
    parts = [f"$ {redact(flat(' '.join(result.argv)))}   [{ended}, {result.duration_s:.1f} s]"]
    parts += [text.rstrip("\n") for text in _streams(result, redact) if text]
    return "\n".join(parts) + "\n"


def _streams(result: CommandOutput, redact: Redactor) -> tuple[str, str]:
    """stdout and stderr, cleaned, then redacted as a whole, since a PEM block spans lines. Where output was cut off,
    its last word goes too: half a token is not recognised as one."""
    texts = (clean(result.stdout), clean(result.stderr))
    if result.truncated:
        texts = (_without_last_word(texts[0]), _without_last_word(texts[1]))
    return redact(texts[0]), redact(texts[1])


def _without_last_word(text: str) -> str:
    return text[: max(text.rfind(" "), text.rfind("\n")) + 1]


def _lines(result: CommandOutput, redact: Redactor) -> list[str]:
    stdout, stderr = _streams(result, redact)
    shown = stdout + "\n" + stderr if result.exit_status != 0 or not stdout else stdout
    return [line for line in shown.split("\n") if line.strip()]


def _text(results: Sequence[CommandOutput], redact: Redactor) -> _Told:
    lines = [line for result in results for line in _lines(result, redact)]
    if not lines:
        return _Told("No output.", ())
    if len(lines) == 1:
        return _Told(lines[0], lines)
    return _Told(f"{len(lines)} lines of output.", lines)


def _journal(results: Sequence[CommandOutput], redact: Redactor) -> _Told:
    """The last LastError line first: the updater's own final message never says why (measured)."""
    lines = [line for result in results for line in _lines(result, redact)]
    if not lines or lines == ["-- No entries --"]:
        return _Told("The journal has no entries.", ())
    errors = [index for index, line in enumerate(lines) if _LAST_ERROR.search(line)]
    if not errors:
        return _Told(f"{len(lines)} journal lines, no LastError.", lines)
    last = lines.pop(errors[-1])
    return _Told(last[last.index("LastError:") :], [last, *bounded(lines, 59)])


def _rauc(results: Sequence[CommandOutput], redact: Redactor) -> _Told:
    try:
        status = parse_rauc_status(results[-1].stdout)
    except NotRaucStatus:
        told = _text(results, redact)
        return _Told(told.summary, told.lines, ["The output is not the JSON of rauc status; shown as it came."])
    lines = [_slot_line(slot, status) for slot in status.slots]
    return _Told(_slot_summary(status), lines, _slot_warnings(status))


def _slot_summary(status: RaucStatus) -> str:
    if status.booted is None:
        return f"{status.compatible}: the booted slot is not known."
    version = f", version {status.booted.version}" if status.booted.version else ""
    return f"Runs slot {status.booted}{version}, marked {status.booted.boot_status or 'neither good nor bad'}."


def _slot_line(slot: SlotState, status: RaucStatus) -> str:
    facts = [slot.state]
    facts += [f"marked {slot.boot_status}"] if slot.boot_status else []
    facts += [f"version {slot.version}"] if slot.version else []
    facts += ["boots next"] if slot == status.primary else []
    return f"{slot}: {', '.join(facts)}"


def _slot_warnings(status: RaucStatus) -> list[str]:
    booted, primary = status.booted, status.primary
    texts = []
    if booted is None:
        texts.append("RAUC does not say which slot is booted.")
    elif booted.boot_status == "bad":
        texts.append(f"The booted slot {booted} is marked bad: the next reboot may leave it.")
    if primary is None:
        texts.append("RAUC does not say which slot boots next.")
    elif booted is not None and booted != primary:
        texts.append(
            f"Slot {primary} boots next, not the running {booted}: an update waits for its reboot, or did not come up."
        )
    return texts


PARSERS: Mapping[ParserName, Callable[[Sequence[CommandOutput], Redactor], _Told]] = {
    "text": _text,
    "journal": _journal,
    "rauc-status": _rauc,
}
