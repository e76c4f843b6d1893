"""What a stream promises at splits and merges: the double, the double over HTTP, and npm's kinesis-local."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from ingest.kinesis import Records, Start, StreamClient
from ingest.kinesis.http import HttpStream
from ingest.kinesis.memory import MemoryStream
from tests.builders.kinesis_local import REGION, KinesisLocal
from tests.builders.kinesis_server import KinesisServer, access, now_ms, served

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
HASHES = 2**128


class Resharding(Protocol):
    """What a story does to a stream beside reading it."""

    def put(self, key: str, data: bytes) -> tuple[str, str]: ...
    def split(self, shard: str) -> list[str]: ...
    def merge(self, one: str, other: str) -> str: ...


Story = Callable[[StreamClient, Resharding], Awaitable[None]]


@pytest.fixture(params=["memory", "http", "kinesis-local"])
def tell(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    """Runs a story with a client and the stream of two shards that it reads, over each implementation."""
    url = request.getfixturevalue("kinesis_local_url") if request.param == "kinesis-local" else ""

    async def told(story: Story) -> None:
        async with _opened(request.param, url) as (client, stream):
            await story(client, stream)

    return lambda story: asyncio.run(told(story))


@asynccontextmanager
async def _opened(kind: str, url: str) -> AsyncIterator[tuple[StreamClient, Resharding]]:
    if kind == "kinesis-local":
        stream = KinesisLocal(url, uuid.uuid4().hex, 2)
        client = HttpStream(stream.name, REGION, access(url))
        yield client, stream
        await client.close()
        return
    double = MemoryStream(2, now_ms=now_ms)
    if kind == "memory":
        yield double, double
        return
    async with served(KinesisServer(double)) as own_url:
        client = HttpStream("double", REGION, access(own_url))
        yield client, double
        await client.close()


def test_a_split_shard_stays_readable_and_names_its_children_at_its_end(tell: Callable[[Story], None]) -> None:
    async def story(client: StreamClient, stream: Resharding) -> None:
        before = _put(stream, 60)
        children = stream.split(FIRST)
        after = _put(stream, 60)
        read, end = await _to_the_end(client, FIRST)
        assert read == before[FIRST]
        assert end.next_iterator is None
        assert sorted((child.shard_id, child.parents) for child in end.child_shards) == [
            (child, (FIRST,)) for child in children
        ]
        assert FIRST not in after
        assert {child for child in children if after[child]} == set(children)
        assert min(int(sequence) for child in children for sequence in after[child]) > int(read[-1])
        closed = {shard.shard_id: shard.closed for shard in await client.list_shards()}
        assert closed == {FIRST: True, SECOND: False, children[0]: False, children[1]: False}

    tell(story)


def test_a_merged_shard_has_two_parents_that_stay_readable(tell: Callable[[Story], None]) -> None:
    async def story(client: StreamClient, stream: Resharding) -> None:
        before = _put(stream, 60)
        child = stream.merge(FIRST, SECOND)
        after = _put(stream, 10)
        found = {shard.shard_id: shard for shard in await client.list_shards()}
        assert sorted(found[child].parents) == [FIRST, SECOND]
        assert (found[child].first_hash, found[child].last_hash) == (0, HASHES - 1)
        for parent in (FIRST, SECOND):
            read, end = await _to_the_end(client, parent)
            assert read == before[parent]
            assert [shard.shard_id for shard in end.child_shards] == [child]
        assert list(after) == [child]

    tell(story)


def test_a_grandchild_is_reached_from_the_first_shard_by_ends_alone(tell: Callable[[Story], None]) -> None:
    async def story(client: StreamClient, stream: Resharding) -> None:
        put = _put(stream, 20)
        children = stream.split(FIRST)
        for shard, sequences in _put(stream, 20).items():
            put[shard] += sequences
        merged = stream.merge(*children)
        for shard, sequences in _put(stream, 20).items():
            put[shard] += sequences
        waiting, reached = [FIRST], []
        while waiting:
            shard = waiting.pop()
            if shard in reached:
                continue
            reached.append(shard)
            if shard != merged:
                read, end = await _to_the_end(client, shard)
                assert read == put[shard]
                waiting += [child.shard_id for child in end.child_shards]
        assert sorted(reached) == sorted([FIRST, *children, merged])

    tell(story)


def _put(stream: Resharding, count: int) -> dict[str, list[str]]:
    """Records of as many keys; sequence numbers by shard."""
    placed: dict[str, list[str]] = defaultdict(list)
    for number in range(count):
        shard, sequence = stream.put(f"key-{number}", b"record")
        placed[shard].append(sequence)
    return placed


async def _to_the_end(client: StreamClient, shard: str) -> tuple[list[str], Records]:
    """Sequence numbers of a closed shard, and its last answer."""
    iterator = await client.get_shard_iterator(shard, Start.oldest())
    read: list[str] = []
    async with asyncio.timeout(30):
        while True:
            answer = await client.get_records(iterator)
            read += [record.sequence_number for record in answer.records]
            if answer.next_iterator is None:
                return read, answer
            iterator = answer.next_iterator
