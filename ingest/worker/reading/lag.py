"""A shard's lag and the share of the stream's retention that it uses, also while nothing is read."""

import math

import structlog

from ingest.kinesis.protocol import Records
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import Metrics
from ingest.worker.reading.retention import Horizon

_ALARM_AT = 0.5
_FRESH_MS = 10_000
"""A healthy stream answers within this, pushed answers included; an older answer is out of date."""
_MEMORY_MS = 300_000
_log = structlog.get_logger()


class Watch:
    """Keeps a shard's gauges right while its reader works, fails or pauses.

    The lag of the last answer grows with the worker's own clock, so a reader that fails or pauses is seen to fall
    behind. Before the first answer, the age of the committed position is the lag.
    """

    def __init__(self, horizon: Horizon, metrics: Metrics, clock: Clock) -> None:
        self._horizon = horizon
        self._metrics = metrics
        self._clock = clock
        self._arrivals = Arrivals()
        self._at_s = clock.monotonic_s()
        self._stream_ms = clock.wall_ms()
        self._behind_ms: int | None = None
        self._alarmed = False

    def answered(self, answer: Records) -> None:
        """Note an answer that the stream just gave."""
        self._at_s = self._clock.monotonic_s()
        self._stream_ms, self._behind_ms = answer.latest_ms, answer.millis_behind_latest
        if answer.records:
            self._arrivals.begin(answer.records[0].arrival_ms)
        elif answer.millis_behind_latest == 0:
            self._arrivals.count(0, answer.response_ms)

    def arrived(self, records: int, until_ms: int) -> None:
        """Count user records that were read; the last of them arrived at `until_ms`."""
        self._arrivals.count(records, until_ms)

    def show(self) -> None:
        """Set the gauges."""
        passed_ms = (self._clock.monotonic_s() - self._at_s) * 1000
        shard, metrics = self._horizon.shard_id, self._metrics
        used = self._horizon.used(self._stream_ms + round(passed_ms))
        metrics.horizon.labels(shard).set(used)
        if used >= _ALARM_AT and not self._alarmed:
            _log.error("stream.retention", shard=shard, used=round(used, 2))
        self._alarmed = used >= _ALARM_AT
        lag_ms = self._lag_ms(passed_ms)
        if lag_ms is not None:
            metrics.lag.labels(shard).set(lag_ms)
            metrics.lag_records.labels(shard).set(round(lag_ms * self._arrivals.per_ms))

    def _lag_ms(self, passed_ms: float) -> float | None:
        """The lag; None while it is unknown: no answer yet, and nothing read before."""
        behind_ms = self._behind_ms
        if passed_ms < _FRESH_MS:
            return behind_ms
        if behind_ms is None:
            known_ms = self._horizon.known_ms
            behind_ms = max(0, self._stream_ms - known_ms) if known_ms else None
        return None if behind_ms is None else behind_ms + passed_ms


class Arrivals:
    """The rate at which records arrive, not at which they are read: by arrival times, smoothed over five minutes."""

    def __init__(self) -> None:
        self._until_ms = 0
        self._records = 0.0
        self._span_ms = 0.0

    def begin(self, at_ms: int) -> None:
        """Start to count at this arrival time."""
        self._until_ms = self._until_ms or at_ms

    def count(self, records: int, until_ms: int) -> None:
        """Count records that arrived between the end of the last count and `until_ms`."""
        span_ms = max(0, until_ms - (self._until_ms or until_ms))
        keep = math.exp(-span_ms / _MEMORY_MS)
        self._records = keep * self._records + records
        self._span_ms = keep * self._span_ms + span_ms
        self._until_ms = max(self._until_ms, until_ms)

    @property
    def per_ms(self) -> float:
        """Records a millisecond; a span below one second counts as one second."""
        return self._records / max(self._span_ms, 1_000.0)
