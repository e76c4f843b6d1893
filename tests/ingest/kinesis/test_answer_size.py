"""An answer is bounded whatever a server gives: Limit is learned from the records; what is too large is not taken."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from ingest.batch import KinesisRecord
from ingest.kinesis import AnswerTooLarge, ReadLimits, Records, ShardCursor, Start, StreamUnavailable, http, memory
from ingest.kinesis.answer_size import MOST_RECORDS, WANTED_BYTES, AnswerSize
from ingest.kinesis.http import HttpStream
from ingest.kinesis.memory import MemoryStream
from ingest.runtime.clock import SystemClock
from tests.builders.kinesis_server import KinesisServer, access, now_ms, served

SHARD = "shardId-000000000000"


def _answer(count: int, record_bytes: int) -> Records:
    return Records([KinesisRecord.at(0, "1", "k", b"")] * count, "next", 0, bytes_read=count * record_bytes)


def test_large_records_are_asked_for_in_small_numbers_and_small_ones_in_large_ones() -> None:
    size = AnswerSize()
    size.learn(_answer(2, 1_000_000))
    assert size.limit == WANTED_BYTES // 1_000_000
    for _ in range(100):
        size.learn(_answer(2, 200))
    assert size.limit == MOST_RECORDS
    size.learn(_answer(0, 0))
    assert size.limit == MOST_RECORDS


def test_a_record_that_is_too_large_alone_is_the_servers_mistake() -> None:
    size, error = AnswerSize(), AnswerTooLarge("the answer has 30 MB")
    with pytest.raises(StreamUnavailable, match="asked for one record, the answer has 30 MB"):
        for _ in range(10):
            size.shrink(error)
    assert size.limit == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_server_that_cuts_no_answer_is_read_in_small_ones(monkeypatch: pytest.MonkeyPatch, chunked: bool) -> None:
    monkeypatch.setattr(memory, "MAX_ANSWER_BYTES", 10**12)
    taken: list[int] = []

    class Endless(KinesisServer):
        """Says how long its answers are, or not."""

        async def _handle(self, request: web.Request) -> web.StreamResponse:
            answer = await super()._handle(request)
            if chunked:
                answer.enable_chunked_encoding()
            return answer

    async def offload(work: Callable[..., Any], /, *args: Any) -> Any:
        taken.append(len(args[0]))
        return work(*args)

    async def story() -> list[bytes]:
        server, found = Endless(MemoryStream(1, now_ms=now_ms)), list[bytes]()
        for number in range(1_000):
            server.stream.put("key", b"%d" % number if number < 600 else b"x" * 100_000)
        async with served(server) as url:
            client = HttpStream("double", "eu-central-1", access(url), decoding=offload)
            cursor = ShardCursor(client, SHARD, Start.oldest(), clock=SystemClock(), limits=ReadLimits(0, 0))
            while len(found) < 1_000:
                found += [record.data for record in (await cursor.read()).records]
            await client.close()
        return found

    found = asyncio.run(story())
    assert [len(data) for data in found[600:]] == [100_000] * 400
    assert found[:600] == [b"%d" % number for number in range(600)]
    assert max(taken) <= http.MOST_ANSWER_BYTES
    assert max(taken[2:]) < 15_000_000, "of what would be 53 MB"
