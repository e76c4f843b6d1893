"""A task that swallows a cancellation is ended all the same."""

import asyncio

from ingest.runtime.tasks import cancelled
from tests.builders.virtual_time import run_virtually


def test_a_task_that_swallows_its_first_cancellation_ends() -> None:
    swallowed: list[str] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append("as a library did")

    async def story() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(1)
        await cancelled([task])
        assert task.cancelled()
        assert len(swallowed) == 1

    run_virtually(story())
