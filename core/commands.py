"""What people type after `/cdm`, parsed to a command; half-typed or unknown input gets the nearest right one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Form:
    """One command's shape: the words that start it, its arguments ("<x>" needed, "[x]" optional), and what it does."""

    name: str
    words: tuple[str, ...]
    arguments: tuple[str, ...]
    does: str

    @property
    def usage(self) -> str:
        return " ".join(("/cdm", *self.words, *self.arguments))

    @property
    def needed(self) -> int:
        return sum(a.startswith("<") for a in self.arguments)

    @property
    def rest(self) -> bool:
        """True where the last argument takes any number of words (`[name=value…]`)."""
        return bool(self.arguments) and self.arguments[-1] == "[name=value…]"

    @property
    def spaced(self) -> bool:
        """True where the last argument may hold spaces: a rollout's name, what follows it, or a reason."""
        return bool(self.arguments) and self.arguments[-1].endswith(("name>", "name]", "reason…>", "[n]"))


FORMS: tuple[Form, ...] = (
    Form("help", ("help",), (), "this list"),
    Form("alarms", ("alarms",), ("[tenant]",), "open incidents of your tenants"),
    Form("device", ("device",), ("<id>",), "one device: online, version, slot, alarms, sets"),
    Form("rollout list", ("rollout", "list"), (), "rollouts under way"),
    Form("rollout status", ("rollout", "status"), ("[name]",), "groups, what is verified, why it waits"),
    Form("rollout create", ("rollout", "create"), (), "make a release; a form asks what goes where"),
    Form("rollout start", ("rollout", "start"), ("<name>",), "start group 1 of a rollout that is ready"),
    Form("rollout promote", ("rollout", "promote"), ("<name>",), "start the next group, past passed gates"),
    Form("rollout pause", ("rollout", "pause"), ("<name>",), "pause it; devices already started will finish"),
    Form("rollout resume", ("rollout", "resume"), ("<name>",), "resume it (may start the next group)"),
    Form("rollout hold", ("rollout", "hold"), ("<name>",), "block promotion by the bot; changes nothing in hawkBit"),
    Form("rollout unhold", ("rollout", "unhold"), ("<name>",), "lift the hold"),
    Form("rollout stop", ("rollout", "stop"), ("<name>",), "end it for good (admin)"),
    Form("rollout continue", ("rollout", "continue"), ("<name>",), "start the next group past failed gates (approval)"),
    Form("rollout reboot", ("rollout", "reboot"), ("<name>",), "reboot the devices that wait for it (approval)"),
    Form("policy", ("policy",), ("<rollout name>",), "which policy decides about a rollout, and what it asks"),
    Form("rollout stuck", ("rollout", "stuck"), ("<name>",), "devices that do not get on, and what helps"),
    Form("rollout exclude", ("rollout", "exclude"), ("<name>",), "leave devices out that cannot be reached"),
    Form(
        "rollout catch-up",
        ("rollout", "catch-up"),
        ("<name>",),
        "bring excluded devices what they missed",
    ),
    Form("rollout cancel", ("rollout", "cancel"), ("<name>",), "cancel what a finished rollout left open"),
    Form("rollout quit", ("rollout", "quit"), ("<name>",), "end by force cancels that no device confirms"),
    Form("why", ("why",), ("<rollout> [n]",), "the last decision rule by rule; with a number, so many before it"),
    Form(
        "ask",
        ("ask",),
        ("<order>", "<rollout> <reason…>"),
        "ask for approval: order is stop, continue, exclude, reboot, …",
    ),
    Form("approvals", ("approvals",), (), "requests that wait for you, and your own"),
    Form("approve", ("approve",), ("<id>",), "agree to a request"),
    Form("deny", ("deny",), ("<id>", "<reason…>"), "refuse a request"),
    Form("withdraw", ("withdraw",), ("<id>",), "take your own request back"),
    Form("run", ("run",), ("[runbook]", "[device]", "[name=value…]"), "run a runbook; what is left out, a form asks"),
    Form("runbooks", ("runbooks",), (), "the runbooks there are"),
    Form("whoami", ("whoami",), (), "who you are to the bot, and what you may do"),
    Form("link", ("link",), ("[code or realm]",), "link your Slack user with your Keycloak account"),
    Form("unlink", ("unlink",), (), "end that link; the bot then does nothing for you"),
    Form("links", ("links",), (), "who is linked with whom (admin)"),
    Form("links revoke", ("links", "revoke"), ("<person>",), "end somebody's link (admin)"),
    Form(
        "audit",
        ("audit",),
        ("[person|tenant|device|rollout]", "[which]", "[count]"),
        "who did what lately, and whether that log holds (admin)",
    ),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command understood. `args` holds the given arguments in order; `options` the name=value ones."""

    name: str
    args: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """`problem` says what is wrong; `nearest` are the usages that were probably meant, best first."""

    problem: str
    nearest: tuple[str, ...]


def parse(text: str) -> Command | NotUnderstood:
    """`text` is what follows the slash command, unescaped, any case and spacing. Empty means help."""
    words = text.split()
    if not words:
        return Command("help")
    for form in sorted(FORMS, key=lambda f: -len(f.words)):
        count = len(form.words)
        if tuple(w.lower() for w in words[:count]) == form.words:
            return _arguments(form, words[count:])
    return _nearest(words)


def _arguments(form: Form, given: list[str]) -> Command | NotUnderstood:
    options: dict[str, str] = {}
    if form.rest:
        plain = form.arguments[:-1]
        for word in given[len(plain) :]:
            name, equals, value = word.partition("=")
            if not equals or not name:
                return NotUnderstood(f"{word!r} is not name=value", (form.usage,))
            options[name] = value
        given = given[: len(plain)]
    if form.spaced and given:
        before = len(form.arguments) - 1
        given = [*given[:before], " ".join(given[before:])]
    limit = len(form.arguments) - form.rest
    if len(given) < form.needed:
        return NotUnderstood(f"{form.name} needs {form.arguments[len(given)]}", (form.usage,))
    if len(given) > limit:
        return NotUnderstood(f"{form.name} takes no {given[limit]!r}", (form.usage,))
    return Command(form.name, tuple(given), options)


def _nearest(words: list[str]) -> NotUnderstood:
    typed = " ".join(w.lower() for w in words[:2])
    started = [f for f in FORMS if f.name.startswith(typed) or f.words[0] == words[0].lower()]
    if started:
        started.sort(key=lambda f: -difflib.SequenceMatcher(None, typed, f.name).ratio())
        whole = any(f.name.startswith(typed) for f in started)
        problem = f"{typed!r} is only part of a command" if whole else f"there is no command {' '.join(words[:2])!r}"
        return NotUnderstood(problem, tuple(f.usage for f in started))
    names = {f.name: f for f in FORMS} | {f.words[-1]: f for f in FORMS}
    near = difflib.get_close_matches(typed, names, n=3, cutoff=0.5) or difflib.get_close_matches(
        words[0].lower(), names, n=3, cutoff=0.5
    )
    usages = dict.fromkeys(names[n].usage for n in near)
    return NotUnderstood(f"there is no command {' '.join(words[:2])!r}", tuple(usages) or ("/cdm help",))
