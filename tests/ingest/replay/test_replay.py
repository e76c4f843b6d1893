"""Rejected records go back once, with their origin; a crash between put and mark costs a duplicate, never a record."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow import BufferReader

from contracts.identity import IDENTITY
from contracts.kpl import aggregate
from contracts.ledger import LANDED
from ingest.decode import JsonDecoder
from ingest.kinesis.memory import MemoryStream
from ingest.replay import Replayer, ReplayReport
from ingest.replay.origin import Position, origin_key, origin_of, route_of
from ingest.replay.writer import Outgoing, Placed
from tests.builders.consumer import World, fill, record
from tests.builders.virtual_time import run_virtually


class MemoryWriter:
    """A RecordWriter on a stream in memory."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream

    async def put(self, records: Sequence[Outgoing]) -> list[Placed | None]:
        return [Placed(*self._stream.put(one.partition_key, one.data, explicit_hash=one.hash_key)) for one in records]


class OldDecoder(JsonDecoder):
    """Breaks at records of devices that a newer decoder knows."""

    def decode(self, shard_id: str, records: Any) -> Any:
        if any(b'"new-' in one.data for one in records):
            raise LookupError("a device of a kind that is not known")
        return super().decode(shard_id, records)


class Killed(BaseException):
    """The process died here."""


class DiesBeforeMarking:
    """A store that a dying process does not reach when it wants to mark."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def put_new(self, key: str, data: bytes) -> None:
        assert key.startswith("replayed/")
        raise Killed


async def _replayed(world: World, store: Any = None, **how: Any) -> ReplayReport:
    return await Replayer(store or world.store, MemoryWriter(world.stream)).run(await world.entries(), **how)


async def _with_rejects() -> World:
    """100 records that landed, 30 that an old decoder refused, 10 that none will ever take."""
    world = World(shards=3)
    fill(world.stream, 100)
    for number in range(30):
        world.stream.put(f"new-{number}", record(f"new-{number}", 1_000 + number))
    for number in range(10):
        world.stream.put(f"bad-{number}", b"{no json")
    report = await world.read_all("old", world.parts(decoder=OldDecoder()))
    assert (report.landed, report.rejected) == (100, {"poison": 30, "not_json": 10})
    return world


async def _identities(world: World) -> list[tuple[Any, ...]]:
    keys = [landed.key for entry in await world.entries() for landed in entry.objects if landed.kind == LANDED]
    tables = [pq.read_table(BufferReader(world.store.objects[key]), columns=list(IDENTITY)) for key in keys]
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def test_after_the_fix_they_land_and_a_second_replay_puts_nothing() -> None:
    async def story() -> None:
        world = await _with_rejects()
        first = await _replayed(world, reason="poison")
        again = await _replayed(world, reason="poison")
        assert (first.found, first.put, first.put_by_reason) == (30, 30, {"poison": 30})
        assert (again.found, again.put, again.replayed_before) == (30, 0, 30)
        report = await world.read_all("new")
        after = await _replayed(world, reason="poison")
        assert (report.read, report.landed, report.rejected) == (30, 30, {})
        assert (after.found, after.put, after.replayed_before) == (30, 0, 30)
        assert len(set(await _identities(world))) == len(await _identities(world)) == 130

    run_virtually(story())


def test_a_death_between_put_and_mark_loses_nothing_and_makes_duplicates_that_history_knows() -> None:
    async def story() -> None:
        world = await _with_rejects()
        with pytest.raises(Killed):
            await _replayed(world, DiesBeforeMarking(world.store), reason="poison")
        second = await _replayed(world, reason="poison")
        report = await world.read_all("new")
        identities = await _identities(world)
        assert second.put == 30
        assert report.landed > 30
        assert len(identities) == 100 + report.landed
        assert len(set(identities)) == 130
        assert (await _replayed(world, reason="poison")).put == 0

    run_virtually(story())


def test_what_is_rejected_again_stays_until_it_is_asked_for_and_names_its_first_place() -> None:
    async def story() -> None:
        world = await _with_rejects()
        assert (await _replayed(world, reason="not_json")).put == 10
        report = await world.read_all("new")
        assert report.rejected == {"not_json": 10}
        second = await _replayed(world, reason="not_json")
        assert (second.found, second.put, second.rejected_again, second.replayed_before) == (20, 0, 10, 10)
        asked = await _replayed(world, reason="not_json", again=True)
        assert (asked.put, asked.rejected_again) == (10, 0)
        origins = {origin_of(one.partition_key) for shard in world.stream.open_shards()
                   for one in world.stream.everything(shard)} - {None}  # fmt: skip
        assert len(origins) == 20

    run_virtually(story())


def test_each_goes_to_the_shard_that_it_came_from_and_its_bytes_are_the_devices() -> None:
    async def story() -> None:
        world = await _with_rejects()
        before = {one.data: shard for shard in world.stream.open_shards() for one in world.stream.everything(shard)}
        await _replayed(world)
        for shard in world.stream.open_shards():
            for one in world.stream.everything(shard):
                found = origin_of(one.partition_key)
                if found is not None and one.data != b"{no json":
                    assert (found.shard_id, before[one.data]) == (shard, shard)

    run_virtually(story())


def test_a_record_within_an_aggregate_that_looks_like_one_is_not_taken_apart_on_its_way_back() -> None:
    async def story() -> None:
        world = World(shards=1)
        inner = aggregate([("k", record("d1", 1)), ("k", record("d1", 2))])
        world.stream.put("k", aggregate([("k", record("d1", 3)), ("k", inner)]))
        assert (await world.read_all()).rejected == {"not_json": 1}
        await _replayed(world)
        report = await world.read_all()
        assert (report.read, report.landed, report.rejected) == (1, 0, {"not_json": 1})

    run_virtually(story())


def test_rejects_whose_object_has_expired_are_counted() -> None:
    async def story() -> None:
        world = await _with_rejects()
        for key in [key for key in world.store.objects if "/reason=not_json/" in key]:
            await world.store.delete(key)
        report = await _replayed(world)
        assert (report.found, report.put, report.gone) == (40, 30, 10)

    run_virtually(story())


def test_two_at_once_leave_every_record_there() -> None:
    async def story() -> None:
        world = await _with_rejects()
        both = await asyncio.gather(_replayed(world, reason="poison"), _replayed(world, reason="poison"))
        report = await world.read_all("new")
        assert sum(one.put for one in both) == report.landed >= 30
        assert len(set(await _identities(world))) == 130

    run_virtually(story())


def test_origins_are_read_back_and_keep_the_first_route() -> None:
    first = origin_key("device-1", Position("shardId-000000000001", "4959", 3))
    second = origin_key(first, Position("shardId-000000000002", "4960", 0))
    assert origin_of(first) == ("shardId-000000000001", "4959", 3)
    assert origin_of(second) == ("shardId-000000000002", "4960", 0)
    assert route_of("device-1") == route_of(first) == route_of(second)
    assert origin_of("device-1") is None
    assert len(second) <= 256
