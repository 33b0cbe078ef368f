"""How the hawkBit client fails: lost and late answers, floods, quotas, rights, and answers no hawkBit gives."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from httpcore._async.http11 import AsyncHTTP11Connection

from core.errors import (
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    OutsideError,
    RateLimited,
    Refused,
    Unavailable,
)
from core.ids import DeviceName, GroupId, RolloutId
from core.rollouts.release import GroupWish, RolloutWish
from integrations.hawkbit import HawkbitAccount, HawkbitActions, HawkbitReleases, HawkbitRollouts, errors
from sandbox.wire import free_port
from tests.unit.integrations.hawkbit_lab import SHORT_S, TIMEOUT_S, Bench, Call, bench, failure, front

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["bench", "front"]


async def test_a_lost_answer_to_resume_is_an_unknown_outcome_and_is_sent_once(bench: Bench) -> None:
    bench.devices(20)
    rollout = bench.running(groups=4)
    bench.finish(rollout, 0)
    fault = bench.faults.add("lost_answer", "POST .*/resume")
    error = await failure(bench.client.resume(RolloutId(rollout.id), timeout_s=SHORT_S))
    assert isinstance(error, OutcomeUnknown)
    assert (error.unknown_outcome, error.retryable) == (True, False)
    assert (fault.hits, rollout.status) == (1, "running")
    assert [start.index for start in bench.sandbox.starts] == [0, 1]


async def test_a_late_answer_to_resume_is_given_up_within_its_own_timeout(bench: Bench) -> None:
    bench.devices(20)
    rollout = bench.running()
    bench.finish(rollout, 0)
    bench.faults.add("late_answer", "POST .*/resume", delay_s=TIMEOUT_S * 3)
    async with asyncio.timeout(TIMEOUT_S):
        error = await failure(bench.client.resume(RolloutId(rollout.id), timeout_s=SHORT_S))
    assert isinstance(error, OutcomeUnknown)
    assert rollout.groups[1].status == "running"


WISH = RolloutWish("r1", "", 1, "name==*", (GroupWish("all", 100),), 95, 20, forced=True, start_at=None, weight=None)


def releases(client: HawkbitRollouts) -> HawkbitReleases:
    return HawkbitReleases(client.access, upload_timeout_s=TIMEOUT_S)


WRITES: dict[str, Call] = {
    "start": lambda client: client.start(RolloutId(1)),
    "pause": lambda client: client.pause(RolloutId(1)),
    "resume": lambda client: client.resume(RolloutId(1), timeout_s=SHORT_S),
    "stop": lambda client: client.stop(RolloutId(1)),
    "next group": lambda client: client.next_group(RolloutId(1), timeout_s=5),
    "assign": lambda client: client.assign(DeviceName("dev-0000"), 1),
    "cancel": lambda client: HawkbitActions(client.access).cancel(DeviceName("dev-0000"), 1),
    "quit": lambda client: HawkbitActions(client.access).quit(DeviceName("dev-0000"), 1),
    "force": lambda client: HawkbitActions(client.access).force(DeviceName("dev-0000"), 1),
    "assign many": lambda client: HawkbitActions(client.access).assign_many(1, [DeviceName("dev-0000")]),
    "module": lambda client: releases(client).module("FW-os", "3.0.0"),
    "make set": lambda client: releases(client).make_set("FW", "3.0.0", 1),
    "lock": lambda client: releases(client).lock(1),
    "invalidate": lambda client: releases(client).invalidate(1),
    "create": lambda client: releases(client).create(WISH),
}
READS: dict[str, Call] = {
    "active": lambda client: client.active(),
    "find": lambda client: client.find("r1"),
    "rollout": lambda client: client.rollout(RolloutId(1)),
    "groups": lambda client: client.groups(RolloutId(1)),
    "set": lambda client: client.distribution_set(1),
    "set by version": lambda client: client.set_by_version("FW", "2.0.0"),
    "members": lambda client: client.members(RolloutId(1), GroupId(1)),
    "target": lambda client: client.target(DeviceName("dev-0000")),
    "actions": lambda client: client.actions(DeviceName("dev-0000")),
    "userinfo": lambda client: client.userinfo(),
    "open": lambda client: HawkbitActions(client.access).open(RolloutId(1)),
    "words": lambda client: HawkbitActions(client.access).words(DeviceName("dev-0000"), 1),
    "covered": lambda client: releases(client).covered("name==*"),
    "sets": lambda client: releases(client).sets(),
    "artifacts": lambda client: releases(client).artifacts(1),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("fault", ["lost_request", "lost_answer", "status_after", "status"])
async def test_a_write_without_an_answer_is_an_unknown_outcome_sent_once(bench: Bench, name: str, fault: str) -> None:
    set_up = bench.faults.add(fault, "^(POST|PUT|DELETE) ", status=503)  # type: ignore[arg-type]
    error = await failure(WRITES[name](bench.client))
    assert isinstance(error, OutcomeUnknown)
    assert set_up.hits == 1


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("fault", ["lost_request", "lost_answer", "status_after", "status"])
async def test_a_read_without_an_answer_is_unavailable(bench: Bench, name: str, fault: str) -> None:
    set_up = bench.faults.add(fault, "GET ", status=500)  # type: ignore[arg-type]
    error = await failure(READS[name](bench.client))
    assert isinstance(error, Unavailable)
    assert (error.retryable, error.unknown_outcome, set_up.hits) == (True, False, 1)


async def test_a_read_that_takes_too_long_is_unavailable(bench: Bench) -> None:
    client = HawkbitRollouts(
        bench.url, HawkbitAccount("bot", lambda: "bot"), system="hawkBit eu1", timeout_s=SHORT_S, verify=False
    )
    bench.faults.add("late_answer", "GET ", delay_s=TIMEOUT_S)
    error = await failure(client.active())
    await client.aclose()
    assert isinstance(error, Unavailable)
    assert "did not answer within 0.2 s" in error.user_text


async def test_a_process_stopped_right_before_the_send_sends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP, in effect: the loop stands still, longer than the request may live, when only the write is left."""
    write = AsyncHTTP11Connection.handle_async_request

    async def stopped(connection: AsyncHTTP11Connection, request: Any) -> Any:
        time.sleep(2 * SHORT_S)  # noqa: ASYNC251
        return await write(connection, request)

    await bench.client.active()  # the connection is open
    monkeypatch.setattr(AsyncHTTP11Connection, "handle_async_request", stopped)
    heard = bench.faults.add("status", "POST ", status=204)
    with pytest.raises(OutsideError):
        await bench.client.resume(RolloutId(1), timeout_s=SHORT_S)
    await asyncio.sleep(0.05)
    assert heard.hits == 0


