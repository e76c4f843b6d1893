"""Reads a shard by polling: paced reads, back-off with jitter, a new iterator after one expires."""

from dataclasses import dataclass

from ingest.batch import ShardId
from ingest.kinesis.answer_size import AnswerSize
from ingest.kinesis.protocol import (
    SMALL_ANSWER_BYTES,
    AnswerTooLarge,
    IteratorExpired,
    NoTurn,
    Records,
    ShardGone,
    Start,
    StreamClient,
    StreamUnavailable,
    Turn,
)
from ingest.kinesis.trouble import Trouble
from ingest.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Read limits of one shard: reads and bytes per second (0 is unlimited), and the pause at its tip."""

    reads_per_s: float = 5.0
    bytes_per_s: float = 2_000_000.0
    burst_bytes: float = 10_000_000.0
    idle_wait_s: float = 0.25


class ShardCursor:
    """A ShardReader that polls.

    Promises
    - All of ShardReader's.
    - Stays within `limits`. `wait_s` says how long until the next read, so that a caller can do other work meanwhile.
    - Returns with `turn` begun, unless the answer is small, and holds it in no wait.
    """

    def __init__(
        self,
        stream: StreamClient,
        shard_id: ShardId,
        start: Start,
        *,
        clock: Clock,
        limits: ReadLimits,
        trouble: Trouble | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.shard_id = shard_id
        self.trouble = trouble or Trouble(shard_id, clock)
        self._stream = stream
        self._start = start
        self._clock = clock
        self._limits = limits
        self._turn = turn or NoTurn()
        self._size = AnswerSize()
        self._iterator: str | None = None
        self._next_read_s = 0.0
        self._allowance = limits.burst_bytes
        self._refilled_s = clock.monotonic_s()

    @property
    def wait_s(self) -> float:
        """Seconds until the next read is within the limits."""
        return max(0.0, self._next_read_s - self._clock.monotonic_s())

    async def read(self) -> Records:
        """The next response, after as many attempts as it takes."""
        renewed = False
        while True:
            await self._clock.sleep(self.wait_s)
            try:
                answer = await self._try()
            except StreamUnavailable as error:
                expired = isinstance(error, IteratorExpired)
                if expired:
                    self._iterator = None
                if not expired or renewed:
                    await self._clock.sleep(self.trouble.note(error))
                renewed = expired
            except ShardGone:
                self._iterator = None
                raise
            else:
                self.trouble.over()
                self._moved(answer)
                return answer

    def close(self) -> None:
        """Nothing is held between reads."""

    async def _try(self) -> Records:
        try:
            answer = await self._ask()
            if answer.bytes_read > SMALL_ANSWER_BYTES:
                await self._turn.begin()
        except BaseException:
            self._turn.end()
            raise
        return answer

    async def _ask(self) -> Records:
        while True:
            if self._iterator is None:
                self._iterator = await self._stream.get_shard_iterator(self.shard_id, self._start)
            try:
                return await self._stream.get_records(self._iterator, self._size.limit, turn=self._turn)
            except AnswerTooLarge as error:
                self._turn.end()
                self._size.shrink(error)

    def _moved(self, answer: Records) -> None:
        self._iterator = answer.next_iterator
        if answer.records:
            self._start = Start.after(answer.records[-1].sequence_number)
        self._size.learn(answer)
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
