"""Workers that read the lease rows in turns: rarely while nothing happens, and at once where something does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.ledger import LeaseRow
from ingest.leases.memory import MemoryLeases
from ingest.worker import Worker
from tests.builders.consumer import World, until
from tests.builders.virtual_time import run_virtually

TTL_S = 10.0


class Counting(MemoryLeases):
    """Counts its calls. Where `deaf`, no change is counted, as where a worker died in between."""

    def __init__(self, *, deaf: bool = False) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.deaf = deaf

    async def rows(self) -> list[LeaseRow]:
        self.calls["rows"] += 1
        return await super().rows()

    async def changes(self) -> int | None:
        self.calls["changes"] += 1
        found = await super().changes()
        return 0 if self.deaf else found


@asynccontextmanager
async def _settled(workers: int, shards: int, leases: Counting) -> AsyncIterator[dict[str, tuple[Worker, Any]]]:
    """So many workers by name, each with its task, that have shared the shards and calmed down."""
    world = World(shards)
    world.leases = leases
    running = {}
    for number in range(workers):
        worker = world.worker(f"w{number}", lease_ttl_s=TTL_S)
        running[worker.name] = (worker, asyncio.create_task(worker.run()))
    await until(lambda: sum(len(worker.health().shards) for worker, _ in running.values()) == shards)
    await asyncio.sleep(90)
    leases.calls.clear()
    yield running
    for worker, task in running.values():
        worker.stop()
        await asyncio.wait([task])


@pytest.mark.parametrize(("workers", "most_a_second"), [(1, 0.85), (4, 1.0), (16, 2.1)])
def test_workers_together_look_little_more_often_than_one_alone(workers: int, most_a_second: float) -> None:
    async def story() -> None:
        leases = Counting()
        async with _settled(workers, 2 * workers, leases):
            await asyncio.sleep(200)
            assert leases.calls["rows"] / 200 <= most_a_second
            assert leases.calls["changes"] / 200 <= 0.85 * workers

    run_virtually(story())


@pytest.mark.parametrize(("deaf", "within_s"), [(False, 4.0), (True, TTL_S + 4)])
def test_a_released_shard_is_taken_at_once_and_soon_where_its_release_was_not_counted(
    deaf: bool, within_s: float
) -> None:
    async def story() -> None:
        leases = Counting(deaf=deaf)
        async with _settled(8, 16, leases) as running:
            worker, task = running.pop("w3")
            worker.stop()
            await task

            async def all_owned() -> bool:
                return all(row.owner for row in await MemoryLeases.rows(leases))

            await until(all_owned, within_s=within_s)
            assert "w3" not in {row.owner for row in await MemoryLeases.rows(leases)}

    run_virtually(story())


@pytest.mark.parametrize("workers", [2, 8])
def test_a_dead_workers_shards_are_taken_as_soon_as_by_workers_that_look_all_the_time(workers: int) -> None:
    async def story() -> None:
        leases = Counting()
        async with _settled(workers, 2 * workers, leases) as running:
            held = set(running["w1"][0].health().shards)
            real = leases.renew

            async def renew(lease: LeaseRow, **more: Any) -> LeaseRow:
                if lease.owner == "w1":
                    await asyncio.sleep(3_600)
                return await real(lease, **more)

            leases.renew = renew  # type: ignore[method-assign]

            async def all_taken() -> bool:
                rows = await MemoryLeases.rows(leases)
                return all(row.fence > 1 for row in rows if row.shard_id in held)

            # A renewal was up to a third of the TTL ago, and a lone worker looks every eighth.
            await until(all_taken, within_s=TTL_S * (1 + 1 / 3 + 1 / 8))
            assert held

    run_virtually(story())
