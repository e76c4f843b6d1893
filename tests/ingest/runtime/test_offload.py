"""One thread for two steps: what is begun is finished before anything new is begun."""

import asyncio
import threading

import pytest

from ingest.runtime.offload import OneThread


def test_what_is_begun_is_finished_before_anything_new_is_begun() -> None:
    done: list[str] = []

    async def story() -> None:
        thread, gate = OneThread(), threading.Event()
        held = asyncio.ensure_future(thread.beginning(gate.wait))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(thread.beginning(done.append, f"begun {number}")) for number in range(3)]
        waiting += [asyncio.ensure_future(thread.finishing(done.append, f"finished {number}")) for number in range(3)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(held, *waiting)

    asyncio.run(story())
    assert done == ["finished 0", "finished 1", "finished 2", "begun 0", "begun 1", "begun 2"]


def test_an_error_belongs_to_whoever_waits_and_the_thread_goes_on() -> None:
    async def story() -> int:
        thread = OneThread()
        with pytest.raises(ValueError, match="invalid literal"):
            await thread.finishing(int, "no number")
        return await thread.finishing(int, "7")

    assert asyncio.run(story()) == 7


def test_work_that_nobody_waits_for_any_more_is_not_done() -> None:
    done: list[str] = []

    async def story() -> None:
        thread, gate = OneThread(), threading.Event()
        held = asyncio.ensure_future(thread.beginning(gate.wait))
        await asyncio.sleep(0)
        unwanted = asyncio.ensure_future(thread.finishing(done.append, "unwanted"))
        await asyncio.sleep(0)
        unwanted.cancel()
        await asyncio.sleep(0)
        gate.set()
        await held
        await thread.finishing(done.append, "wanted")

    asyncio.run(story())
    assert done == ["wanted"]
