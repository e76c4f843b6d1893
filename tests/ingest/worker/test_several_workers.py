"""Several workers on one stream: sharing, hand-over, death, and zombies."""

import asyncio
from collections import Counter
from typing import Any

from contracts.ledger import LeaseRow, region_watermark_ms
from ingest.kinesis import Shard
from ingest.kinesis.memory import MemoryStream
from ingest.worker import Options, Parts, Worker
from ingest.worker.shards.balance import fair_share, shard_to_ask_for
from ingest.worker.shards.discovery import readable, rows_to_insert, rows_to_remove
from tests.builders.consumer import World, broken_chains, fill, record, until
from tests.builders.virtual_time import VirtualClock, run_virtually


async def _owners(world: World) -> Counter[str]:
    return Counter(row.owner for row in await world.leases.rows() if row.owner)


async def _ended(worker: Worker, running: "asyncio.Task[object]") -> None:
    worker.stop()
    await running


def test_a_second_worker_is_handed_its_share_and_nothing_is_read_twice() -> None:
    async def story() -> None:
        world = World(shards=4)
        sent = fill(world.stream, 2_000)
        one, two = world.worker("one"), world.worker("two", world.parts(clock=VirtualClock(skew_ms=-7_200_000)))
        first = asyncio.create_task(one.run())
        await until(lambda: one.totals.user_records_read == 2_000)
        second = asyncio.create_task(two.run())

        async def shared() -> bool:
            return await _owners(world) == {"one": 2, "two": 2}

        for number in range(400):
            sent |= fill(world.stream, 5, first=2_000 + 5 * number)
            await asyncio.sleep(0.1)
        await until(shared)
        await _ended(one, first)
        await until(lambda: len(two.health().shards) == 4)
        sent |= fill(world.stream, 1_000, first=4_000)
        await until(lambda: one.totals.landed + two.totals.landed + len(two.health().shards) >= 5_000, within_s=120)
        await _ended(two, second)
        assert sorted(await world.landed_ids()) == sorted(sent)
        read = one.totals.user_records_read + two.totals.user_records_read
        assert read == len(sent)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_workers_that_start_together_share_the_shards_fairly_though_none_expects_another() -> None:
    async def story() -> None:
        world = World(shards=48)
        workers = [world.worker(name) for name in ("one", "two", "three")]
        started_s = asyncio.get_running_loop().time()
        running = [asyncio.create_task(worker.run()) for worker in workers]
        await until(lambda: sum(len(worker.health().shards) for worker in workers) == 48, within_s=5)
        assert asyncio.get_running_loop().time() - started_s < 2
        assert [len(worker.health().shards) for worker in workers] == [16, 16, 16]
        assert {row.fence for row in await world.leases.rows()} == {1}
        for worker, task in zip(workers, running, strict=True):
            await _ended(worker, task)

    run_virtually(story())


def test_what_a_living_worker_does_not_take_of_its_share_another_takes_soon() -> None:
    async def story() -> None:
        world = World(shards=48)
        gate = Gate()
        stuck = world.worker("stuck", gate.parts(world))
        asleep = asyncio.create_task(stuck.run())
        await until(lambda: len(stuck.health().shards) > 0)
        gate.shut.set()
        held = len(stuck.health().shards)
        assert held < 24
        other = world.worker("other")
        running = asyncio.create_task(other.run())
        await until(lambda: len(other.health().shards) == 48 - held, within_s=4)
        await _ended(other, running)
        asleep.cancel()

    run_virtually(story())


def test_the_shards_of_a_worker_that_died_are_read_again_within_fifteen_seconds() -> None:
    async def story() -> None:
        world = World(shards=4)
        sent = fill(world.stream, 1_000)
        gate = Gate()
        doomed = asyncio.create_task(world.worker("doomed", gate.parts(world), flush_age_s=1_000).run())
        heir = world.worker("heir")
        running = asyncio.create_task(heir.run())
        await until(lambda: len(heir.health().shards) == 2)
        gate.shut.set()
        died_s = asyncio.get_running_loop().time()
        await until(lambda: len(heir.health().shards) == 4)
        assert asyncio.get_running_loop().time() - died_s <= 15

        async def all_landed() -> bool:
            return sum(entry.landed for entry in await world.entries()) == 1_000

        await until(all_landed, within_s=120)
        await _ended(heir, running)
        doomed.cancel()
        assert sorted(await world.landed_ids()) == sorted(sent)

    run_virtually(story())


