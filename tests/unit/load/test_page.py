"""Area page: what it takes for a loaded page and for a followed stream."""

from __future__ import annotations

import httpx
import pytest

from tests.load.marks import UPDATES_PER_S
from tests.load.options import BenchFailed
from tests.load.page import follow, load, load_by_turns, running
from tests.load.page_messages import FEW, MANY, SHOWN, SIZES


def answering(*, shown: int = SHOWN, status: int = 200) -> httpx.AsyncClient:
    """A page that has `shown` messages of each channel, going back as far as one likes."""

    def answer(request: httpx.Request) -> httpx.Response:
        newest = int(request.url.params.get("before", str(SIZES[request.url.params["channel"]])))
        messages = [{"ts": str(n), "html": f"alarm-{n:05d}"} for n in range(newest - shown, newest)]
        return httpx.Response(status, json={"messages": messages})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1")


async def test_a_full_page_says_where_the_one_before_it_ends() -> None:
    async with answering() as http:
        assert (await load(http, MANY))[0] == "9950"
        assert (await load(http, MANY, "9950"))[0] == "9900"


@pytest.mark.parametrize(("shown", "status"), [(SHOWN - 1, 200), (SHOWN, 500)])
async def test_a_page_that_is_not_full_measures_nothing(shown: int, status: int) -> None:
    async with answering(shown=shown, status=status) as http:
        with pytest.raises(BenchFailed, match=FEW):
            await load(http, FEW)


async def test_each_kind_of_load_is_measured_as_often_and_going_back_starts_anew_at_the_end() -> None:
    async with answering() as http:
        found = await load_by_turns(http, 1.0)
    assert len({len(times) for times in found.values()}) == 1
    assert len(found) == 3


async def test_a_client_of_the_bare_endpoint_misses_nothing_and_counts_its_bytes() -> None:
    async with running("bare", "--event-bytes", "400") as (server, http):
        found = await follow(http, server, {}, 1.0)
    assert found.reader.skipped == 0
    assert len(found.reader.seen) == pytest.approx(UPDATES_PER_S * found.seconds, rel=0.5)
    assert found.received_bytes / len(found.reader.seen) == pytest.approx(400, rel=0.1)


async def test_a_stream_that_the_server_ends_is_not_measured() -> None:
    async with running("bare") as (server, _):
        short = httpx.MockTransport(lambda _: httpx.Response(200, content=b": still here\n\n"))
        async with httpx.AsyncClient(transport=short, base_url="http://127.0.0.1") as http:
            with pytest.raises(BenchFailed, match="ended the stream"):
                await follow(http, server, {}, 1.0)
