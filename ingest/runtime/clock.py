"""Time as the consumer sees it: every wait and every age goes through a clock that a test can replace."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds to measure with, wall milliseconds to write down.

    Promises
    - `monotonic_s` never goes backwards and moves with `sleep`.
    - No decision between machines rests on `wall_ms`; it dates what is written for people.
    """

    def monotonic_s(self) -> float: ...
    def wall_ms(self) -> int: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The running event loop's time, so that a loop with virtual time carries the consumer with it."""

    def monotonic_s(self) -> float:
        """Seconds of the event loop's clock."""
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        """Epoch milliseconds of this machine."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
