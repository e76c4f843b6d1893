"""Paces records by event time at a multiple of real time."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from contracts.errors import Misuse
from devices.outgoing import Outgoing

TICK_S = 0.1
"""Records due within one tick are sent together."""
MAX = "max"


def parse_rate(text: str) -> float | None:
    """A rate as the command line gives it: None for `max`, else times real time. Raises Misuse."""
    if text == MAX:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not (0 < rate < float("inf")):
        raise Misuse(f"--rate {text!r} is no rate; give a number above 0 (times real time) or 'max'")
    return rate


class Pacer:
    """Splits records into parts and waits until each part is due.

    The first record is due at once, any other after (its event time - the first's) / rate. A record whose event time
    goes backward is due with the one before it.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_s = rate * 1000.0
        self._clock, self._sleep = clock, sleep
        self._origin_ms: float | None = None
        self._latest_ms = 0.0
        self._began_s = 0.0

    def parts(self, outgoing: Outgoing, before_wait: Callable[[], None]) -> Iterator[Outgoing]:
        """The records, one tick at a time, when they are due. Calls before_wait before it sleeps."""
        if not len(outgoing):
            return
        if self._origin_ms is None:
            self._origin_ms, self._began_s = float(outgoing.due_ms[0]), self._clock()
            self._latest_ms = self._origin_ms
        latest = np.maximum(np.maximum.accumulate(outgoing.due_ms), self._latest_ms)
        self._latest_ms = float(latest[-1])
        due_s = (latest - self._origin_ms) / self._per_s
        start = 0
        while start < len(outgoing):
            now_s = self._clock() - self._began_s
            if due_s[start] > now_s:
                before_wait()
                self._sleep(min(float(due_s[start]) - now_s + TICK_S / 2, 3600.0))
                continue
            stop = int(np.searchsorted(due_s, now_s, side="right"))
            yield outgoing.part(start, stop)
            start = stop
