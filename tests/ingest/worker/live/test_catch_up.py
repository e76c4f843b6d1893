"""What landed but is not in live state is brought there beside reading, whatever has become of it."""

import asyncio

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.live import MemoryLive
from ingest.worker.live import writer
from tests.builders.consumer import Outage, World, fill, record, until
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms

DAY_MS = 86_400_000


async def _landed_only(world: World, live: MemoryLive, count: int = 100) -> None:
    """Records that land while live state, which is complete, is away."""
    await live.begin_rebuild("whole")
    assert await live.end_rebuild("whole")
    fill(world.stream, count, devices=10)
    away = Outage(live, "write")
    away.down = True
    await world.read_all(parts=world.parts(live=away))
    assert await live.latest("d3") is None


def test_points_and_devices_that_had_no_room_follow_from_landing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_PENDING_ROWS", 40)

    async def story() -> None:
        live = MemoryLive(trail_points=20)
        world = World(shards=2, live=live)
        away = Outage(live, "write")
        away.down = True
        for number in range(2_000):
            device = f"d{number % 50}"
            world.stream.put(device, record(device, number, ts=true_ms() - 5_000 + number))
        worker = world.worker("w", world.parts(live=away), flush_age_s=5)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.landed == 2_000)
        assert worker._live is not None
        assert worker._live.pending_rows < 700
        away.down = False
        await until(lambda: worker.health().live_complete, within_s=300)
        for device in range(50):
            assert len(await live.trail(f"d{device}")) == 20
            assert f'"{1_950 + device}"'.encode() in (await live.latest(f"d{device}") or b"")
        worker.stop()
        await running
        assert all(row.live_seq == row.position for row in await world.leases.rows())

    run_virtually(story())


def test_reading_goes_on_while_what_the_last_owner_left_cannot_be_brought() -> None:
    async def story() -> None:
        live = MemoryLive()
        world = World(shards=1, live=live)
        await _landed_only(world, live)
        fill(world.stream, 10, first=100, devices=10)
        store = Outage(world.store, "get")
        store.down = True
        worker = world.worker("next", world.parts(store=store), flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.landed == 10)
        assert b'"103"' in (await live.latest("d3") or b""), "what is read now is in live state at once"
        await asyncio.sleep(20)
        (row,) = await world.leases.rows()
        assert (row.live_seq, row.position != "") == ("", True), "but what came before is not"
        store.down = False
        await until(lambda: worker.health().live_complete, within_s=60)
        worker.stop()
        await running
        (row,) = await world.leases.rows()
        assert row.live_seq == row.position

    run_virtually(story())


def test_an_object_of_before_a_column_was_added_is_read_with_nulls() -> None:
    async def story() -> None:
        live = MemoryLive()
        world = World(shards=1, live=live)
        await _landed_only(world, live)
        (key,) = world.store.objects
        out = pa.BufferOutputStream()
        pq.write_table(pq.read_table(pa.BufferReader(world.store.objects[key])).drop_columns(["fuel_pct"]), out)
        world.store.objects[key] = out.getvalue().to_pybytes()
        report = await world.read_all("next")
        assert not report.live_missing
        assert b'"93"' in (await live.latest("d3") or b"")

    run_virtually(story())


def test_an_object_that_cannot_be_read_stops_no_worker_and_takes_the_epoch_away() -> None:
    async def story() -> None:
        live = MemoryLive()
        world = World(shards=1, live=live)
        await _landed_only(world, live)
        (key,) = world.store.objects
        world.store.objects[key] = b"no Parquet"
        fill(world.stream, 10, first=100, devices=10)
        worker = world.worker("next", flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.totals.landed == 10)

        async def told() -> bool:
            return await live.epoch() is None

        await until(told)
        await asyncio.sleep(60)
        assert not worker.health().live_complete
        assert worker.health().alive
        worker.stop()
        assert (await running).live_missing

    run_virtually(story())


def test_a_worker_whose_clock_is_a_month_ahead_forgets_no_device() -> None:
    async def story() -> None:
        live = MemoryLive()
        world = World(shards=1, live=live)
        fill(world.stream, 100, devices=10)
        worker = world.worker("w", world.parts(clock=VirtualClock(skew_ms=31 * DAY_MS)), flush_age_s=5)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(700)
        assert await live.latest("d3") is not None
        worker.stop()
        await running

    run_virtually(story())


def test_a_worker_whose_clock_is_a_month_ahead_moves_no_watermark_there() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        await world.read_all()
        world.leases._rows.pop("shardId-000000000001")
        ahead = world.worker("ahead", world.parts(clock=VirtualClock(skew_ms=31 * DAY_MS)))
        running = asyncio.create_task(ahead.run())

        async def found() -> bool:
            return len(await world.leases.rows()) == 2

        await until(found)
        assert max(row.watermark_ms for row in await world.leases.rows()) < true_ms() + 120_000
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())
