"""hawkBit: what each of the bot's accounts may do, and whether the everyday one may do more than it should."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from bot.probe.finding import Finding, fail, ok, warn
from bot.secrets import Secret
from bot.settings import Settings, StackSection
from core.rollouts.facts import RolloutFacts
from integrations.hawkbit import HawkbitAccount, HawkbitRollouts
from integrations.hawkbit.errors import Unauthorized

EVERYDAY: Mapping[str, str] = {
    "READ_ROLLOUT": "it sees no rollout at all",
    "READ_TARGET": "it cannot say which devices have the new version",
    "READ_DISTRIBUTION_SET": "it cannot say which version a rollout brings",
    "CREATE_ROLLOUT": "it can make no rollout, so nothing is released or rolled back",
    "HANDLE_ROLLOUT": "it can start, pause and resume no rollout, so nothing is promoted and nothing is braked",
}
BRAKE: Mapping[str, str] = {
    "UPDATE_ROLLOUT": "it cannot stop a rollout",
    "UPDATE_TARGET": "it can assign no set to a device and cancel no update, so `redeploy` fails",
    "READ_DISTRIBUTION_SET": "it can assign no set to a device, so `redeploy` fails",
}
RELEASE: Mapping[str, str] = {
    "READ_DISTRIBUTION_SET": "it cannot find a set that is there already",
    "CREATE_DISTRIBUTION_SET": "it can make no set",
    "UPDATE_DISTRIBUTION_SET": "it can lock no set, and of an unlocked one no rollout can be made",
    "READ_SOFTWARE_MODULE": "it cannot see which bundles are there already",
    "CREATE_SOFTWARE_MODULE": "it can upload no bundle",
    "UPDATE_SOFTWARE_MODULE": "it can upload no bundle where hawkBit's access control is on",
}
TOO_MUCH: Mapping[str, str] = {
    "UPDATE_ROLLOUT": "it may stop rollouts and start the next group without any check (measured on hawkBit 1.1.0)",
    "UPDATE_TARGET": "it may assign any set to any device and cancel any update",
    "UPDATE_DISTRIBUTION_SET": "it may lock sets, and make them unusable for ever",
    "APPROVE_ROLLOUT": "it may approve the rollouts of its own pipeline",
    "DELETE_ROLLOUT": "it may delete rollouts",
    "DELETE_TARGET": "it may delete devices",
}
_ROLLOUT = frozenset(f"{verb}_ROLLOUT" for verb in ("READ", "CREATE", "UPDATE", "DELETE", "HANDLE", "APPROVE"))
_TARGET = frozenset(f"{verb}_TARGET" for verb in ("READ", "CREATE", "UPDATE", "DELETE"))
_SET = frozenset(
    f"{verb}_{kind}"
    for verb in ("READ", "CREATE", "UPDATE", "DELETE")
    for kind in ("DISTRIBUTION_SET", "SOFTWARE_MODULE")
)
_ROLES: Mapping[str, frozenset[str]] = {
    "ROLE_ROLLOUT_ADMIN": _ROLLOUT,
    "ROLE_TARGET_ADMIN": _TARGET,
    "ROLE_REPOSITORY_ADMIN": _SET,
    "ROLE_TENANT_ADMIN": _ROLLOUT | _TARGET | _SET,
}
TIMEOUT_S = 10.0
VERSION_HINT = "hawkBit does not tell its version; it must be 1.0.0 or newer, which brought `stop` and pausing groups"


def name_of(section: StackSection) -> str:
    return f"hawkBit {section.name}"


async def look(settings: Settings, section: StackSection) -> AsyncIterator[Finding]:
    async for finding in _everyday(settings, section):
        yield finding
    async for finding in _brake(section):
        yield finding
    async for finding in _release(section):
        yield finding


async def _everyday(settings: Settings, section: StackSection) -> AsyncIterator[Finding]:
    system, hawkbit = name_of(section), section.hawkbit
    rollouts = _client(section, hawkbit.username, hawkbit.password)
    try:
        _, given = await rollouts.userinfo()
        held = rights(given)
        for finding in _lacking(system, "everyday", hawkbit.username, given, EVERYDAY):
            yield finding
        for right, why in TOO_MUCH.items():
            if right in held:
                yield warn(
                    system,
                    f"The everyday account {hawkbit.username} holds {right}: {why}.",
                    f"Take {right} from {hawkbit.username}" + _where_it_belongs(right),
                )
        if EVERYDAY.keys() <= held:
            yield ok(system, f"The everyday account {hawkbit.username} has every right it needs.")
            async for finding in _rollouts(system, settings, rollouts):
                yield finding
    except Unauthorized:
        yield _refused(system, "everyday", hawkbit.username, hawkbit.password)
    finally:
        await rollouts.aclose()


def _where_it_belongs(right: str) -> str:
    for kind, needed in (("brake", BRAKE), ("release", RELEASE)):
        if right in needed:
            return f" and give it to the {kind} account alone."
    return "; the bot never uses it."


def _refused(system: str, kind: str, account: str, password: Secret) -> Finding:
    return fail(
        system,
        f"hawkBit refuses the login of the {kind} account {account}.",
        f"Check its name and its password ({password.where}); hawkBit knows hawkbit.security.user.{account}.password.",
    )


def rights(given: Iterable[str]) -> frozenset[str]:
    """What an account may do, with its administrators' roles resolved. `ROLE_READ_ROLLOUT` is no right at all."""
    found = frozenset(given)
    return found.union(*(_ROLES.get(name, frozenset()) for name in found))


