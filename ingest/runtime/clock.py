"""The consumer's clock: every wait and every age goes through it, so that a test can replace it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds to measure with, wall-clock milliseconds to record.

    Promises
    - `monotonic_s` never goes backwards and moves with `sleep`.
    - No decision that involves another machine uses `wall_ms`; it only dates what people read.
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
