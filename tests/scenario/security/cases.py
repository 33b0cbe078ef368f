"""The rows of the matrix: each way to ask for each action, and what only who may is told."""

from __future__ import annotations

from dataclasses import dataclass

from core.access import Action
from sandbox.cast import TEAM
from tests.scenario.security.oracle import Standing, Way

ALL = ("own", "other", "spanning")
ONE_TENANT = ("own", "other")
NONE_LEFT = "Every group of this rollout is started already"
"""What is said of the next group of a stopped rollout, to those who may start one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to ask for one action. Texts hold names of a `Thing`'s `names`.

    `typed` after /cdm, or `pressed`: a button's action and value; `why`: it opens a form for a reason. `object`: the
    thing in the audit log. `done`: what only who may is told (a pattern). `command`: the form of `core.commands` that
    this stands for. `run_on`: a device whose run tells the outcome in a message. `second`: as `done`, for who may ask.
    """

    name: str
    action: Action
    way: Way
    done: str
    typed: str = ""
    pressed: tuple[str, str] | None = None
    object: str = ""
    command: str = ""
    scopes: tuple[str, ...] = ALL
    standings: tuple[Standing, ...] = tuple(Standing)
    why: bool = False
    run_on: str = ""
    second: str = "needs a second person"


def look(command: str, typed: str, done: str, scopes: tuple[str, ...] = ALL) -> Case:
    return Case(command, Action.VIEW, Way.LOOK, done, typed=typed, command=command, scopes=scopes)


def alarm(name: str, action: Action) -> Case:
    pressed = (name, "{incident}")
    return Case(
        name,
        action,
        Way.ORDER,
        "Nothing was left to do",
        pressed=pressed,
        object="incident:{incident}",
        scopes=ONE_TENANT,
    )


def run_typed(book: str, action: Action) -> Case:
    return Case(
        f"run {book}",
        action,
        Way.NAMED,
        "the result is in|Another run is at work",
        typed=f"run {book} {{run_device}}",
        object="device:eu1/{run_device}",
        command="run",
        scopes=ONE_TENANT,
        standings=(Standing.LINKED,),
    )


def run_pressed(button: str, action: Action) -> Case:
    return Case(
        f"press {button}",
        action,
        Way.ABOUT,
        "(DONE|FAILED) · .*{device}|Another run is at work",
        pressed=(button, "{incident}"),
        object="device:eu1/{device}",
        scopes=ONE_TENANT,
        run_on="{device}",
    )


def order(verb: str, action: Action, done: str, group: str = "", second: str = "") -> tuple[Case, Case]:
    """The button for everybody; the same typed for those of good standing. `second`: what is said instead of the second
    person that it needs, where nothing is left to do."""
    object, typed = "rollout:eu1/{rollout}", f"rollout {verb} {{name}}"
    button = (verb, f"eu1/{{rollout}}{group}")
    asked = f"needs a second person|{second}" if second else "needs a second person"
    pressed = Case(f"press {verb}", action, Way.ORDER, done, pressed=button, object=object, second=asked)
    named = Case(
        f"type {verb}",
        action,
        Way.NAMED,
        f"{done}|{NONE_LEFT}" if group else done,
        typed=typed,
        object=object,
        command=f"rollout {verb}",
        standings=(Standing.LINKED,),
        second=f"needs a second person|{NONE_LEFT}" if group else asked,
    )
    return pressed, named


def decide(command: str, way: Way, rest: str = "", standings: tuple[Standing, ...] = (Standing.LINKED,)) -> Case:
    """About a request for the stop of a rollout, which was withdrawn since."""
    typed, object = f"{command} {{request}}{rest}", "rollout:eu1/{rollout}"
    return Case(
        command,
        Action.STOP,
        way,
        "It is over already",
        typed=typed,
        object=object,
        command=command,
        standings=standings,
    )


