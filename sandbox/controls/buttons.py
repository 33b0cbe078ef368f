"""What the panel offers, as data: every control, in the words a person at the console types."""

from __future__ import annotations

from sandbox import cast
from sandbox.cast import TENANTS
from sandbox.controls.panel import Ask, Control
from sandbox.tempo import SPEEDS

SYSTEMS = ("slack", "thingsboard", "hawkbit", "keycloak", "relay")
NAMES = {
    "slack": "Slack",
    "thingsboard": "ThingsBoard",
    "hawkbit": "hawkBit",
    "keycloak": "Keycloak",
    "relay": "The relay",
}
STORM = 400
_DOWN = {
    "slack": "Nothing arrives and nothing is shown. When it is up again the messages show what is true then.",
    "thingsboard": "Its channels say that it does not answer; alarms raised meanwhile are found afterwards.",
    "hawkbit": "Rollout messages say since when they are old. No group is started.",
    "keycloak": "People are refused, for nobody can say what they may do. Looking, Hold and automatic brakes go on.",
    "relay": "Runbooks say that the relay takes no connection and that nothing was run.",
}
_DEVICE = Ask("device", "Device", TENANTS[0].device(3))
_DEVICES = (
    ("Device falls back", "falls_back", "Its next update claims success, boots the old slot, and is refuted."),
    ("Device fails to install", "fails", "Its next update reports an error, and an alarm appears."),
    ("Device never reboots", "never_reboots", "Its next update is claimed, and not verified until it is good again."),
    ("Device goes offline", "offline", "No polls, no telemetry, no SSH; ThingsBoard calls it inactive after a while."),
    ("Device comes back", "online", "It polls again and goes on where it was."),
    ("Device is good again", "good", "Its next update goes well."),
)


def buttons(*, states: dict[str, str], bad: set[str], offline: set[str], stormy: bool, speed: float) -> list[Control]:
    """`states` of the systems by name, `bad` versions, tenants that are `offline`: what is so already can be undone."""
    found = [
        Control("Devices", label, f"break gw {{device}} {how}", hint, asks=(_DEVICE,)) for label, how, hint in _DEVICES
    ]
    found += [_bad_bundle(version, version in bad) for version in cast.SETS[1:]]
    found += [_site_offline(tenant.id, tenant.id in offline) for tenant in TENANTS]
    for system in SYSTEMS:
        found += [_system_down(system, states[system] == "down"), _system_slow(system, states[system] == "slow")]
    restart = "Requests are cut, then refused for some seconds. Rollouts go on afterwards; nothing is started twice."
    found.append(Control("Systems", "hawkBit restarts", "restart hawkbit", restart))
    found.append(_speed(speed))
    found.append(_storm(stormy))
    found.append(_release())
    return found


def _bad_bundle(version: str, active: bool) -> Control:
    hint = f"Every further install of {version} falls back: devices claim success and are refuted, so the gate fails."
    words = f"break bundle {version}"
    return Control("Devices", f"Bad bundle {version}", f"{words} falls_back", hint, f"{words} good", active)


def _site_offline(tenant: str, active: bool) -> Control:
    hint = f"All devices of {tenant} fall silent. What is not proven does not pass, so its rollouts wait."
    words = f"break site {tenant}"
    return Control("Devices", f"Site {tenant} offline", f"{words} offline", hint, f"{words} online", active)


def _system_down(system: str, active: bool) -> Control:
    return Control(
        "Systems", f"{NAMES[system]} down", f"break {system} down", _DOWN[system], f"break {system} up", active
    )


def _system_slow(system: str, active: bool) -> Control:
    label = "The relay is silent" if system == "relay" else f"{NAMES[system]} answers late"
    hint = "Everything takes seconds longer; clicks are still acknowledged at once, and nothing is done twice."
    return Control("Systems", label, f"break {system} slow", hint, f"break {system} up", active)


def _speed(speed: float) -> Control:
    ask = Ask("speed", "Speed", f"{speed:g}", tuple(f"{one:g}" for one in SPEEDS))
    hint = (
        "How fast devices poll, install and reboot; below 1 hawkBit's scheduler slows down too, at 0 both stand still. "
        "The bot is a real process and keeps real time, and so do alarms and Slack."
    )
    return Control("Time", "Set the speed of time", "speed {speed}", hint, asks=(ask,))


def _storm(active: bool) -> Control:
    hint = f"{STORM} devices of {TENANTS[0].id} report a failed update: one message with the count, and a file of all."
    return Control("Load", f"{STORM} alarms at once", f"alarms {STORM}", hint, "alarms over", active)


def _release() -> Control:
    ask = Ask("version", "Version", cast.SETS[-1], cast.SETS[1:])
    hint = "The pipeline starts a rollout in groups of 5, 25 and 70 %; the bot promotes what is verified."
    return Control("Release", "Release a version", "release {version}", hint, asks=(ask,))
