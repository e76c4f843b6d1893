"""One bound on what a worker holds, and since when readers wait for it."""

import asyncio

import pytest

from contracts.errors import SinkUnavailable
from ingest.batch import BATCH_OVERHEAD_BYTES
from ingest.landing import MemoryStore
from ingest.worker.landing.budget import ANSWERS_AT_ONCE, Budget, ReadTurn
from tests.builders.consumer import World, record
from tests.builders.virtual_time import VirtualClock, run_virtually

MIB = 1024 * 1024


def test_reading_is_paused_only_while_a_reader_waits() -> None:
    async def story() -> None:
        budget = Budget(100, VirtualClock())
        budget.hold("a", 150)
        waiting = asyncio.create_task(budget.room())
        await asyncio.sleep(5)
        assert (budget.full_since_s, budget.pressed) == (0, True)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert budget.full_since_s is None

    run_virtually(story())


def test_the_pause_lasts_until_there_is_room_and_no_reader_is_left_waiting() -> None:
    async def story() -> None:
        budget = Budget(100, VirtualClock())
        budget.hold("a", 200)
        waiting = [asyncio.create_task(budget.room()) for _ in range(2)]
        await asyncio.sleep(5)
        budget.free("a", 50)
        await asyncio.sleep(1)
        assert budget.full_since_s == 0
        waiting[0].cancel()
        await asyncio.sleep(1)
        assert budget.full_since_s == 0
        budget.free("a", 60)
        await waiting[1]
        assert budget.full_since_s is None

    run_virtually(story())


def test_few_answers_are_taken_in_at_a_time_in_the_order_in_which_they_came() -> None:
    async def story() -> None:
        budget, begun = Budget(100, VirtualClock()), list[int]()
        turns = [ReadTurn(budget) for _ in range(10)]

        async def take(number: int) -> None:
            await turns[number].begin()
            await turns[number].begin()
            begun.append(number)

        budget.hold("a", 200)
        waiting = [asyncio.create_task(take(number)) for number in range(10)]
        await asyncio.sleep(1)
        assert begun == []
        budget.free("a", 150)
        await asyncio.sleep(1)
        assert begun == list(range(ANSWERS_AT_ONCE))
        waiting[ANSWERS_AT_ONCE].cancel()
        turns[0].end()
        turns[0].end()
        await asyncio.sleep(1)
        assert begun[ANSWERS_AT_ONCE:] == [ANSWERS_AT_ONCE + 1]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    run_virtually(story())


def test_a_reader_that_stops_while_it_waits_for_room_leaves_its_place() -> None:
    async def story() -> None:
        budget = Budget(100, VirtualClock())
        budget.hold("a", 200)
        waiting = [asyncio.create_task(ReadTurn(budget).begin()) for _ in range(ANSWERS_AT_ONCE)]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        budget.free("a", 200)
        await ReadTurn(budget).begin()
        assert not budget.places.locked()

    run_virtually(story())


@pytest.mark.parametrize("shards", [1, 8, 24])
def test_what_a_worker_holds_does_not_grow_with_the_number_of_shards(shards: int) -> None:
    """S3 is away, there for a moment, and away again, while each shard has more unread than the worker may hold."""

    class Away(MemoryStore):
        until_s = 30.0

        async def put_new(self, key: str, data: bytes) -> None:
            await asyncio.sleep(0.02)
            if asyncio.get_running_loop().time() < self.until_s or len(self.objects) >= 4:
                raise SinkUnavailable("away")
            await super().put_new(key, data)

    async def story() -> int:
        world, peak = World(shards), 0
        world.store = Away()
        for number, shard in enumerate(world.stream.open_shards()):
            place = world.stream._logs[shard].first_hash
            for count in range(110):
                data = record(f"d{number}", count, attributes={"note": "x" * 9_000})
                world.stream.put("k", data, explicit_hash=place)
        worker = world.worker("holder", buffer_bytes=2 * MIB)
        running = asyncio.create_task(worker.run())
        for _ in range(1_800):
            await asyncio.sleep(0.05)
            peak = max(peak, worker._budget.used_bytes)
        running.cancel()
        await asyncio.wait([running])
        return peak

    answer = 110 * 9_300 + BATCH_OVERHEAD_BYTES
    assert run_virtually(story()) <= 2 * MIB + ANSWERS_AT_ONCE * answer
