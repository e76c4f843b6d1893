"""Failures of one shard's reader: back-off, metrics and log."""

import random

import structlog

from ingest.batch import ShardId
from ingest.kinesis.protocol import StreamUnavailable, Throttled
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import STREAM, Metrics
from ingest.runtime.retry import Backoff

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 10.0
_PATIENCE_S = 10.0
_log = structlog.get_logger()


class Trouble:
    """Consecutive failures of one shard's reader.

    Promises
    - Metrics show the stream as down from the first failure until `over`. A failure that a healthy stream has now and
      then, such as throttling, counts once it has lasted ten seconds.
    - The log records when failures begin, when their kind changes, and when they end.
    """

    def __init__(self, shard_id: ShardId, clock: Clock, metrics: Metrics | None = None, *, seed: int = 0) -> None:
        self.throttled = 0
        self.since_s: float | None = None
        self._shard_id = shard_id
        self._clock = clock
        self._metrics = metrics
        self._failures = 0
        self._kind: type[StreamUnavailable] | None = None
        self._jitter = random.Random(f"{seed}/{shard_id}")  # noqa: S311

    def note(self, error: StreamUnavailable, *, first_s: float = _FIRST_WAIT_S) -> float:
        """Note one more failure. Returns seconds to wait before the next attempt, from `first_s` up, with jitter."""
        self._failures += 1
        now_s = self._clock.monotonic_s()
        since_s = self.since_s = now_s if self.since_s is None else self.since_s
        throttled = isinstance(error, Throttled)
        self.throttled += throttled
        if type(error) is not self._kind:
            self._kind = type(error)
            _log.warning("stream.unavailable", shard=self._shard_id, kind=self._kind.__name__, error=str(error))
        if self._metrics is not None:
            self._metrics.throttled.labels(self._shard_id).inc(throttled)
            if not error.passing or now_s - since_s >= _PATIENCE_S:
                self._metrics.sink_failed(STREAM, self._shard_id, since_s=since_s)
        return Backoff(first_s, _LONGEST_WAIT_S, jitter=self._jitter).after_s(self._failures)

    def over(self) -> None:
        """Note that the stream has answered."""
        if self.since_s is None:
            return
        _log.info("stream.answers", shard=self._shard_id, down_s=round(self._clock.monotonic_s() - self.since_s, 1))
        self.since_s, self._kind, self._failures = None, None, 0
        if self._metrics is not None:
            self._metrics.sink_worked(STREAM, self._shard_id)
