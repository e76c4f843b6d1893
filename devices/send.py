"""Sends a source's records through a producer, at full speed or paced."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from devices.outgoing import Outgoing
from devices.pace import Pacer
from producer import ProducerReport

Progress = Callable[[int], None]
"""Called with the number of records that the producer just took."""


class Sink(Protocol):
    """Where records go: a Producer, or a fleet's connections to the gateway.

    Promises
    - After `flush` every record of `put` is where it should be, or an error was raised. One device's stay in order.
    """

    report: ProducerReport

    def put(self, records: Iterable[tuple[str, bytes]]) -> None: ...
    def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent and accepted. bytes counts user records; rate is records per second."""

    records: int
    kinesis_records: int
    bytes: int
    seconds: float
    throttled: int
    failed_calls: int

    @property
    def rate(self) -> float:
        """Records per second over the whole run."""
        return self.records / self.seconds if self.seconds > 0 else 0.0

    def report(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {**asdict(self), "seconds": round(self.seconds, 3), "rate": round(self.rate, 1)}


def send(
    source: Iterable[Outgoing], producer: Sink, *, rate: float | None, progress: Progress = lambda _: None
) -> Sent:
    """Send all records and wait until they are accepted. rate: times real time; None is full speed."""
    began_s = time.monotonic()
    for part in source if rate is None else _paced(source, Pacer(rate), producer.flush):
        producer.put(zip(part.keys, part.payloads, strict=True))
        progress(len(part))
    producer.flush()
    done = producer.report
    return Sent(
        done.records, done.kinesis_records, done.bytes, time.monotonic() - began_s, done.throttled, done.failed_calls
    )


def iso_ms(ms: int | None) -> str | None:
    """Epoch milliseconds as RFC 3339 in UTC."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _paced(source: Iterable[Outgoing], pacer: Pacer, flush: Callable[[], None]) -> Iterator[Outgoing]:
    for outgoing in source:
        yield from pacer.parts(outgoing, flush)
