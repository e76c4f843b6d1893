"""A place in a shard that moves on: paced reads, back-off with jitter, new iterators for expired ones."""

import random
from dataclasses import dataclass

import structlog

from contracts.errors import FleetlakeError
from ingest.batch import ShardId
from ingest.clock import Clock
from ingest.kinesis.protocol import IteratorExpired, Records, Start, StreamClient, StreamUnavailable, Throttled

_log = structlog.get_logger()
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """A shard's share: reads and bytes a second (0 is without limit), and how long to rest at its tip."""

    reads_per_s: float = 5.0
    bytes_per_s: float = 2_000_000.0
    burst_bytes: float = 10_000_000.0
    idle_wait_s: float = 0.25


class ShardCursor:
    """A ShardReader that polls.

    Promises
    - All of ShardReader's.
    - Stays below `limits`, and lets `wait_s` tell how long that is, so that a caller can do other things meanwhile.
    """

    def __init__(
        self, stream: StreamClient, shard_id: ShardId, start: Start, *, clock: Clock, limits: ReadLimits, seed: int = 0
    ) -> None:
        self.shard_id = shard_id
        self.throttled = 0
        self.failing_since_s: float | None = None
        self.last_error = ""
        self._stream = stream
        self._start = start
        self._clock = clock
        self._limits = limits
        self._jitter = random.Random(f"{seed}/{shard_id}")  # noqa: S311
        self._iterator: str | None = None
        self._next_read_s = 0.0
        self._allowance = limits.burst_bytes
        self._refilled_s = clock.monotonic_s()

    @property
    def wait_s(self) -> float:
        """Seconds until the next read is within the limits."""
        return max(0.0, self._next_read_s - self._clock.monotonic_s())

    async def read(self) -> Records:
        """The next answer, after as many tries as it takes."""
        failures = 0
        while True:
            await self._clock.sleep(self.wait_s)
            try:
                answer = await self._try()
            except IteratorExpired:
                self._iterator = None
            except StreamUnavailable as error:
                failures += 1
                self._note(error)
                await self._clock.sleep(self._back_off_s(failures))
            else:
                self.failing_since_s = None
                self._moved(answer)
                return answer

    def close(self) -> None:
        """Nothing is held between reads."""

    async def _try(self) -> Records:
        if self._iterator is None:
            self._iterator = await self._stream.get_shard_iterator(self.shard_id, self._start)
        return await self._stream.get_records(self._iterator)

    def _moved(self, answer: Records) -> None:
        self._iterator = answer.next_iterator
        if answer.records:
            self._start = Start.after(answer.records[-1].sequence_number)
        self._pace(answer)

    def _pace(self, answer: Records) -> None:
        now_s = self._clock.monotonic_s()
        rest_s = 1.0 / self._limits.reads_per_s if self._limits.reads_per_s else 0.0
        if not answer.records and answer.millis_behind_latest == 0:
            rest_s = max(rest_s, self._limits.idle_wait_s)
        if self._limits.bytes_per_s:
            refill = (now_s - self._refilled_s) * self._limits.bytes_per_s
            allowance = min(self._limits.burst_bytes, self._allowance + refill) - answer.bytes_read
            self._allowance = max(-self._limits.burst_bytes, allowance)
            rest_s = max(rest_s, -self._allowance / self._limits.bytes_per_s)
        self._refilled_s = now_s
        self._next_read_s = now_s + rest_s

    def _note(self, error: FleetlakeError) -> None:
        self.throttled += isinstance(error, Throttled)
        self.last_error = str(error)
        if self.failing_since_s is None:
            self.failing_since_s = self._clock.monotonic_s()
            _log.warning("stream.unavailable", shard=self.shard_id, error=str(error))

    def _back_off_s(self, failures: int) -> float:
        return self._jitter.uniform(0.5, 1.0) * min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures, 10))
