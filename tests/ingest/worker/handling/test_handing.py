"""Records to a handler: each at least once and in order, retried, set aside, checkpointed when it says so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow import BufferReader

from contracts.errors import Misuse
from contracts.kpl import aggregate
from contracts.record import RejectReason
from ingest.handling import Handling, Poison, Record, ShardRecords, Unpacking
from ingest.kinesis import ReadLimits
from ingest.runtime.metrics import HANDLER
from ingest.worker import Options, Parts, Report, Worker
from tests.builders.consumer import World, until
from tests.builders.virtual_time import run_virtually


class Recorder:
    """A handler that notes what it was given, and checkpoints after each call unless told otherwise."""

    def __init__(self, before: Callable[["Recorder", ShardRecords], Any] | None = None, *, checkpoints: bool = True):
        self.calls: list[list[bytes]] = []
        self.endings = 0
        self.done: list[bytes] = []
        self._before = before
        self._checkpoints = checkpoints

    async def __call__(self, records: ShardRecords) -> None:
        self.endings += records.ending
        self.calls.append([record.data for record in records])
        if self._before is not None:
            found = self._before(self, records)
            if found is not None:
                await found
        self.done += [record.data for record in records]
        if self._checkpoints:
            await records.checkpoint()


def parts(world: World, handler: Any, **more: Any) -> Parts:
    return world.parts(decoder=Unpacking(), handling=Handling(handler, **more))


def put(world: World, datas: Sequence[bytes], key: str = "k") -> None:
    for data in datas:
        world.stream.put(key, data)


async def read(world: World, handler: Any, *, name: str = "handler", **more: Any) -> Report:
    return await world.read_all(name, parts(world, handler, **more))


async def rejected(world: World) -> list[dict[str, Any]]:
    keys = [landed.key for entry in await world.entries() for landed in entry.objects]
    return [row for key in keys for row in pq.read_table(BufferReader(world.store.objects[key])).to_pylist()]


def numbered(count: int) -> list[bytes]:
    return [b"record %d" % number for number in range(count)]


def test_every_record_is_handled_and_the_ledger_says_so() -> None:
    async def story() -> None:
        world, handler = World(shards=3), Recorder()
        for number, data in enumerate(numbered(300)):
            world.stream.put(f"k{number}", data)
        report = await read(world, handler)
        assert sorted(handler.done) == sorted(numbered(300))
        assert (report.handled, report.landed, report.rejected, world.store.objects) == (300, 0, {}, {})
        assert sum(entry.handled for entry in await world.entries()) == 300
        again = await read(world, handler, name="next")
        assert (again.handled, len(handler.done)) == (0, 300)

    run_virtually(story())


def test_an_error_that_passes_brings_the_same_records_again_and_sets_none_aside() -> None:
    async def story() -> None:
        def down(recorder: Recorder, _: ShardRecords) -> None:
            if len(recorder.calls) <= 6:
                raise ConnectionError("the handler's database is down")

        world, handler = World(shards=1), Recorder(down)
        put(world, numbered(20))
        running = parts(world, handler)
        worker = Worker(running, Options(until_idle=True), "handler")
        task = asyncio.create_task(worker.run())
        await until(lambda: len(handler.calls) >= 3)
        assert HANDLER in running.metrics.down_s()
        assert any("handler is down" in reason for reason in worker.health().reasons)
        report = await task
        assert handler.done == numbered(20)
        assert handler.calls == [numbered(20)] * 7
        assert (report.handled, report.rejected) == (20, {})
        assert running.metrics.down_s() == {}

    run_virtually(story())


def test_a_record_named_as_poison_is_set_aside_with_its_bytes_and_the_others_are_handled() -> None:
    async def story() -> None:
        def picky(_: Recorder, records: ShardRecords) -> None:
            for record in records:
                if record.data in (b"bad", b"bad too"):
                    try:
                        int(record.data)
                    except ValueError as error:
                        raise Poison(record) from error

        world, handler = World(shards=1), Recorder(picky)
        put(world, [b"bad", b"a", b"b", b"bad", b"c", b"bad too"])
        report = await read(world, handler)
        assert handler.done == [b"a", b"b", b"c"]
        assert (report.handled, report.rejected) == (3, {RejectReason.POISON.value: 3})
        rows = await rejected(world)
        assert [row["data"] for row in rows] == [b"bad", b"bad", b"bad too"]
        assert {(row["reason"], row["error"], row["partition_key"]) for row in rows} == {("poison", "ValueError", "k")}

    run_virtually(story())


def test_of_errors_that_a_record_causes_the_record_is_found_by_halves() -> None:
    async def story() -> None:
        def breaks(_: Recorder, records: ShardRecords) -> None:
            if any(record.data == b"record 13" for record in records):
                raise KeyError("who knows which")

        world, handler = World(shards=1), Recorder(breaks)
        put(world, numbered(40))
        report = await read(world, handler, poison=(LookupError,))
        assert handler.done == [data for data in numbered(40) if data != b"record 13"]
        assert (report.handled, report.rejected) == (39, {"poison": 1})
        assert [row["data"] for row in await rejected(world)] == [b"record 13"]
        assert len(handler.calls) < 15

    run_virtually(story())


def test_without_a_checkpoint_everything_comes_again() -> None:
    async def story() -> None:
        world, forgetful = World(shards=2), Recorder(checkpoints=False)
        for number, data in enumerate(numbered(50)):
            world.stream.put(f"k{number}", data)
        report = await read(world, forgetful)
        assert sorted(forgetful.done) == sorted(numbered(50))
        assert (report.handled, await world.entries()) == (0, [])
        assert forgetful.endings == 2
        careful = Recorder()
        await read(world, careful, name="next")
        assert sorted(careful.done) == sorted(numbered(50))

    run_virtually(story())


def test_a_checkpoint_in_the_last_call_covers_all_that_was_given() -> None:
    async def story() -> None:
        async def at_the_end(records: ShardRecords) -> None:
            if records.ending:
                await records.checkpoint()

        world = World(shards=1)
        put(world, numbered(30))
        assert (await read(world, at_the_end)).handled == 30
        assert [entry.handled for entry in await world.entries()] == [30]

    run_virtually(story())


def test_after_a_checkpoint_amid_the_records_only_the_rest_comes_again() -> None:
    async def story() -> None:
        def once(recorder: Recorder, records: ShardRecords) -> Any:
            if len(recorder.calls) == 1:
                return amid(records)
            return None

        async def amid(records: ShardRecords) -> None:
            await records.checkpoint(records[11])
            raise ConnectionError

        world, handler = World(shards=1), Recorder(once)
        put(world, numbered(20))
        await read(world, handler)
        assert handler.calls == [numbered(20), numbered(20)[12:]]
        assert [entry.handled for entry in await world.entries()] == [12, 8]

    run_virtually(story())


def test_within_an_aggregate_a_checkpoint_counts_from_its_last_record_on() -> None:
    async def story() -> None:
        async def first_two(records: ShardRecords) -> None:
            if not records.ending:
                await records.checkpoint(records[4])

        world, handler = World(shards=1), Recorder()
        put(world, [aggregate(("d", data) for data in numbered(6)[start : start + 3]) for start in (0, 3)])
        await read(world, first_two)
        await read(world, handler, name="next")
        assert handler.done == numbered(6)[3:]
        assert [entry.handled for entry in await world.entries()] == [3, 3]

    run_virtually(story())


def test_children_of_a_shard_are_read_once_the_handler_has_checkpointed_its_end() -> None:
    async def story() -> None:
        order: list[tuple[str, bool]] = []

        async def late(records: ShardRecords) -> None:
            order.append((records.shard_id, records.ending))
            if records.shard_id != parent or (records.ending and len(order) > 4):
                await records.checkpoint()

        world = World(shards=1)
        parent = world.stream.open_shards()[0]
        put(world, numbered(10))
        for child in world.stream.split(parent):
            assert child
        for number in range(10):
            world.stream.put(f"k{number}", b"later")
        report = await read(world, late)
        assert report.handled == 20
        assert order[:5] == [(parent, False), *[(parent, True)] * 4]
        assert {shard for shard, _ in order[5:]} <= set(world.stream.open_shards())

    run_virtually(story())


def test_a_worker_ends_in_time_although_its_handler_fails_for_ever() -> None:
    async def story() -> None:
        async def broken(records: ShardRecords) -> None:
            raise ConnectionError

        world = World(shards=2)
        for number, data in enumerate(numbered(20)):
            world.stream.put(f"k{number}", data)
        worker = Worker(parts(world, broken), Options(), "handler")
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(120)
        started = asyncio.get_running_loop().time()
        worker.stop()
        report = await task
        assert asyncio.get_running_loop().time() - started < 2
        assert (report.not_committed, report.handled) == ([], 0)
        assert all(row.owner is None for row in await world.leases.rows())

    run_virtually(story())


def test_a_call_that_goes_on_when_the_worker_is_told_to_end_may_finish() -> None:
    async def story() -> None:
        async def slow(records: ShardRecords) -> None:
            await asyncio.sleep(5)
            await records.checkpoint()

        world = World(shards=1)
        put(world, numbered(20))
        worker = Worker(parts(world, slow), Options(), "handler")
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(2)
        worker.stop()
        assert (await task).handled == 20

    run_virtually(story())


def test_two_workers_share_the_shards_and_a_killed_ones_records_come_again_to_the_other() -> None:
    async def story() -> None:
        async def handle(records: ShardRecords) -> None:
            await asyncio.sleep(0.5)
            done.extend(record.data for record in records)
            await records.checkpoint()

        done: list[bytes] = []
        world = World(shards=4)
        workers = [Worker(parts(world, handle), Options(workers=2), name) for name in ("one", "two")]
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        for number, data in enumerate(numbered(600)):
            world.stream.put(f"k{number}", data)
            await asyncio.sleep(0.1)
            if number == 300:
                tasks[0].cancel()
        await until(lambda: set(done) == set(numbered(600)), within_s=120)
        workers[1].stop()
        await tasks[1]
        assert sum(entry.handled for entry in await world.entries()) == 600

    run_virtually(story())


def test_a_slow_handler_is_not_read_ahead_of() -> None:
    async def story() -> None:
        async def stuck(records: ShardRecords) -> None:
            await asyncio.sleep(10_000)

        world = World(shards=1)
        running = parts(world, stuck)
        worker = Worker(running, Options(), "handler")
        task = asyncio.create_task(worker.run())
        for number in range(200):
            world.stream.put("k", b"%d" % number)
            await asyncio.sleep(1)
        assert worker.totals.kinesis_records_read < 20
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtually(story())


def test_a_service_runs_for_hours_and_its_watermark_follows_an_idle_shard() -> None:
    async def story() -> None:
        world, handler = World(shards=2), Recorder()
        rare = {"lease_ttl_s": 600.0, "look_every_s": 60.0, "discover_every_s": 600.0}
        options = Options(limits=ReadLimits(idle_wait_s=60.0), **rare)
        worker = Worker(parts(world, handler), options, "handler")
        task = asyncio.create_task(worker.run())
        for hour in range(30):
            put(world, [b"hour %d" % hour])
            await asyncio.sleep(3_600)
        assert not task.done()
        rows = await world.leases.rows()
        assert min(row.watermark_ms for row in rows) > world.parts().clock.wall_ms() - 240_000
        worker.stop()
        report = await task
        assert (report.handled, report.trimmed) == (30, 0)

    run_virtually(story())


def test_a_checkpoint_outside_its_call_is_refused() -> None:
    async def story() -> None:
        kept: list[ShardRecords] = []

        async def keeps(records: ShardRecords) -> None:
            kept.append(records)

        world = World(shards=1)
        put(world, numbered(3))
        await read(world, keeps)
        with pytest.raises(Misuse, match="belongs into the call"):
            await kept[0].checkpoint()
        with pytest.raises(Misuse, match="of the same call"):
            await kept[0].checkpoint(Record(b"", "", "", 0, 0))

    run_virtually(story())


def test_a_handler_beside_landing_is_refused() -> None:
    async def story() -> None:
        with pytest.raises(Misuse, match=r"decoder=Unpacking\(\) and live=None"):
            World().parts(handling=Handling(Recorder()))

    run_virtually(story())


def test_a_part_that_lacks_a_method_is_refused_before_anything_calls_it() -> None:
    class Folder:
        async def put_new(self, key: str, data: bytes) -> None:
            raise AssertionError

    async def story() -> None:
        with pytest.raises(Misuse, match=r"Folder lacks close, delete, get, list: see ingest\.landing\.store"):
            World().parts(store=Folder())

    run_virtually(story())
