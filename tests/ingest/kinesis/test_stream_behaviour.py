"""What a stream promises: the double, the double over HTTP, npm's kinesis-local, and the embedded Kinesis.

Resharding, which the embedded Kinesis does not do faithfully, is in test_resharding.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import boto3
import pytest

from contracts.errors import FleetlakeError
from contracts.names import stream as stream_name
from contracts.settings import RegionSettings
from ingest.batch import KinesisRecord
from ingest.kinesis import IteratorExpired, ReadLimits, ShardCursor, ShardGone, Start, StreamClient
from ingest.kinesis.http import HttpStream
from ingest.kinesis.memory import ITERATOR_TTL_MS, MemoryStream
from ingest.runtime.clock import SystemClock
from tests.builders.kinesis_local import REGION, KinesisLocal, client_of
from tests.builders.kinesis_server import KinesisServer, access, now_ms, served

Put = Callable[[str, bytes], Awaitable[tuple[str, str]]]
Story = Callable[[StreamClient, Put], Awaitable[None]]
Tell = Callable[[Story], None]


@pytest.fixture(params=["memory", "http", "kinesis-local", "embedded"])
def tell(request: pytest.FixtureRequest) -> Iterator[Tell]:
    """Runs a story with a client and a way to put a record, over each implementation."""
    settings = request.getfixturevalue("apart") if request.param == "embedded" else None
    url = request.getfixturevalue("kinesis_local_url") if request.param == "kinesis-local" else ""

    async def told(story: Story) -> None:
        async with _opened(request.param, settings, url) as (client, put):
            await story(client, put)

    yield lambda story: asyncio.run(told(story))


@asynccontextmanager
async def _opened(kind: str, settings: RegionSettings | None, url: str) -> AsyncIterator[tuple[StreamClient, Put]]:
    if settings is not None:
        client = HttpStream(stream_name(settings.region), settings.row.aws_region, settings.kinesis)
        kinesis = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
        yield client, _putting(kinesis, stream_name(settings.region))
        await client.close()
        return
    if url:
        name = uuid.uuid4().hex
        KinesisLocal(url, name, 4)
        client = HttpStream(name, REGION, access(url))
        yield client, _putting(client_of(url), name)
        await client.close()
        return
    double = MemoryStream(4, now_ms=now_ms)

    async def put(key: str, data: bytes) -> tuple[str, str]:
        return double.put(key, data)

    if kind == "memory":
        yield double, put
        return
    async with served(KinesisServer(double)) as own_url:
        client = HttpStream("double", "eu-central-1", access(own_url))
        yield client, put
        await client.close()


def _putting(client: Any, stream: str) -> Put:
    async def put(key: str, data: bytes) -> tuple[str, str]:
        done = await asyncio.to_thread(client.put_record, StreamName=stream, PartitionKey=key, Data=data)
        return done["ShardId"], done["SequenceNumber"]

    return put


async def _all_from(client: StreamClient, shard: str, start: Start) -> list[KinesisRecord]:
    iterator: str | None = await client.get_shard_iterator(shard, start)
    found: list[KinesisRecord] = []
    while iterator is not None:
        answer = await client.get_records(iterator)
        found += answer.records
        if not answer.records and answer.millis_behind_latest == 0:
            break
        iterator = answer.next_iterator
    return found


async def _some(put: Put, count: int = 5) -> tuple[str, list[tuple[str, bytes]]]:
    """Records of one key, so of one shard: the shard, and (sequence number, data) of each."""
    key, placed, shard = uuid.uuid4().hex, [], ""
    for number in range(count):
        data = f"{key} {number}".encode() + bytes(range(256))
        shard, sequence = await put(key, data)
        placed.append((sequence, data))
    return shard, placed


def test_records_come_back_whole_in_order_with_their_arrival(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        before_ms = now_ms()
        shard, placed = await _some(put)
        found = await _all_from(client, shard, Start.at(placed[0][0]))
        assert [(record.sequence_number, record.data) for record in found] == placed
        assert all(before_ms - 1 <= record.arrival_ms <= now_ms() + 1 for record in found)
        sequences = [int(record.sequence_number) for record in found]
        assert sequences == sorted(set(sequences))

    tell(story)


def test_reading_goes_on_after_a_sequence_number(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        shard, placed = await _some(put)
        found = await _all_from(client, shard, Start.after(placed[2][0]))
        assert [record.sequence_number for record in found] == [sequence for sequence, _ in placed[3:]]
        again = await _all_from(client, shard, Start.after(placed[2][0]))
        assert again == found

    tell(story)


def test_the_tip_says_so_and_takes_what_comes_next(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        shard, _ = await _some(put, 1)
        iterator = await client.get_shard_iterator(shard, Start.latest())
        tip = await client.get_records(iterator)
        assert (tip.records, tip.millis_behind_latest) == ([], 0)
        assert abs(tip.response_ms - now_ms()) < 5_000
        assert tip.next_iterator is not None

    tell(story)


def test_reading_starts_at_an_arrival_time(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        shard, first = await _some(put, 1)
        await asyncio.sleep(0.05)
        middle_ms = now_ms()
        await asyncio.sleep(0.05)
        _, second = await put_more(put, first)
        found = await _all_from(client, shard, Start.arrived(middle_ms))
        assert [record.sequence_number for record in found] == [second]

    async def put_more(put: Put, placed: list[tuple[str, bytes]]) -> tuple[str, str]:
        return await put(placed[0][1].split()[0].decode(), b"later")

    tell(story)


def test_a_limit_cuts_an_answer_short_and_says_what_is_left(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        shard, placed = await _some(put)
        iterator = await client.get_shard_iterator(shard, Start.at(placed[0][0]))
        answer = await client.get_records(iterator, 2)
        assert [record.sequence_number for record in answer.records] == [sequence for sequence, _ in placed[:2]]
        assert answer.next_iterator is not None
        rest = await client.get_records(answer.next_iterator)
        assert [record.sequence_number for record in rest.records] == [sequence for sequence, _ in placed[2:]]

    tell(story)


def test_shards_cover_all_hashes_and_unknown_ones_are_gone(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        shards = sorted(await client.list_shards(), key=lambda shard: shard.first_hash)
        assert [shard.closed for shard in shards] == [False] * 4
        assert shards[0].first_hash == 0
        assert shards[-1].last_hash == 2**128 - 1
        assert all(left.last_hash + 1 == right.first_hash for left, right in pairwise(shards))
        assert (await client.describe()).retention_ms == 24 * 3_600_000
        with pytest.raises(ShardGone):
            await client.get_shard_iterator("shardId-000000009999", Start.oldest())

    tell(story)


def test_a_strangers_iterator_is_refused(tell: Tell) -> None:
    async def story(client: StreamClient, put: Put) -> None:
        with pytest.raises(FleetlakeError):
            await client.get_records("no-iterator-of-this-stream")

    tell(story)


# What the embedded Kinesis does not do faithfully: over the double, in memory and over HTTP.


class Stopped:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture(params=["memory", "http"])
def tell_double(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Runs a story with a client, its double and the double's clock."""

    async def told(story: Callable[..., Awaitable[None]], **options: object) -> None:
        clock = Stopped()
        double = MemoryStream(2, now_ms=clock, **options)  # type: ignore[arg-type]
        if request.param == "memory":
            await story(double, double, clock)
            return
        async with served(KinesisServer(double)) as url:
            client = HttpStream("double", "eu-central-1", access(url))
            await story(client, double, clock)
            await client.close()

    yield lambda story, **options: asyncio.run(told(story, **options))


