"""Where the first reading of a stream starts."""

import asyncio

import pytest

from contracts.errors import Misuse
from contracts.ledger import LeaseRow
from ingest.kinesis.protocol import StreamDescription
from ingest.worker.reading.start import LATEST_MS, OLDEST_MS, resolved
from tests.builders.consumer import World, fill, until
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms

NOW = StreamDescription(retention_ms=3_600_000, now_ms=10_000_000)


def test_a_start_is_resolved_on_the_streams_own_time() -> None:
    assert resolved(OLDEST_MS, NOW) == OLDEST_MS
    assert resolved(LATEST_MS, NOW) == NOW.now_ms
    assert resolved(NOW.now_ms - 1_000, NOW) == NOW.now_ms - 1_000
    assert resolved(NOW.now_ms - NOW.retention_ms, NOW) == OLDEST_MS


def test_a_start_in_the_future_is_refused() -> None:
    with pytest.raises(Misuse, match="in the future"):
        resolved(NOW.now_ms + 60_000, NOW)


def test_latest_leaves_out_what_came_before_and_nothing_after_whatever_the_workers_clock_says() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        await asyncio.sleep(5)
        worker = world.worker("late", world.parts(clock=VirtualClock(skew_ms=7_200_000)), start_ms=LATEST_MS)
        running = asyncio.create_task(worker.run())
        await until(lambda: len(worker.health().shards) == 2)
        sent = fill(world.stream, 200, first=1_000)
        await until(lambda: worker.totals.user_records_read >= 200)
        worker.stop()
        report = await running
        assert (report.read, report.landed, report.trimmed) == (200, 200, 0)
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())


def test_a_time_starts_at_the_first_record_that_arrived_then() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        await asyncio.sleep(60)
        from_ms = true_ms()
        sent = fill(world.stream, 300, first=1_000)
        report = await world.read_all(start_ms=from_ms)
        assert (report.landed, report.trimmed) == (300, 0)
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())


def test_where_reading_has_begun_a_start_changes_nothing() -> None:
    async def story() -> None:
        world = World(shards=2)
        first, _ = [shard.shard_id for shard in await world.stream.list_shards()]
        await world.leases.insert([LeaseRow(shard_id=first)])
        sent = fill(world.stream, 300)
        await asyncio.sleep(60)
        report = await world.read_all(start_ms=LATEST_MS)
        assert report.landed == 300
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())
