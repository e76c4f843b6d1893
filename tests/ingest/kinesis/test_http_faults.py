"""The client against a server that misbehaves: a cursor reads every record once whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from contracts.errors import FleetlakeError
from contracts.settings import AwsService
from ingest.kinesis import ReadLimits, ShardCursor, Start
from ingest.kinesis.http import ANSWERS_IN_HAND, HttpStream
from ingest.kinesis.memory import MemoryStream
from ingest.runtime.clock import SystemClock
from tests.builders.kinesis_server import KinesisServer, access, now_ms, refusal, served

SHARD = "shardId-000000000000"
Spoil = Callable[[web.Request, str], Awaitable[Any]]


class Impatient(SystemClock):
    """Waits a thousandth of what it is asked to."""

    async def sleep(self, seconds: float) -> None:
        """Wait briefly."""
        await asyncio.sleep(seconds / 1000)


async def _read_through(spoil: Spoil, records: int = 50) -> tuple[list[bytes], KinesisServer]:
    double = MemoryStream(1, now_ms=now_ms)
    for number in range(records):
        double.put("key", f"{number}".encode())
    double.split(SHARD)
    server = KinesisServer(double)
    server.spoil = spoil
    found: list[bytes] = []
    async with served(server) as url:
        access = AwsService.model_validate({"endpoint": url, "access_key": "key", "secret_key": "secret"})
        client = HttpStream("double", "eu-central-1", access)
        cursor = ShardCursor(client, SHARD, Start.oldest(), clock=Impatient(), limits=ReadLimits(0, 0))
        try:
            while True:
                answer = await cursor.read()
                found += [record.data for record in answer.records]
                if answer.next_iterator is None:
                    return found, server
        finally:
            await client.close()


def _times(count: int, answer: Callable[[web.Request], Awaitable[Any]]) -> Spoil:
    left = {"GetRecords": count, "GetShardIterator": count}

    async def spoil(request: web.Request, action: str) -> Any:
        if left.get(action, 0) <= 0:
            return None
        left[action] -= 1
        return await answer(request)

    return spoil


async def _throttled(_: web.Request) -> web.Response:
    return refusal("ProvisionedThroughputExceededException")


async def _failed(_: web.Request) -> web.Response:
    return refusal("InternalFailure", status=500)


async def _half_a_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(b'{"Records": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def _nonsense(_: web.Request) -> web.Response:
    return web.Response(body=b'{"Records": [{"Data": "never ends')


async def _hung_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize("fault", [_throttled, _failed, _half_a_body, _nonsense, _hung_up])
def test_every_record_is_read_once_through(fault: Callable[[web.Request], Awaitable[Any]]) -> None:
    found, server = asyncio.run(_read_through(_times(3, fault)))
    assert found == [f"{number}".encode() for number in range(50)]
    assert server.calls.count("GetRecords") >= 4


def test_a_wrong_clock_is_corrected_by_the_servers() -> None:
    skew = timedelta(minutes=20)
    seen: list[float] = []

    async def spoil(request: web.Request, action: str) -> Any:
        signed = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        server_time = datetime.now(UTC) + skew
        seen.append((server_time - signed).total_seconds())
        if abs(seen[-1]) < 300:
            return None
        answer = refusal("RequestTimeTooSkewed", "Signature expired", 403)
        answer.headers["Date"] = format_datetime(server_time, usegmt=True)
        return answer

    found, _ = asyncio.run(_read_through(spoil))
    assert len(found) == 50
    assert sum(abs(off) >= 300 for off in seen) == 1


def test_what_no_retry_can_mend_is_raised() -> None:
    async def denied(_: web.Request) -> web.Response:
        return refusal("AccessDeniedException", "not yours")

    with pytest.raises(FleetlakeError, match="AccessDenied"):
        asyncio.run(_read_through(_times(1, denied)))


def test_a_shards_share_is_counted_in_data_and_keys_not_in_the_bytes_of_the_answer() -> None:
    async def story() -> tuple[int, int]:
        double = MemoryStream(1, now_ms=now_ms)
        for _ in range(100):
            double.put("key", b"x" * 200)
        async with served(KinesisServer(double)) as url:
            client = HttpStream("double", "eu-central-1", access(url))
            try:
                answer = await client.get_records(await client.get_shard_iterator(SHARD, Start.oldest()))
                return len(answer.records), answer.bytes_read
            finally:
                await client.close()

    assert asyncio.run(story()) == (100, 100 * (200 + len("key")))


def test_few_answers_are_in_hand_before_the_first_is_decoded() -> None:
    async def story() -> tuple[int, int]:
        double = MemoryStream(12, now_ms=now_ms)
        shards = await double.list_shards()
        gate, decoding = asyncio.Event(), 0

        async def offload(work: Callable[..., Any], /, *args: Any) -> Any:
            nonlocal decoding
            decoding += 1
            await gate.wait()
            return work(*args)

        async with served(KinesisServer(double)) as url:
            client = HttpStream("double", "eu-central-1", access(url), decoding=offload)
            try:
                iterators = [await client.get_shard_iterator(shard.shard_id, Start.oldest()) for shard in shards]
                reading = [asyncio.ensure_future(client.get_records(iterator)) for iterator in iterators]
                async with asyncio.timeout(10):
                    while decoding < ANSWERS_IN_HAND:
                        await asyncio.sleep(0.01)
                await client.list_shards()
                in_hand = decoding
                gate.set()
                return in_hand, len(await asyncio.gather(*reading))
            finally:
                await client.close()

    assert asyncio.run(story()) == (ANSWERS_IN_HAND, 12)