@pytest.mark.parametrize("call", [READS["active"], WRITES["resume"]])
async def test_a_server_that_is_not_there_is_unavailable_also_for_writes(bench: Bench, call: Call) -> None:
    client = bench.make_client(url=f"http://127.0.0.1:{free_port()}")
    error = await failure(call(client))
    await client.aclose()
    assert isinstance(error, Unavailable)
    assert not error.unknown_outcome


@pytest.mark.parametrize("call", [READS["active"], WRITES["resume"]])
async def test_the_flood_filter_and_a_quota_are_told_apart(bench: Bench, call: Call) -> None:
    bench.faults.add("status", status=429, times=1)
    flooded = await failure(call(bench.client))
    assert isinstance(flooded, RateLimited)
    assert (flooded.retryable, flooded.retry_after_s) == (True, None)
    body = {"errorCode": "hawkbit.server.error.quota.tooManyEntries", "message": "The maximum is 30."}
    bench.faults.add("status", status=429, body=body, times=1)
    quota = await failure(call(bench.client))
    assert isinstance(quota, Refused)
    assert (quota.reason, quota.retryable) == ("quota", False)


async def test_a_proxys_retry_after_is_passed_on(bench: Bench) -> None:
    bench.faults.add("status", status=429, headers={"Retry-After": "7"})
    assert (await failure(bench.client.active())).retry_after_s == 7.0


