"""Machines of a simulated cluster on one event loop of virtual time: each may be frozen, thawed or dead at any step."""

import asyncio
import heapq
from asyncio.events import Handle
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

_T = TypeVar("_T")
_OWNER: ContextVar["Machine | None"] = ContextVar("owner", default=None)


class Machine:
    """One process on a machine of its own.

    Promises
    - Frozen, not one step of its tasks runs, and no timer of its own fires; thawed, everything due runs at once, as
      after SIGSTOP and SIGCONT.
    - Dead, it never runs again: no cleanup, no last words.
    - Its wall clock is `skew_ms` off and its monotonic clock runs at `pace`.
    """

    def __init__(self, loop: "ClusterLoop", name: str, *, skew_ms: int = 0, pace: float = 1.0) -> None:
        self.name = name
        self.frozen = False
        self.dead = False
        self.leaving = False
        """At the end of a history: whatever it awaits is cancelled."""
        self._loop = loop
        self._skew_ms = skew_ms
        self._pace = pace
        self.held_back: list[Handle] = []

    def start(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Run here; every task and timer that comes of it belongs to this machine."""
        context = copy_context()
        context.run(_OWNER.set, self)
        return self._loop.create_task(work, context=context)

    def call(self, action: Callable[[], object]) -> None:
        """Call something here, as a signal would."""
        context = copy_context()
        context.run(_OWNER.set, self)
        self._loop.call_soon(action, context=context)

    def freeze(self) -> None:
        """Stop it where it stands."""
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        if not self.dead:
            self.frozen = False
            self._loop.run_later(self.held_back)
            self.held_back = []

    def die(self) -> None:
        """Stop it for ever."""
        self.frozen = self.dead = True

    def leave(self) -> None:
        """Let its tasks be ended, as what a history holds in memory must go."""
        self.leaving, self.dead = True, False
        self.thaw()

    # A Clock.

    def monotonic_s(self) -> float:
        """This machine's own seconds."""
        return self._loop.time() * self._pace

    def wall_ms(self) -> int:
        """This machine's wall clock."""
        return self._loop.true_ms() + self._skew_ms

    async def sleep(self, seconds: float) -> None:
        """Wait on this machine's clock."""
        if self.leaving:
            raise asyncio.CancelledError
        await asyncio.sleep(seconds / self._pace)


class ClusterLoop(asyncio.BaseEventLoop):
    """Virtual time without selector or threads: jumps to the next timer when nothing is ready."""

    def __init__(self, start_ms: int) -> None:
        super().__init__()
        self._start_ms = start_ms
        self._now_s = 0.0
        self._tasks_made = 0
        self.set_task_factory(_numbered)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._now_s

    def true_ms(self) -> int:
        """Epoch milliseconds that a perfect clock shows."""
        return self._start_ms + round(self._now_s * 1000)

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing happens, as while a whole cluster is suspended."""
        self._now_s += seconds

    def run_later(self, handles: list[Handle]) -> None:
        """Have these run as soon as what is ready now has."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def outside(self, delay_s: float, action: Callable[[], object]) -> None:
        """Call something that belongs to no machine, after a while."""
        context = copy_context()
        context.run(_OWNER.set, None)
        self.call_later(delay_s, action, context=context)

    def next_number(self) -> int:
        """Numbers of tasks, in the order in which they are made."""
        self._tasks_made += 1
        return self._tasks_made

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise RuntimeError("everything waits and no timer is set: the program under test is stuck")
            self._now_s = max(self._now_s, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now_s:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            owner = handle._context.get(_OWNER)
            if owner is not None and owner.frozen:
                owner.held_back.append(handle)
            else:
                handle._run()

    def _write_to_self(self) -> None:
        """Nothing sleeps in a selector, so nothing has to be woken."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""


class _Numbered(asyncio.Task):  # type: ignore[type-arg]
    """A task whose place in sets is the same in every process: by number, not by address."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._number = more["loop"].next_number()
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return int(self._number)


def _numbered(loop: Any, work: Coroutine[Any, Any, Any], **more: Any) -> "asyncio.Task[Any]":
    return _Numbered(work, loop=loop, **more)


async def dismiss(tasks: list["asyncio.Task[Any]"]) -> None:
    """End the tasks of machines that leave."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
