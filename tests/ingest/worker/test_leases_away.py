"""A lease table that is away in part, slow, or slow at the wrong moment."""

import asyncio

from structlog.testing import capture_logs

from ingest.metrics import LEASES
from tests.builders.consumer import Outage, World, until
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
        for worker in (idle, other):
            worker.stop()
        await asyncio.gather(running, reading)

    run_virtually(story())
