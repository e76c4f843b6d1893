"""Ending tasks for sure."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.5


async def cancelled(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait for their end.

    Once is not enough: a library that turns a cancellation into an error of its own (seen with a Redis client that was
    just connecting) leaves a task that goes on for ever.
    """
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
        left = [task for task in left if not task.done()]
