"""A lease table that is away in part, slow, or slow at the wrong moment."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from structlog.testing import capture_logs

from ingest.runtime.metrics import LANDING, LEASES
from tests.builders.consumer import Outage, World, fill, until
from tests.builders.virtual_time import run_virtually

WRITES = ("insert", "take", "renew", "advance", "release", "ask", "remove", "commit")


def test_a_table_that_is_read_but_not_written_is_down_since_its_first_refusal() -> None:
    async def story() -> None:
        world = World(shards=2)
        leases = Outage(world.leases, *WRITES)
        worker = world.worker("w", world.parts(leases=leases))
        running = asyncio.create_task(worker.run())
        await until(lambda: worker.health().ready and len(worker.health().shards) == 2)
        with capture_logs() as log:
            leases.down = True
            await until(lambda: LEASES in worker.health().down_s)
            for second in range(60):
                assert worker.health().down_s[LEASES] >= second
                await asyncio.sleep(1)
            leases.down = False
            await until(lambda: worker.health().ready)
        assert [line["event"] for line in log if line["event"].startswith("sink.")] == ["sink.down", "sink.up"]
        worker.stop()
        await running

    run_virtually(story())


def test_a_worker_that_has_nothing_to_write_any_more_is_ready_again() -> None:
    async def story() -> None:
        world = World(shards=1)
        leases = Outage(world.leases, "take")
        leases.down = True
        idle = world.worker("idle", world.parts(leases=leases))
        running = asyncio.create_task(idle.run())
        await until(lambda: LEASES in idle.health().down_s)
        other = world.worker("other")
        reading = asyncio.create_task(other.run())
        await until(lambda: idle.health().ready)
        assert idle.health().down_s == {}
        for worker in (idle, other):
            worker.stop()
        await asyncio.gather(running, reading)

    run_virtually(story())


def test_a_flush_that_was_given_up_leaves_its_worker_ready() -> None:
    async def story() -> None:
        world = World(shards=1)
        store = Outage(world.store, "put_new")
        store.down = True
        fill(world.stream, 10)
        worker = world.worker("w", world.parts(store=store), flush_age_s=1)
        running = asyncio.create_task(worker.run())
        await until(lambda: LANDING in worker.health().down_s)
        (row,) = await world.leases.rows()
        await world.leases.take(row, "another")
        await until(lambda: worker.health().shards == [])
        assert worker.health().ready
        worker.stop()
        await running

    run_virtually(story())


class Slow:
    """Leases of which some calls are answered late; `slow` says by how many seconds this call is."""

    def __init__(self, inner: Any, slow: Callable[[str, Any], float]) -> None:
        self._inner = inner
        self._slow = slow

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def called(*args: Any, **more: Any) -> Any:
            late_s = self._slow(name, args[0] if args else None)
            result = await method(*args, **more)
            await asyncio.sleep(late_s)
            return result

        return called


async def _longest_still_s(world: World, shard_id: str, for_s: float) -> float:
    """For how long the shard's heartbeat stood still at most."""
    loop = asyncio.get_running_loop()
    until_s, beat, since_s, longest = loop.time() + for_s, -1, loop.time(), 0.0
    while loop.time() < until_s:
        now = next(row.heartbeat for row in await world.leases.rows() if row.shard_id == shard_id)
        if now != beat:
            beat, since_s = now, loop.time()
        longest = max(longest, loop.time() - since_s)
        await asyncio.sleep(0.05)
    return longest


def test_a_renewal_that_hangs_delays_no_other_and_is_tried_again_in_time() -> None:
    async def story() -> None:
        world = World(shards=2)
        hanging = "shardId-000000000000"
        hung: list[int] = []

        def slow(name: str, what: Any) -> float:
            if name != "renew" or what.shard_id != hanging:
                return 0.0
            hung.append(1)
            return 10.0 if len(hung) % 2 else 0.0

        worker = world.worker("w", world.parts(leases=Slow(world.leases, slow)), lease_ttl_s=9)
        other = world.worker("other", lease_ttl_s=9)
        running = asyncio.create_task(worker.run())
        await until(lambda: len(worker.health().shards) == 2)
        watching = asyncio.create_task(other.run())
        healthy_s, hung_s = await asyncio.gather(
            _longest_still_s(world, "shardId-000000000001", 60), _longest_still_s(world, hanging, 60)
        )
        assert len(hung) > 6
        assert healthy_s <= 3.1
        assert hung_s <= 6.1
        fences = Counter(row.fence for row in await world.leases.rows())
        assert max(fences) <= 2, "a lease may be handed over, but none expires"
        for one in (worker, other):
            one.stop()
        await asyncio.gather(running, watching)

    run_virtually(story())


def test_a_shard_taken_while_the_worker_was_asked_to_stop_is_let_go_at_once() -> None:
    async def story() -> None:
        world = World(shards=3)
        worker = world.worker("w", world.parts(leases=Slow(world.leases, lambda name, _: 4.0 * (name == "take"))))
        running = asyncio.create_task(worker.run())
        await until(lambda: len(worker.health().shards) == 1)
        worker.stop()
        report = await running
        assert report.not_committed == []
        assert [row.owner for row in await world.leases.rows()] == [None] * 3
        assert worker.health().shards == []

    run_virtually(story())