def test_a_zombie_that_wakes_after_its_lease_was_taken_commits_nothing() -> None:
    async def story() -> None:
        world = World(shards=2)
        sent = fill(world.stream, 1_000)
        gate = Gate()
        zombie = world.worker("zombie", gate.parts(world), flush_age_s=30)
        asleep = asyncio.create_task(zombie.run())
        await until(lambda: zombie.totals.user_records_read == 1_000)
        gate.shut.set()
        heir = world.worker("heir", flush_age_s=1)
        running = asyncio.create_task(heir.run())
        await until(lambda: heir.totals.landed == 1_000, within_s=120)
        gate.shut.clear()
        gate.opened.set()
        await asyncio.sleep(60)
        assert zombie.totals.landed == 0
        assert Counter(entry.worker for entry in await world.entries()) == {"heir": 2}
        assert sorted(await world.landed_ids()) == sorted(sent)
        await _ended(zombie, asleep)
        await _ended(heir, running)
        assert broken_chains(await world.leases.rows(), await world.entries()) == []

    run_virtually(story())


def test_a_new_worker_of_the_same_slot_does_not_wait_for_the_lease_of_its_dead_self() -> None:
    async def story() -> None:
        world = World(shards=2)
        fill(world.stream, 100)
        gate = Gate()
        dead = asyncio.create_task(world.worker("slot.1", gate.parts(world), flush_age_s=1_000).run())
        await asyncio.sleep(2)
        gate.shut.set()
        heir = Worker(world.parts(), Options(), "slot.2", is_dead=lambda name: name == "slot.1")
        running = asyncio.create_task(heir.run())
        await until(lambda: len(heir.health().shards) == 2, within_s=1)
        assert {row.owner for row in await world.leases.rows()} == {"slot.2"}
        await _ended(heir, running)
        dead.cancel()

    run_virtually(story())


class Gate:
    """Stands before a worker's stores and stream; shut, every call waits, as for a process that is paused or dead."""

    def __init__(self) -> None:
        self.shut = asyncio.Event()
        self.opened = asyncio.Event()

    def parts(self, world: World) -> Parts:
        """A worker's parts behind the gate."""
        gated = {name: _Gated(getattr(world, name), self) for name in ("stream", "leases", "store")}
        return world.parts(**gated)


