"""A release that devices claim and do not run: what people see of it in Slack, and do, while hawkBit is content.

The same by RAUC's own word instead of telemetry: `test_proof_by_rauc.py`.
"""

from __future__ import annotations

import re

from core.messages.fold import unfold
from sandbox.cast import ROLLOUTS
from sandbox.fleet import Fate
from tests.scenario.approving import asks_for, logs_in_anew
from tests.scenario.people import ONE_LOOP, office

pytestmark = ONE_LOOP

FATES: tuple[Fate, ...] = ("falls_back",) * 3 + ("never_reboots",) * 4 + ("good",) * 18
AFTER = 10


async def test_three_of_25_canaries_fell_back_and_four_have_not_rebooted() -> None:
    """hawkBit says 100 %. We hold, name the three as refuted and the four as waiting; people have the four rebooted,
    and when they come up in the new slot the gate fails at 88 %."""
    async with office(devices=100) as here:
        alice, bob = here.person("alice"), here.person("bob")
        await here.links({alice: "alice", bob: "bob"})
        devices = [f"a-gw-{n:03}" for n in range(1, len(FATES) + AFTER + 1)]
        shares = (100 * len(FATES) / len(devices), 100 * AFTER / len(devices))
        rollout = await here.starts_rollout("fall-back", "1.1.0", devices, shares, by=here.world.pipeline, fates=FATES)
        canaries = await here.world.pipeline.members(rollout, 1)
        fallen, waiting = canaries[:3], canaries[3:7]
        words = ("FAILED", "*fall-back*", "18/25 verified", "25 claimed", "4 await a reboot until", "3 refuted")
        message = await here.shows(ROLLOUTS, *words, button="reboot", within_s=60)
        shown = message.shown
        assert await here.status(rollout) == "paused", "hawkBit would go on: all of them reported success"
        assert _named(shown, "Refuted") == set(fallen)
        assert _named(shown, "Await a reboot") == set(waiting)
        asked = await asks_for(bob, message, "reboot", "they wait for a site visit otherwise")
        assert "waits for approval" in asked.shown
        wanted = await here.shows(ROLLOUTS, "APPROVAL WANTED", "Reboot 4 devices of fall-back", button="approve")
        assert set(unfold(re.findall(r"devices to reboot[^`]*`([^`]+)`", _plain(wanted.shown))[0])) == set(waiting)
        await logs_in_anew(await alice.presses(wanted, "approve"), "alice")
        told = await here.reply(message, ROLLOUTS, "DONE", "Reboot 4 devices", "4 back", within_s=60)
        assert "By bob" in told.shown
        assert {name: here.ran(name).count(("systemctl", "reboot")) for name in canaries} == {
            name: int(name in waiting) for name in canaries
        }
        words = ("FAILED", "22/25 verified", "25 claimed", "at best 22 of 25 (88 %)", "on hold by")
        shown = (await here.shows(ROLLOUTS, *words, within_s=60)).shown
        assert _named(shown, "Refuted") == set(fallen)
        assert "await a reboot" not in shown.lower()
        assert await here.started(rollout) == 1


def _named(shown: str, word: str) -> set[str]:
    """The devices that the message names under this word."""
    found = re.search(rf"^\*{word}\* in group 1 \(\d+\): `([^`]+)`$", shown, re.MULTILINE)
    assert found is not None, shown
    return set(unfold(_plain(found[1])))


def _plain(shown: str) -> str:
    return shown.replace("\u200b", "")
