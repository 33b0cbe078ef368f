"""What must come true: on screen in Slack, and in the stand-ins behind the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sandbox.cast import TENANTS
from sandbox.scenarios import schema
from sandbox.scenarios.stage import Stage, Unmet, has_button, nearest, plain, tenant_of
from sandbox.settings_file import BOT
from sandbox.slack.client import SlackPeople
from sandbox.slack.seen import SeenMessage, flat
from sandbox.wiring import ThingsboardAccount

_ACTORS: Mapping[str, str] = {"bot": BOT, "pipeline": "ci", "hand": "admin"}


class Checks:
    """One method a verb of `schema.CHECKS`. Each waits until it is true, and raises Unmet with what is so instead."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._world = stage.world
        self._slack: SlackPeople = stage.world.people
        self._accounts: dict[str, ThingsboardAccount] = {}

    # Slack

    async def message(self, wanted: schema.Message) -> None:
        stage, channel = self._stage, self._stage.channel(wanted.where)
        name = f"#{stage.filled(wanted.where)}"
        parent = stage.seen(wanted.thread_of).ts if wanted.thread_of else None
        where = f"the thread in {name}" if parent else name
        fitting: list[SeenMessage] = []

        async def shown() -> str:
            standing = flat(await self._slack.messages(channel))
            among = [m for m in standing if parent is None or (m.thread_ts == parent != m.ts)]
            judged = [(m, await self._wrong(wanted, m)) for m in among]
            fitting[:] = [m for m, wrong in judged if not wrong]
            return nearest([(m.shown, wrong) for m, wrong in judged], where)

        await stage.until(f"{where}: {_in_words(stage, wanted)}", shown, lambda _: bool(fitting), wanted.within_s)
        if wanted.keep:
            stage.kept[wanted.keep] = fitting[0]

    async def _wrong(self, wanted: schema.Message, message: SeenMessage) -> list[str]:
        wrong = self._stage.missing(wanted, message.shown)
        if wanted.button and not has_button(message, wanted.button):
            wrong.append(f"has no button {wanted.button}")
        if wanted.no_button and has_button(message, wanted.no_button):
            wrong.append(f"has the button {wanted.no_button}")
        if wanted.file_names and not wrong:
            ids = {id for one in (message, *message.replies) for id in one.files}
            text = "\n".join(file.content for file in await self._slack.files() if file.id in ids)
            gone = [name for name in self._stage.devices(wanted.file_names) if name not in text]
            if gone:
                wrong.append(f"has no file that names {', '.join(gone[:5])} ({len(gone)} in all)")
        return wrong

    async def messages(self, wanted: schema.Messages) -> None:
        texts = [plain(self._stage.filled(text)) for text in wanted.has]
        channel = self._stage.channel(wanted.where)

        async def count() -> int:
            shown = [plain(message.shown) for message in await self._slack.messages(channel)]
            return sum(all(text in one for text in texts) for one in shown)

        what = f"{wanted.count} messages in #{self._stage.filled(wanted.where)} with {', '.join(map(repr, texts))}"
        await self._stage.until(what, count, lambda found: found == wanted.count, wanted.within_s)

    # hawkBit

    async def started(self, wanted: schema.Started) -> None:
        rollout = self._stage.rollout(wanted.rollout)
        what = f"group {wanted.group} of {rollout.name}"

        async def begun() -> list[str]:
            mine = (s for s in self._world.hawkbit.starts if (s.rollout, s.index) == (rollout.id, wanted.group - 1))
            return [start.user for start in mine]

        if wanted.never:
            if users := await begun():
                raise Unmet(f"{what} was started by {', '.join(users)}, although it should not")
            return
        users = await self._stage.until(f"{what} starts", begun, bool, wanted.within_s)
        if users != [_ACTORS[wanted.by]]:
            raise Unmet(f"{what} was started by {', '.join(users)}, not once by {_ACTORS[wanted.by]}")

    async def status(self, wanted: schema.Status) -> None:
        rollout = self._stage.rollout(wanted.rollout)

        async def read() -> str:
            return str((await self._world.by_hand.rollout(rollout.id))["status"])

        what = f"{rollout.name} is {wanted.status} in hawkBit"
        await self._stage.until(what, read, lambda status: status == wanted.status, wanted.within_s)

    # ThingsBoard and the devices

    async def runs(self, wanted: schema.Runs) -> None:
        async def others() -> str:
            said = await asyncio.gather(*(self._latest(d, "sw_version") for d in self._stage.devices(wanted.devices)))
            odd = [f"{name}: {version}" for name, version in said if version != wanted.version]
            return f"{len(odd)} do not, {', '.join(odd[:5])}" if odd else ""

        what = f"{', '.join(wanted.devices)} run {wanted.version}"
        await self._stage.until(what, others, lambda odd: not odd, wanted.within_s)

    async def active(self, wanted: schema.Active) -> None:
        names = set(self._stage.devices(wanted.devices) or self._world.fleet.devices)
        word = "active" if wanted.yes else "inactive"

        async def others() -> str:
            odd = sorted(names - await self._active(wanted.yes))
            return f"{len(odd)} are not, {', '.join(odd[:5])}" if odd else ""

        what = f"{len(names)} devices are {word} in ThingsBoard"
        await self._stage.until(what, others, lambda odd: not odd, wanted.within_s)

    async def _active(self, yes: bool) -> set[str]:
        found: set[str] = set()
        for tenant in TENANTS:
            account = await self._account(tenant.id)
            path = f"/api/tenant/deviceInfos?pageSize=1000&page=0&active={str(yes).lower()}"
            found |= {device["name"] for device in (await account.get(path))["data"]}
        return found

    async def alarm(self, wanted: schema.Alarm) -> None:
        device = self._stage.device(wanted.device)

        async def read() -> str:
            return await self._newest_alarm(device)

        what = f"the alarm of {device} is {wanted.state} in ThingsBoard"
        await self._stage.until(what, read, lambda state: wanted.state in state.split(), wanted.within_s)

    async def _newest_alarm(self, device: str) -> str:
        """Its states in words, as in "active acknowledged"."""
        account = await self._account(tenant_of(device).id)
        page = await account.get("/api/v2/alarms?pageSize=1000&page=0&sortProperty=createdTime&sortOrder=DESC")
        for alarm in page["data"]:
            if alarm["originatorName"] == device:
                state = "cleared" if alarm["cleared"] else "active"
                return f"{state} acknowledged" if alarm["acknowledged"] else state
        return "none"

    async def _latest(self, device: str, key: str) -> tuple[str, str]:
        account = await self._account(tenant_of(device).id)
        found = await account.get(f"/api/tenant/devices?deviceName={device}")
        path = f"/api/plugins/telemetry/DEVICE/{found['id']['id']}/values/timeseries?keys={key}"
        told: list[dict[str, Any]] = (await account.get(path)).get(key, [])
        return device, str(told[0]["value"]) if told else "nothing"

    async def _account(self, tenant: str) -> ThingsboardAccount:
        if tenant not in self._accounts:
            self._accounts[tenant] = await self._world.thingsboard_account(tenant)
        return self._accounts[tenant]

    async def ran(self, wanted: schema.Ran) -> None:
        device, command = self._stage.device(wanted.device), tuple(wanted.command)

        async def commands() -> str:
            mine = [one.argv for one in self._world.relay.devices.ran if one.device == device]
            return ", ".join(" ".join(argv) for argv in mine if argv[: len(command)] == command)

        what = f"{device} ran {' '.join(command) or 'a command'}"
        if wanted.never:
            if found := await commands():
                raise Unmet(f"{device} ran {found}, although it should not")
            return
        await self._stage.until(what, commands, bool, wanted.within_s)


def _in_words(stage: Stage, wanted: schema.Message) -> str:
    parts = [repr(stage.filled(text)) for text in wanted.has]
    parts += [f"without {stage.filled(text)!r}" for text in wanted.lacks]
    parts += [f"with the button {wanted.button}"] if wanted.button else []
    parts += [f"without the button {wanted.no_button}"] if wanted.no_button else []
    return ", ".join(parts) or "a message"