class _Gated:
    def __init__(self, inner: object, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name == "list":
            return method

        async def gated(*args: Any, **more: Any) -> Any:
            if self._gate.shut.is_set():
                await self._gate.opened.wait()
            return await method(*args, **more)

        return gated


def _row(shard: str, owner: str | None, rate: float = 0.0, **more: Any) -> LeaseRow:
    return LeaseRow(shard_id=shard, owner=owner, records_per_s=rate, bytes_per_s=rate * 200, **more)


def test_load_not_count_decides_what_is_asked_for() -> None:
    rows = [_row("a", "big", 900), _row("b", "big", 30), _row("c", "small", 35), _row("d", "small", 35)]
    asked = shard_to_ask_for(rows, "small", alive={"big"})
    assert asked is not None
    assert asked.shard_id == "b"


def test_a_shard_that_moved_weighs_at_once_what_it_weighed_before() -> None:
    async def story() -> None:
        world = World(shards=2)
        one, two = world.worker("one"), world.worker("two")
        tasks = [asyncio.create_task(one.run()), asyncio.create_task(_steadily(world))]
        await asyncio.sleep(120)
        before = {row.shard_id: row.records_per_s for row in await world.leases.rows()}
        tasks.append(asyncio.create_task(two.run()))
        await until(lambda: len(two.health().shards) == 1)
        await asyncio.sleep(5)
        (moved,) = [row for row in await world.leases.rows() if row.owner == "two"]
        assert before[moved.shard_id] > 10
        assert 0.8 < moved.records_per_s / before[moved.shard_id] < 1.2
        for worker in (one, two):
            worker.stop()
        tasks.pop(1).cancel()
        await asyncio.gather(*tasks)

    run_virtually(story())


async def _steadily(world: World) -> None:
    for number in range(10_000):
        fill(world.stream, 10, first=10 * number)
        await asyncio.sleep(0.25)


def test_an_idle_stream_is_shared_by_count_and_then_left_alone() -> None:
    rows = [_row(name, "one") for name in "abcd"]
    moved = 0
    while (asked := shard_to_ask_for(rows, "two", alive={"one"})) is not None:
        rows = [row if row is not asked else _row(row.shard_id, "two") for row in rows]
        moved += 1
    assert moved == 2
    assert shard_to_ask_for(rows, "one", alive={"two"}) is None


def test_one_request_at_a_time() -> None:
    rows = [_row("a", "one", wanted_by="two"), *(_row(name, "one") for name in "bcd")]
    assert shard_to_ask_for(rows, "two", alive={"one"}) is None
    assert fair_share(8, 3) == 3


def test_a_child_gets_no_row_of_its_own_while_a_parent_is_to_be_read() -> None:
    async def story() -> None:
        stream = MemoryStream(2, now_ms=lambda: 1_000)
        stream.put("x", record("x", 1))
        child = stream.merge("shardId-000000000000", "shardId-000000000001")
        shards = await stream.list_shards()
        fresh = rows_to_insert(shards, [], now_ms=1_000)
        assert [row.shard_id for row in fresh] == ["shardId-000000000000", "shardId-000000000001"]
        half = [LeaseRow(shard_id="shardId-000000000000", ended=True), LeaseRow(shard_id=child, parents=_two())]
        assert not readable(half[1], half, {shard.shard_id for shard in shards})
        assert rows_to_insert(shards, half, now_ms=1_000)[0].shard_id == "shardId-000000000001"
        both = [*half, LeaseRow(shard_id="shardId-000000000001", ended=True)]
        assert readable(both[1], both, {shard.shard_id for shard in shards})
        assert rows_to_remove([], both, known_before={row.shard_id for row in both}) == []

    run_virtually(story())


def test_an_ended_row_goes_after_its_parents_rows_so_that_their_watermarks_do_not_count_again() -> None:
    ended = {"ended": True, "position": "9", "fence": 1}
    first = LeaseRow(shard_id="0", watermark_ms=10, **ended)
    second = LeaseRow(shard_id="1", parents=["0"], watermark_ms=20, **ended)
    living = [
        LeaseRow(shard_id=name, parents=[parent], position="9", fence=1, watermark_ms=30)
        for name, parent in (("2", "0"), ("3", "1"), ("4", "1"))
    ]
    rows = [second, first, *living]
    assert region_watermark_ms(rows) == 30
    while gone := rows_to_remove([], rows, known_before={row.shard_id for row in rows}):
        for row in gone:
            rows.remove(row)
            assert region_watermark_ms(rows) == 30
    assert rows == living


def test_a_row_that_is_younger_than_the_list_of_shards_stays_though_the_list_lacks_its_shard() -> None:
    """The rows come page by page: a process that is frozen between two pages sees a child and not its parent."""
    parent = LeaseRow(shard_id="0", ended=True, position="9", fence=1)
    child = LeaseRow(shard_id="5", parents=["2"], ended=True, position="9", fence=1)
    assert rows_to_remove([Shard("0")], [parent, child], known_before={"0"}) == []
    assert rows_to_remove([Shard("0")], [parent, child], known_before={"0", "5"}) == [child]


def test_a_shard_found_once_reading_has_begun_files_nothing_into_a_closed_hour() -> None:
    async def story() -> None:
        shards = await MemoryStream(2, now_ms=lambda: 1_000).list_shards()
        known = [LeaseRow(shard_id="shardId-000000000000", watermark_ms=9_000_000)]
        (found,) = rows_to_insert(shards, known, now_ms=5)
        assert found.watermark_ms > 9_000_000

    run_virtually(story())


def _two() -> list[str]:
    return ["shardId-000000000000", "shardId-000000000001"]