async def test_wrong_credentials_and_missing_rights_need_a_person(bench: Bench) -> None:
    bench.devices(2)
    rollout = bench.running()
    stranger, viewer = bench.make_client("bot", "wrong"), bench.make_client("viewer", "viewer")
    unauthorized = await failure(stranger.active())
    forbidden = await failure(viewer.pause(RolloutId(rollout.id)))
    await stranger.aclose()
    await viewer.aclose()
    assert isinstance(unauthorized, NotAllowed)
    assert isinstance(forbidden, NotAllowed)
    assert (unauthorized.reason, forbidden.reason) == ("unauthorized", "forbidden")
    assert not forbidden.retryable


async def test_acting_on_a_rollout_that_does_not_exist_is_not_found(bench: Bench) -> None:
    assert isinstance(await failure(bench.client.pause(RolloutId(4711))), NotFound)


async def test_an_invalid_set_is_refused_with_hawkbits_own_words(bench: Bench) -> None:
    (name,) = bench.devices(1)
    bench.v2.valid = False
    error = await failure(bench.client.assign(name, bench.v2.id))
    assert isinstance(error, errors.Rejected)
    assert "is invalid" in error.user_text


@pytest.mark.parametrize("body", ["<html>sign in</html>", {"content": [{"id": "x"}], "total": 1}, []])
async def test_an_answer_no_hawkbit_gives_is_a_bad_answer(bench: Bench, body: object) -> None:
    bench.faults.add("status", status=200, body=body)
    error = await failure(bench.client.active())
    assert isinstance(error, errors.BadAnswer)
    assert error.retryable


async def test_an_upload_whose_bytes_nobody_takes_is_given_up_long_before_its_whole_time(tmp_path: Path) -> None:
    (tmp_path / "big.raucb").write_bytes(bytes(8 << 20))
    uploading = asyncio.Event()

    async def answer_reads_and_take_no_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        while not head.startswith(b"POST"):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]" if head.startswith(b"GET") else b"")
        uploading.set()
        await asyncio.Event().wait()

    async with await asyncio.start_server(answer_reads_and_take_no_more, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        account = HawkbitAccount("release", lambda: "release")
        client = HawkbitRollouts(url, account, release=account, system="hawkBit eu1", timeout_s=SHORT_S)
        mine = HawkbitReleases(client.access, upload_timeout_s=60)
        async with asyncio.timeout(TIMEOUT_S * 5):
            error = await failure(mine.upload(1, tmp_path / "big.raucb", sha256="0" * 64, sent=lambda _: None))
        await client.aclose()
        server.close()
    assert isinstance(error, OutcomeUnknown)
    assert uploading.is_set()


async def test_an_unreadable_answer_to_an_assignment_is_an_unknown_outcome(bench: Bench) -> None:
    (name,) = bench.devices(1)
    bench.faults.add("status_after", "POST ", status=200, body="<html>")
    assert isinstance(await failure(bench.client.assign(name, bench.v1.id)), OutcomeUnknown)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(("status", "body"), [(200, "<html>sign in</html>"), (302, None), (404, None)])
async def test_a_write_that_something_else_answered_is_an_unknown_outcome(
    bench: Bench, name: str, status: int, body: str | None
) -> None:
    bench.faults.add("status", "^(POST|PUT|DELETE) ", status=status, body=body)
    assert isinstance(await failure(WRITES[name](bench.client)), OutcomeUnknown)


async def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.faults.add("status", status=302, headers={"Location": "http://127.0.0.1:1/"})
    assert isinstance(await failure(bench.client.active()), errors.BadAnswer)


async def test_no_password_shows_in_an_account(bench: Bench) -> None:
    assert "s3cret" not in repr(HawkbitAccount("bot", lambda: "s3cret"))