CASES: tuple[Case, ...] = (
    look("device", "device {device}", "Running version", ONE_TENANT),
    look("alarms", "alarms {tenant}", "open incidents? in {tenant}", ONE_TENANT),
    look("rollout status", "rollout status {name}", "{name} on eu1"),
    look("policy", "policy {name}", "policy default, since no other"),
    look("rollout stuck", "rollout stuck {name}", "{name} on eu1"),
    look("why", "why {name}", "{name} on eu1: .*\nDecided for the scheduler"),
    Case(
        "press why",
        Action.VIEW,
        Way.LOOK,
        "{name} on eu1: .*\nDecided for the scheduler",
        pressed=("why", "eu1/{rollout}"),
    ),
    alarm("acknowledge", Action.ACKNOWLEDGE),
    alarm("clear", Action.CLEAR),
    run_pressed("run:rauc-status", Action.RUN_READ_ONE),
    run_pressed("redeploy", Action.RUN_CHANGE_ONE),
    run_typed("rauc-status", Action.RUN_READ_ONE),
    run_typed("redeploy", Action.RUN_CHANGE_ONE),
    *order("promote", Action.PROMOTE, "Group 1 is already started", "/1"),
    *order("resume", Action.RESUME, "Group 1 is already started", "/1"),
    *order("start", Action.START, "Nothing was started: hawkBit says it is stopped"),
    Case(
        "press create",
        Action.CREATE,
        Way.ORDER,
        "Made as rollout|It was made before",
        pressed=("create", "{draft}"),
        object="release:eu1/{release}",
    ),
    *order("pause", Action.PAUSE, "hawkBit refused to pause"),
    *order("hold", Action.HOLD, "On hold: the bot|Already on hold by"),
    *order("unhold", Action.PROMOTE, "The hold is lifted|There is no hold"),
    *order("stop", Action.STOP, "Stopped for good"),
    *order("exclude", Action.EXCLUDE, "no group waits for a device", second="no group waits for a device"),
    *order("cancel", Action.CANCEL_ACTION, "cancelled together once", second="cancelled together once"),
    *order("quit", Action.CANCEL_ACTION, "give the devices time", second="give the devices time"),
    *order("catch-up", Action.PROMOTE, "This rollout was stopped"),
    order("force", Action.RUN_CHANGE_ONE, "there is nothing to force", "/a-gw-005")[0],
    *order("continue", Action.CONTINUE_FAILED, "nobody may alone", "/2"),
    *order("reboot", Action.RUN_CHANGE_MANY, "nobody may alone", second="No device of this rollout waits for a reboot"),
    Case(
        "ask",
        Action.CONTINUE_FAILED,
        Way.ASK,
        "It was asked before",
        pressed=("ask", "continue:eu1/{rollout}/2"),
        object="rollout:eu1/{rollout}",
        command="ask",
        why=True,
    ),
    decide("approve", Way.DECIDE, standings=tuple(Standing)),
    decide("deny", Way.DECIDE, " not today"),
    decide("withdraw", Way.ASK),
    Case("links", Action.LINK_OTHERS, Way.LIST, "{person_name}", typed="links", command="links"),
    Case(
        "audit",
        Action.AUDIT_VERIFY,
        Way.LOG,
        "rollout:eu1/{rollout}",
        typed="audit rollout eu1/{rollout}",
        command="audit",
    ),
    Case(
        "links revoke",
        Action.LINK_OTHERS,
        Way.PERSON,
        "{person_name} any more",
        typed="links revoke {person}",
        object=f"slack:{TEAM}/{{person}}",
        command="links revoke",
    ),
)
UNREACHED = {
    Action.ASSIGN,
    Action.COMMENT,
    Action.SNOOZE,
    Action.SILENCE,
    Action.ONCALL,
    Action.RUN_READ_MANY,
    Action.ROLLBACK,
    Action.OVERRIDE_FREEZE,
    Action.INVALIDATE,
    Action.EDIT_POLICY,
    Action.DELETE_ROLLOUT,
    Action.MAINTAIN,
}
"""No command, button or form of Slack's asks for these yet."""
WITHOUT_TENANT = {"help", "runbooks", "whoami", "link", "unlink", "approvals", "rollout list", "rollout create"}
"""About the person who asks, a list of what `test_tenant_walls` looks through, or a form (`test_releases`)."""