def test_records_are_trimmed_after_retention_and_closed_shards_with_them(tell_double: Callable[..., None]) -> None:
    async def story(client: StreamClient, double: MemoryStream, clock: Stopped) -> None:
        shard, sequence = double.put("key", b"old")
        clock.ms += 3_000_000
        double.split(shard)
        clock.ms += 1_000_000
        kept = await client.get_records(await client.get_shard_iterator(shard, Start.after(sequence)))
        assert (kept.records, kept.next_iterator) == ([], None)
        clock.ms += 3_000_000
        with pytest.raises(ShardGone):
            await client.get_shard_iterator(shard, Start.after(sequence))

    tell_double(story, retention_ms=3_600_000)


def test_an_iterator_expires_and_a_cursor_goes_on(tell_double: Callable[..., None]) -> None:
    async def story(client: StreamClient, double: MemoryStream, clock: Stopped) -> None:
        shard, _ = double.put("key", b"one")
        iterator = await client.get_shard_iterator(shard, Start.oldest())
        cursor = ShardCursor(client, shard, Start.oldest(), clock=SystemClock(), limits=ReadLimits(0, 0, idle_wait_s=0))
        assert [record.data for record in (await cursor.read()).records] == [b"one"]
        clock.ms += ITERATOR_TTL_MS + 1
        with pytest.raises(IteratorExpired):
            await client.get_records(iterator)
        double.put("key", b"two")
        assert [record.data for record in (await cursor.read()).records] == [b"two"]

    tell_double(story)


def test_a_cursor_that_keeps_to_the_limits_is_never_refused(tell_double: Callable[..., None]) -> None:
    async def story(client: StreamClient, double: MemoryStream, clock: Stopped) -> None:
        for _ in range(30):
            double.put("key", b"x" * 1_000)
        shard = double.open_shards()[0] if double.everything(double.open_shards()[0]) else double.open_shards()[1]
        started = time.monotonic()

        class Moving(SystemClock):
            async def sleep(self, seconds: float) -> None:
                clock.ms += round(seconds * 1000)

            def monotonic_s(self) -> float:
                return clock.ms / 1000

        cursor = ShardCursor(client, shard, Start.oldest(), clock=Moving(), limits=ReadLimits())
        read = 0
        for _ in range(12):
            read += len((await cursor.read()).records)
        assert read == 30
        assert cursor.trouble.throttled == 0
        assert clock.ms - 1_790_000_000_000 >= 11 * 200
        assert time.monotonic() - started < 30

    tell_double(story, throttle=True)
