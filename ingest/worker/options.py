"""A worker's options, and the stores and helpers that it is built from."""

from dataclasses import dataclass, field

from contracts.errors import Misuse
from contracts.settings import RegionSettings
from ingest.batch import Decoder
from ingest.kinesis.cursor import ReadLimits
from ingest.kinesis.fan_out import FanOut
from ingest.kinesis.protocol import StreamClient
from ingest.landing import ObjectStore
from ingest.leases.protocol import Leases
from ingest.live.protocol import LiveState
from ingest.runtime.clock import Clock, SystemClock
from ingest.runtime.metrics import Metrics
from ingest.runtime.offload import Offload, inline
from ingest.suppression import NoSuppression, Suppression
from ingest.worker.handling.records import Handling
from ingest.worker.handling.unpacked import Unpacking
from ingest.worker.reading.start import start_ms_of
from ingest.worker.reading.trial import Trial

_MIB = 1024 * 1024
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker behaves. Times in seconds, sizes in bytes."""

    flush_rows: int = 500_000
    flush_bytes: int = 128 * _MIB
    flush_age_s: float = 60.0
    buffer_bytes: int = 320 * _MIB
    open_hours: int = 6
    lease_ttl_s: float = 10.0
    discover_every_s: float = 10.0
    watermark_every_s: float = 15.0
    watermark_behind_ms: int = 60_000
    sweep_every_s: float = 600.0
    sweep_all_every_s: float = 21_600.0
    stop_within_s: float = 22.0
    """How long an ending worker flushes, commits and releases; the rest is read again."""
    live_unseen_ms: int = 30 * _DAY_MS
    """Live state forgets devices that nothing arrived of for so long, so a rebuild skips older records."""
    look_every_s: float = 0.25
    """How often a worker checks what becomes due by time alone: a flush by age, the end, idleness."""
    workers: int = 1
    """How many workers are expected at the start; each leaves the others their fair share of free shards."""
    until_idle: bool = False
    start_ms: int = 0
    """Where the first reading of a stream starts: 0 is the oldest record, LATEST_MS what arrives from the worker's own
    start on, else the first record that arrived then."""
    limits: ReadLimits = field(default_factory=ReadLimits)
    packings: frozenset[str] = frozenset()
    """What the decoder unpacks besides KPL aggregates: see contracts.packing."""

    @classmethod
    def of(cls, settings: RegionSettings, *, workers: int = 1, until_idle: bool = False) -> "Options":
        """The options of the settings."""
        return cls(
            flush_rows=settings.flush_rows,
            flush_bytes=settings.flush_mib * _MIB,
            flush_age_s=settings.flush_age_s,
            buffer_bytes=settings.buffer_mib * _MIB,
            open_hours=settings.open_hours,
            lease_ttl_s=settings.lease_ttl_s,
            live_unseen_ms=settings.live_unseen_days * _DAY_MS,
            workers=workers,
            until_idle=until_idle,
            start_ms=start_ms_of(settings.start),
            packings=settings.packings,
            limits=ReadLimits(reads_per_s=settings.shard_reads_s, bytes_per_s=settings.shard_mb_s * 1e6),
        )


@dataclass(slots=True)
class Parts:
    """What a worker is built from; ingest.worker.compose hands each part to its users. Every store is a protocol, and
    everything timed uses `clock`. Raises Misuse where a part lacks a method: it might be called only hours later."""

    stream: StreamClient
    leases: Leases
    store: ObjectStore
    live: LiveState | None
    decoder: Decoder
    fan_out: FanOut | None = None
    """Where given, shards are read by enhanced fan-out; all other requests go to `stream`."""
    clock: Clock = field(default_factory=SystemClock)
    decoding: Offload = inline
    """At most one thread: decoders are not thread-safe."""
    trial: Trial | None = None
    """Where given, it finds the record for which workers lose a shard one after another."""
    encoding: Offload = inline
    metrics: Metrics = field(default_factory=Metrics)
    suppression: Suppression = field(default_factory=NoSuppression)
    """What the decoder and live state leave out."""
    restriction: Suppression = field(default_factory=NoSuppression)
    """What live state alone leaves out: devices that are landed and not shown."""
    handling: Handling | None = None
    """Where given, records go to this handler instead of landing; the decoder is then Unpacking(), live None."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        _require(self.stream, StreamClient)
        _require(self.leases, Leases)
        _require(self.store, ObjectStore)
        _require(self.decoder, Decoder)
        if self.live is not None:
            _require(self.live, LiveState)
        if self.handling is not None and (self.live is not None or not isinstance(self.decoder, Unpacking)):
            raise Misuse("a handler takes records as they are: give the worker decoder=Unpacking() and live=None")


def _require(part: object, protocol: type) -> None:
    promised = {name for kind in protocol.__mro__ for name in vars(kind) if not name.startswith("_")}
    if missing := sorted(name for name in promised if not hasattr(part, name)):
        raise Misuse(f"{type(part).__name__} lacks {', '.join(missing)}: see {protocol.__module__}.{protocol.__name__}")
