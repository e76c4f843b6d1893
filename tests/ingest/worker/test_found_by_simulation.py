"""Faults that the simulated cluster found, each as the shortest history that shows it."""

import asyncio
from typing import Any

from contracts.ledger import LeaseRow
from contracts.names import landing_key
from ingest.live import MemoryLive
from ingest.worker.landing.janitor import Janitor
from tests.builders.consumer import Outage, World, fill, record, until
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms


async def _run_for(world: World, seconds: float, *, name: str = "w", parts: Any = None, **options: Any) -> None:
    """A worker that is killed, with all of its stores, after a while."""
    running = asyncio.create_task(world.worker(name, parts, **options).run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.wait([running])


def test_what_an_ended_shard_had_not_brought_to_live_state_is_offered_by_the_owner_of_its_child() -> None:
    async def story() -> None:
        live = MemoryLive()
        await live.begin_rebuild("whole")
        assert await live.end_rebuild("whole")
        world = World(shards=1, live=live)
        fill(world.stream, 100, devices=10)
        world.stream.split("shardId-000000000000")
        away = Outage(live, "write")
        away.down = True
        await _run_for(world, 8, parts=world.parts(live=away), flush_age_s=1)
        ended = next(row for row in await world.leases.rows() if row.shard_id.endswith("0"))
        assert ended.ended
        assert await live.latest("d3") is None
        await world.read_all("next")
        assert b'"93"' in (await live.latest("d3") or b"")

    run_virtually(story())


def test_a_loss_is_remembered_though_its_finder_died_and_the_shard_stayed_quiet() -> None:
    async def story() -> None:
        world = World(shards=1, retention_ms=3_600_000)
        fill(world.stream, 10)
        await world.read_all()
        await asyncio.sleep(60)
        fill(world.stream, 10, first=10)
        await asyncio.sleep(4_000)
        await _run_for(world, 30, name="finder")
        (row,) = await world.leases.rows()
        assert true_ms() - row.watermark_ms < 120_000
        assert row.lost
        fill(world.stream, 10, first=20)
        await world.read_all("next")
        assert [entry.lost for entry in await world.entries()] == [False, True]
        assert not (await world.leases.rows())[0].lost

    run_virtually(story())


def test_live_state_is_rebuilt_from_shards_whose_rows_are_gone_as_well() -> None:
    async def story() -> None:
        world = World(shards=1, retention_ms=600_000)
        fill(world.stream, 100, devices=10)
        world.stream.split("shardId-000000000000")
        for number in range(100, 120):
            world.stream.put(f"k{number}", record("elsewhere", number))
        await world.read_all()
        await asyncio.sleep(700)
        await world.read_all("later")
        assert [row.shard_id[-1] for row in await world.leases.rows()] == ["1", "2"]
        world.live = MemoryLive()
        running = asyncio.create_task(world.worker("w").run())

        async def complete() -> bool:
            return await world.live.epoch() is not None

        await until(complete, within_s=180)
        assert b'"93"' in (await world.live.latest("d3") or b"")
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_leftovers_of_an_ended_shard_and_of_a_late_write_are_removed_and_nothing_else() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        world.stream.split("shardId-000000000000")
        await world.read_all()
        kept = set(world.store.objects)
        rows = {row.shard_id: row for row in await world.leases.rows()}
        long_ago = true_ms() - 30 * 3_600_000
        ended = _left(rows["shardId-000000000000"], long_ago, fence=rows["shardId-000000000000"].fence)
        former = _left(rows["shardId-000000000001"], long_ago, fence=0)
        current = _left(rows["shardId-000000000001"], true_ms(), fence=1)
        unknown = landing_key(_hour(long_ago), "shardId-000000000099", "1", "2", 1)
        for key in (ended, former, current, unknown):
            await world.store.put_new(key, b"of a flush that was never committed")
        holder = await world.leases.take(rows["shardId-000000000001"], "janitor")
        assert holder is not None
        janitor = Janitor(world.store, world.leases, VirtualClock(skew_ms=-7_200_000))
        assert await janitor.sweep_all({"shardId-000000000002"}) == 0
        assert await janitor.sweep_all({"shardId-000000000001"}) == 3
        assert set(world.store.objects) == kept | {unknown}

    run_virtually(story())


def test_a_sweep_that_failed_is_done_again_from_where_it_began() -> None:
    async def story() -> None:
        world = World(shards=1)
        fill(world.stream, 10)
        await world.read_all()
        (row,) = await world.leases.rows()
        taken = await world.leases.take(row, "janitor")
        assert taken is not None
        left = _left(row, true_ms() - 10 * 3_600_000, fence=1)
        await world.store.put_new(left, b"left")
        leases = Outage(world.leases, "find", "entries")
        janitor = Janitor(world.store, leases, VirtualClock())
        janitor.taken(LeaseRow(shard_id=row.shard_id, fence=2, watermark_ms=true_ms() - 11 * 3_600_000))
        leases.down = True
        assert await janitor.sweep({row.shard_id}) == 0
        leases.down = False
        assert await janitor.sweep({row.shard_id}) == 1

    run_virtually(story())


class Unseeing:
    """Leases whose scans miss a row, as a scan may that began before the row was there."""

    def __init__(self, inner: Any, shard_id: str) -> None:
        self._inner = inner
        self._shard_id = shard_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def rows(self) -> list[LeaseRow]:
        return [row for row in await self._inner.rows() if row.shard_id != self._shard_id]


def test_a_parent_that_a_scan_has_missed_is_not_taken_for_gone() -> None:
    async def story() -> None:
        world = World(shards=2)
        leases = Unseeing(world.leases, "shardId-000000000003")
        running = asyncio.create_task(world.worker("w", world.parts(leases=leases), flush_age_s=1).run())
        await asyncio.sleep(2)
        fill(world.stream, 100)
        world.stream.split("shardId-000000000000")
        child = world.stream.merge("shardId-000000000003", "shardId-000000000001")

        async def there() -> bool:
            return any(row.shard_id == child for row in await world.leases.rows())

        await until(there)
        await asyncio.sleep(4)
        rows = {row.shard_id: row for row in await world.leases.rows()}
        assert not rows["shardId-000000000003"].ended
        assert rows[child].fence == 0
        leases._shard_id = ""

        async def taken() -> bool:
            return any(row.shard_id == child and row.fence > 0 for row in await world.leases.rows())

        await until(taken)
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def test_live_state_is_not_called_complete_while_others_hold_what_it_lost() -> None:
    async def story() -> None:
        live = MemoryLive()
        world = World(shards=1, live=live)
        fill(world.stream, 10, devices=10)
        first = asyncio.create_task(world.worker("first", flush_age_s=8).run())

        async def arrived() -> bool:
            return await live.latest("d3") is not None

        await until(arrived)
        await live.forget([f"d{number}" for number in range(10)])
        live._epoch = None
        late = asyncio.create_task(world.worker("late", flush_age_s=8).run())

        async def complete() -> bool:
            return await live.epoch() is not None

        await until(complete, within_s=180)
        assert await live.latest("d3") is not None
        for running in (first, late):
            running.cancel()
        await asyncio.wait([first, late])

    run_virtually(story())


class SlowToBegin(MemoryLive):
    """Live state whose note of a rebuild takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = asyncio.Event()

    async def begin_rebuild(self, token: str) -> None:
        await self.progress.wait()
        await super().begin_rebuild(token)


def test_what_was_lost_before_a_rebuild_was_noted_is_made_good_by_it() -> None:
    async def story() -> None:
        live = SlowToBegin()
        world = World(shards=1, live=live)
        fill(world.stream, 10, devices=10)
        running = asyncio.create_task(world.worker("w", flush_age_s=8).run())

        async def arrived() -> bool:
            return await live.latest("d3") is not None

        await until(arrived)
        await live.forget([f"d{number}" for number in range(10)])
        live.progress.set()

        async def complete() -> bool:
            return await live.epoch() is not None

        await until(complete, within_s=180)
        assert await live.latest("d3") is not None
        running.cancel()
        await asyncio.wait([running])

    run_virtually(story())


def _left(row: LeaseRow, at_ms: int, *, fence: int) -> str:
    return landing_key(_hour(at_ms), row.shard_id, "1", "2", fence)


def _hour(at_ms: int) -> Any:
    from contracts.ledger import hour_of

    return hour_of(at_ms)


def test_a_shard_of_an_old_list_is_not_begun_again_once_it_was_read_and_forgotten() -> None:
    class Slow:
        """A stream whose first list of shards takes five minutes to arrive."""

        def __init__(self, inner: Any) -> None:
            self._inner, self._first = inner, True

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        async def list_shards(self) -> Any:
            listed, first, self._first = await self._inner.list_shards(), self._first, False
            if first:
                await asyncio.sleep(300)
            return listed

    class Watched:
        """A lease table that notes whose rows were put into it."""

        def __init__(self, inner: Any) -> None:
            self._inner, self.inserted = inner, set[str]()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        async def insert(self, rows: list[LeaseRow]) -> None:
            self.inserted.update(row.shard_id for row in rows)
            await self._inner.insert(rows)

    async def story() -> None:
        world = World(shards=1, retention_ms=60_000)
        fill(world.stream, 10)
        world.stream.split("shardId-000000000000")
        fill(world.stream, 40, first=10)
        leases = Watched(world.leases)
        late = asyncio.create_task(world.worker("late", world.parts(stream=Slow(world.stream), leases=leases)).run())
        await _run_for(world, 250, name="steady")
        assert "shardId-000000000000" not in {row.shard_id for row in await world.leases.rows()}
        await asyncio.sleep(100)
        late.cancel()
        await asyncio.wait([late])
        assert leases.inserted == set()
        assert sorted(row.shard_id[-1] for row in await world.leases.rows()) == ["1", "2"]

    run_virtually(story())
