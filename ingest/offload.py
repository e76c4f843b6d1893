"""Work that computes for a while, kept off the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol


class Offload(Protocol):
    """Runs a function that computes for a while without holding up the event loop."""

    def __call__(self, work: Callable[..., Any], /, *args: Any) -> Awaitable[Any]: ...


class Threads:
    """An Offload on threads of its own."""

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingest")

    async def __call__(self, work: Callable[..., Any], /, *args: Any) -> Any:
        """The function's result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)


async def inline(work: Callable[..., Any], /, *args: Any) -> Any:
    """An Offload that computes at once: for tests, which want no threads."""
    return work(*args)
