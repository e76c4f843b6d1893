"""The consumer's Prometheus metrics. Their names are stable: dashboards and alarms rely on them."""

from collections import Counter as Counts

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ingest.batch import MAX_UNKNOWN_NAMES, OTHER_NAMES
from ingest.runtime.clock import Clock, SystemClock

_FLUSH_ROWS = (100, 1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)
_FLUSH_BYTES = tuple(2**exponent for exponent in range(12, 30, 2))
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

LANDING, LIVE, LEASES, STREAM, HANDLER = "landing", "live", "leases", "stream", "handler"
"""What may be down, as the label `sink` names it: the remote stores, and the handler of a library's user."""
READS, WRITES = "reads", "writes"
"""Kinds of request to a store: one may fail while the other works, as where writes are throttled or denied."""


class Metrics:
    """One worker's metrics, in a registry of their own."""

    def __init__(self, region: str = "", worker: str = "", clock: Clock | None = None) -> None:
        self.registry = CollectorRegistry()
        self._failing: dict[str, dict[str, float]] = {}
        self._waiting: Counts[tuple[str, str]] = Counts()
        self._clock = clock or SystemClock()
        self._unknown_names: set[str] = set()
        self._define_reading()
        self._define_delivery()
        self._define_state()
        self.worker.labels(region, worker).set(1)

    def _define_reading(self) -> None:
        self.lag = self._gauge("lag_ms", "Behind the newest record of the shard, in milliseconds.", "shard")
        self.lag_records = self._gauge(
            "lag_records", "User records behind, estimated: lag times the rate of arrival.", "shard"
        )
        self.records = self._counter("kinesis_records_total", "Kinesis records read.", "shard")
        self.user_records = self._counter("user_records_total", "User records read, aggregates taken apart.", "shard")
        self.bytes = self._counter("read_bytes_total", "Bytes of the stream's answers.", "shard")
        self.throttled = self._counter("throttled_total", "Reads that the stream refused as too many.", "shard")
        self.reads = self._counter("reads_total", "Answers of the stream, those without records included.", "shard")
        self.rejected = self._counter("rejected_total", "User records that cannot be placed.", "reason")
        self.suppressed = self._counter("suppressed_total", "User records of erased devices.")
        self.unknown = self._counter("unknown_fields_total", "Fields that the contract does not know.", "field")
        self.horizon = self._gauge(
            "retention_used_ratio", "Age of the oldest unread record over the stream's retention.", "shard"
        )
        self.trimmed = self._counter("lost_total", "Times that the stream had trimmed what was not read.", "shard")

    def _define_delivery(self) -> None:
        self.landed = self._counter("landed_total", "User records whose landing was committed.", "shard")
        self.handled = self._counter("handled_total", "User records whose handling was committed.", "shard")
        self.handler_errors = self._counter("handler_errors_total", "Calls of a handler that raised.", "error")
        self.objects = self._counter("objects_total", "Objects that the ledger lists.", "kind")
        self.flush_rows = self._histogram("flush_rows", "User records of a flush.", _FLUSH_ROWS)
        self.flush_bytes = self._histogram("flush_bytes", "Bytes of a flush's objects.", _FLUSH_BYTES)
        self.flush_seconds = self._histogram("flush_seconds", "From sealing a buffer to its commit.", _SECONDS)
        self.live_rows = self._counter("live_rows_total", "Records offered to live state and taken.")
        self.live_seconds = self._histogram("live_seconds", "From decoding to live state.", _SECONDS)
        self.live_pending = self._gauge("live_pending_rows", "Records that live state has not taken yet.")
        self.live_refused = self._counter("live_refused_total", "Records that live state does not take.", "error")
        self.live_dirty = self._gauge("live_dirty", "1 where live state missed records and must be rebuilt.")

    def _define_state(self) -> None:
        self.worker = self._gauge("worker", "1; who this worker is.", "region", "worker")
        self.shards = self._gauge("shards", "Shards that this worker owns.")
        self.failed_shards = self._gauge("failed_shards", "Shards that broke here and are not read again yet.")
        self.lease_events = self._counter("lease_events_total", "What happened to leases.", "event")
        self.buffer_bytes = self._gauge("buffer_bytes", "Decoded records held, not committed yet.")
        self.buffer_limit = self._gauge("buffer_limit_bytes", "Where reading pauses.")
        self.paused = self._gauge("reading_paused", "1 while the buffers are full and reading pauses.")
        self.down = self._gauge("sink_down_seconds", "For how long a remote part has been down; 0 is up.", "sink")
        self.watermark = self._gauge("watermark_ms", "The shard's watermark, epoch milliseconds.", "shard")

    @property
    def down_since_s(self) -> dict[str, float]:
        """The stores that are down, each with the clock's time since when."""
        return {sink: min(kinds.values()) for sink, kinds in self._failing.items()}

    def sink_failed(self, sink: str, kind: str = WRITES, *, since_s: float | None = None) -> bool:
        """Note that a store failed, now or at `since_s`; True where it was up before.

        kind: what failed: reads, writes, or the reading of one shard.
        """
        fresh = sink not in self._failing
        self._failing.setdefault(sink, {}).setdefault(kind, self._clock.monotonic_s() if since_s is None else since_s)
        return fresh

    def sink_worked(self, sink: str, kind: str = WRITES) -> float | None:
        """Note that requests of this kind work; returns for how many seconds the store was down, now that it is up.

        None where the store was up already, or is still down for another kind.
        """
        kinds = self._failing.get(sink, {})
        if kind not in kinds:
            return None
        since_s = min(kinds.values())
        del kinds[kind]
        if kinds:
            return None
        del self._failing[sink]
        return self._clock.monotonic_s() - since_s

    def waits(self, sink: str, kind: str, more: int) -> int:
        """Add `more` to the operations that wait for a failing store; returns their number."""
        self._waiting[sink, kind] += more
        return self._waiting[sink, kind]

    def down_s(self) -> dict[str, float]:
        """The stores that are down, each with for how many seconds."""
        now_s = self._clock.monotonic_s()
        return {sink: now_s - since_s for sink, since_s in self.down_since_s.items()}

    def unknown_field(self, name: str, times: int) -> None:
        """Count records with a field that the contract does not know. Devices choose the names: 1,000 at most."""
        names = self._unknown_names
        if name != OTHER_NAMES and len(names) < MAX_UNKNOWN_NAMES:
            names.add(name)
        self.unknown.labels(name if name in names else OTHER_NAMES).inc(times)

    def forget_shard(self, shard_id: str) -> None:
        """Remove the gauges and the outage of a shard that this worker released."""
        self.sink_worked(STREAM, shard_id)
        for gauge in (self.lag, self.lag_records, self.horizon, self.watermark):
            if (shard_id,) in gauge._metrics:
                gauge.remove(shard_id)

    def page(self) -> bytes:
        """The page that Prometheus scrapes."""
        down = self.down_s()
        for sink in (LANDING, LIVE, LEASES, STREAM, HANDLER):
            self.down.labels(sink).set(down.get(sink, 0.0))
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"fleetlake_ingest_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"fleetlake_ingest_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"fleetlake_ingest_{name}", text, buckets=buckets, registry=self.registry)
