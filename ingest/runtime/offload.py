"""Runs long computations off the event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol, TypeVar, cast

_T = TypeVar("_T")

_Waiting = tuple[int, int, Future[Any], Callable[[], Any]]
"""The step (its priority), a unique number, the future of the result, and the work."""


class Offload(Protocol):
    """Runs a function that computes for long without blocking the event loop."""

    def __call__(self, work: Callable[..., Any], /, *args: Any) -> Awaitable[Any]: ...


class Threads:
    """An Offload on threads of its own."""

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingest")

    async def __call__(self, work: Callable[..., Any], /, *args: Any) -> Any:
        """The function's result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)


class OneThread:
    """Two Offloads on one thread: work for `finishing` runs before all work that waits for `beginning`.

    For work in two steps of which the first makes much out of little: few items are between the two steps at any time.
    """

    def __init__(self) -> None:
        self.finishing: Offload = partial(self._run, 0)
        self.beginning: Offload = partial(self._run, 1)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._waiting: list[_Waiting] = []
        self._numbers = count()

    async def _run(self, step: int, work: Callable[..., Any], /, *args: Any) -> Any:
        done: Future[Any] = Future()
        entry: _Waiting = (step, next(self._numbers), done, partial(work, *args))
        heappush(self._waiting, entry)
        self._pool.submit(self._run_first)
        return await asyncio.wrap_future(done)

    def _run_first(self) -> None:
        _, _, done, work = heappop(self._waiting)
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
            done.set_exception(error)


async def aside(work: Callable[[], _T], *, within_s: float) -> _T:
    """The result of blocking work, done on a daemon thread: the process may end without it.

    Raises TimeoutError where it takes longer than `within_s`; the thread then goes on by itself.
    """
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def tell(result: _T | None, error: Exception | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is raised where the work is awaited
            failed = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, failed)

    threading.Thread(target=run, daemon=True, name="aside").start()
    async with asyncio.timeout(within_s):
        return cast(_T, await done)


async def inline(work: Callable[..., Any], /, *args: Any) -> Any:
    """An Offload that computes at once, on the event loop: for tests without threads."""
    return work(*args)