def _lacking(
    system: str, kind: str, account: str, given: frozenset[str], needed: Mapping[str, str]
) -> Iterable[Finding]:
    held = rights(given)
    for right, without in needed.items():
        if right in held:
            continue
        there = f"hawkbit.security.user.{account}.permissions"
        fix = f"Add {right} to {there} and start hawkBit again."
        if f"ROLE_{right}" in given:
            fix = f"{right} stands under `roles`, where it is no right: move it to {there}."
        yield fail(system, f"The {kind} account {account} lacks {right}: {without}.", fix)


async def _rollouts(system: str, settings: Settings, rollouts: HawkbitRollouts) -> AsyncIterator[Finding]:
    """Only PAUSE as a group's success action keeps hawkBit itself from starting the next group."""
    active = await rollouts.active()
    owned = [rollout for rollout in active if rollout.created_by in settings.promotion.owners]
    loose: list[RolloutFacts] = []
    pausing = False
    for rollout in owned[:20]:
        groups = await rollouts.groups(rollout.id)
        pausing = pausing or any(group.pauses for group in groups)
        if not all(group.pauses for group in groups):
            loose.append(rollout)
    version = "it pauses after groups, so it is 1.0.0 or newer" if pausing else VERSION_HINT
    yield ok(system, f"{len(active)} rollouts under way, {len(owned)} of them the bot's to promote; {version}.")
    for rollout in loose:
        yield warn(
            system,
            f"hawkBit starts the next group of rollout {rollout.name} ({rollout.id}) by itself, also below the "
            "threshold once a group has completed: not every group has the success action PAUSE.",
            "Let the pipeline that creates rollouts set successAction PAUSE on each group; it cannot be changed later.",
        )


async def _brake(section: StackSection) -> AsyncIterator[Finding]:
    system, hawkbit = name_of(section), section.hawkbit
    if hawkbit.brake_username is None or hawkbit.brake_password is None:
        yield warn(
            system,
            "There is no brake account: stopping a rollout for good, cancelling updates and `redeploy` are refused.",
            f"Make an account with {', '.join(BRAKE)} and name it in brake_username and brake_password.",
        )
        return
    if hawkbit.brake_username == hawkbit.username:
        yield warn(
            system,
            f"Everyday and brake account are the same ({hawkbit.username}), so each everyday call may skip groups too.",
            "Make a second account for the brakes.",
        )
    async for finding in _named(section, "brake", hawkbit.brake_username, hawkbit.brake_password, BRAKE):
        yield finding


async def _release(section: StackSection) -> AsyncIterator[Finding]:
    hawkbit = section.hawkbit
    if hawkbit.release_username is None or hawkbit.release_password is None:
        yield ok(name_of(section), "There is no release account: uploading bundles and making sets is refused.")
        return
    async for finding in _named(section, "release", hawkbit.release_username, hawkbit.release_password, RELEASE):
        yield finding


async def _named(
    section: StackSection, kind: str, username: str, password: Secret, needed: Mapping[str, str]
) -> AsyncIterator[Finding]:
    system = name_of(section)
    client = _client(section, username, password)
    try:
        _, given = await client.userinfo()
    except Unauthorized:
        yield _refused(system, kind, username, password)
        return
    finally:
        await client.aclose()
    lacking = list(_lacking(system, kind, username, given, needed))
    for finding in lacking:
        yield finding
    if not lacking:
        yield ok(system, f"The {kind} account {username} has every right it needs.")


def _client(section: StackSection, account: str, password: Secret) -> HawkbitRollouts:
    return HawkbitRollouts(
        section.hawkbit.url,
        HawkbitAccount(account, password.read),
        system=f"{name_of(section)} ({account})",
        timeout_s=min(section.hawkbit.timeout_s, TIMEOUT_S),
    )
