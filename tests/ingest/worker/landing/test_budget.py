"""One bound on what a worker holds, and since when readers wait for it."""

import asyncio

from ingest.worker.landing.budget import Budget
from tests.builders.virtual_time import VirtualClock, run_virtually


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
