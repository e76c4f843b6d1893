"""Ends asyncio tasks reliably."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
_AGAIN_S = 0.5


async def cancelled(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait for their end.

    One cancellation is not enough: a library may turn it into an error of its own (a Redis client did while it
    connected), and the task then goes on for ever.
    """
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
        left = [task for task in left if not task.done()]


async def unless(closing: "asyncio.Future[Any]", work: Coroutine[Any, Any, _T]) -> _T | None:
    """The work's result, or None where `closing` is done first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, closing), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await cancelled([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of an end that nobody waits for
