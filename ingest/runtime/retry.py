"""Retries while a store is unavailable and reports the outage."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from contracts.errors import LeaseLost, PositionMoved, SinkUnavailable
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import WRITES, Metrics

_T = TypeVar("_T")
_MOST_DOUBLINGS = 32
_log = structlog.get_logger()


class Backoff:
    """How long to wait after the n-th failure in a row: `first_s`, each further wait `factor` times longer, up to
    `longest_s`.

    jitter: where given, a wait is a random part of that, at least half, so that clients do not come back together.
    """

    def __init__(
        self, first_s: float, longest_s: float, *, factor: float = 2.0, jitter: random.Random | None = None
    ) -> None:
        self.first_s = first_s
        self.longest_s = longest_s
        self._factor = factor
        self._jitter = jitter

    def after_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, one or more."""
        wait_s = min(self.longest_s, self.first_s * self._factor ** min(failures - 1, _MOST_DOUBLINGS))
        return wait_s if self._jitter is None else self._jitter.uniform(0.5, 1.0) * wait_s


class Retry:
    """Repeats an operation while its store is unavailable, and tells metrics and log which store and since when."""

    def __init__(self, clock: Clock, metrics: Metrics, seed: str = "") -> None:
        self._clock = clock
        self._metrics = metrics
        self._backoff = Backoff(0.2, 5.0, jitter=random.Random(seed))  # noqa: S311

    async def until_done(self, sink: str, operation: Callable[[], Awaitable[_T]], *, kind: str = WRITES) -> _T:
        """The operation's result, after as many attempts as it takes; the operation must be harmless to repeat.

        Any error but SinkUnavailable passes through. A cancelled wait ends the outage that it reported, unless other
        operations wait for the same store.
        """
        failures = 0
        try:
            while True:
                try:
                    return await self.once(sink, operation(), kind=kind)
                except SinkUnavailable:
                    failures += 1
                    if failures == 1:
                        self._metrics.waits(sink, kind, 1)
                    await self._clock.sleep(self._backoff.after_s(failures))
        finally:
            if failures and not self._metrics.waits(sink, kind, -1):
                self.worked(sink, kind=kind)

    async def once(self, sink: str, operation: Awaitable[_T], *, kind: str = WRITES) -> _T:
        """The result of one attempt, its success or failure reported."""
        try:
            result = await operation
        except SinkUnavailable as error:
            self.failed(sink, error, kind=kind)
            raise
        except (LeaseLost, PositionMoved):
            self.worked(sink, kind=kind)
            raise
        self.worked(sink, kind=kind)
        return result

    def failed(self, sink: str, error: Exception, *, kind: str = WRITES) -> None:
        """Report a failure."""
        if self._metrics.sink_failed(sink, kind):
            _log.warning("sink.down", sink=sink, error=str(error))

    def worked(self, sink: str, *, kind: str = WRITES) -> None:
        """Report a success."""
        down_s = self._metrics.sink_worked(sink, kind)
        if down_s is not None:
            _log.info("sink.up", sink=sink, down_s=round(down_s, 1))
