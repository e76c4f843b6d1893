"""An event loop whose clock jumps to the next timer, so that hours of a program take milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
START_MS = 1_790_000_000_000
"""Epoch time at which virtual time starts."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything runs, and jumps when everything waits. Threads do not belong here."""

    def __init__(self) -> None:
        super().__init__(_Jumping(self))
        self._now_s = 0.0

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Move the clock."""
        self._now_s += seconds


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits and no timer is set: the program under test is stuck")
        self._loop.jump(max(0.0, timeout))
        return super().select(0)


class VirtualClock:
    """A Clock on the virtual loop. `skew_ms` is how far this machine's wall clock is off."""

    def __init__(self, skew_ms: int = 0) -> None:
        self._skew_ms = skew_ms

    def monotonic_s(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        """This machine's wall clock."""
        return true_ms() + self._skew_ms

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


def true_ms() -> int:
    """The virtual world's epoch time."""
    return START_MS + round(asyncio.get_event_loop().time() * 1000)


def run_virtually(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
