"""Detects whether the stream trimmed records before they were read."""

from dataclasses import dataclass

import structlog

from ingest.kinesis.protocol import Records, ShardGone, Start, StreamClient, StreamDescription, StreamUnavailable
from ingest.kinesis.trouble import Trouble
from ingest.runtime.clock import Clock
from ingest.worker.reading.start import same_stream

SHORTEST_MS = 24 * 3_600_000
"""A stream keeps its records for at least a day; a longer retention can be changed at any time."""
_APPROXIMATE_MS = 60_000
"""How much earlier than the truth a record's approximate arrival, by which the stream trims, may be."""
_BETWEEN_READS_S = 0.2
"""A shard allows five reads a second."""
_LEAP_MS = 100
"""Between arrivals this close, no record was trimmed."""
_log = structlog.get_logger()


class Retention:
    """The stream's retention in milliseconds: the current one, and the shortest seen. Of one stream: see `observed`."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self._created_ms = 0
        self.shortest_ms = min(now_ms or SHORTEST_MS, SHORTEST_MS)

    def observed(self, stream: StreamDescription) -> None:
        """Note what the stream describes. Raises StreamReplaced where it is another one than before."""
        same_stream(stream.created_ms, self._created_ms)
        self._created_ms = self._created_ms or stream.created_ms
        retention_ms = stream.retention_ms
        if self.now_ms not in (0, retention_ms):
            _log.warning("stream.retention_changed", before_ms=self.now_ms, now_ms=retention_ms)
        self.now_ms = retention_ms
        self.shortest_ms = min(self.shortest_ms, retention_ms)

    async def ask(self, stream: StreamClient) -> None:
        """Ask the stream; without an answer, the next call asks again."""
        try:
            self.observed(await stream.describe())
        except StreamUnavailable as error:
            _log.info("stream.not_described", error=str(error))


@dataclass(slots=True)
class Horizon:
    """Watches the age of the oldest unread record of a shard.

    known_ms: everything that arrived earlier has been read, as far as arrival times tell; 0 is unknown.
    trouble: records the failures of a look back.
    position: the last record read. While the stream has it, it also has every later record.
    """

    shard_id: str
    retention: Retention
    known_ms: int
    position: str
    clock: Clock
    trouble: Trouble

    async def check(self, stream: StreamClient, answer: Records) -> bool:
        """Whether the stream trimmed records before this answer. Moves on with the answer.

        It did where it no longer has the record at the position. An answer without records that is behind tells
        nothing, as Kinesis gives such answers at any time: the first record, or the tip, will.
        """
        if not answer.records and answer.millis_behind_latest > 0:
            return False
        trimmed = self._in_doubt(answer) and not await self._still_there(stream)
        if answer.records:
            self.known_ms = answer.records[-1].arrival_ms
            self.position = answer.records[-1].sequence_number
        elif answer.millis_behind_latest == 0:
            self.known_ms = max(self.known_ms, answer.response_ms)
        return trimmed

    def used(self, now_ms: int) -> float:
        """Age of the oldest unread record over the retention. now_ms: the stream's time."""
        if not self.known_ms or not self.retention.now_ms:
            return 0.0
        return max(0, now_ms - self.known_ms) / self.retention.now_ms

    def _in_doubt(self, answer: Records) -> bool:
        """Whether only a look back can tell.

        The retention may have been shorter for a while, so a position a day old is in doubt whatever the retention is
        now; but not where nothing was read yet (there is no record to look for), nor where arrivals have no gap.
        """
        if not self.known_ms:
            return False
        age_ms = answer.latest_ms - self.known_ms + _APPROXIMATE_MS
        if age_ms > self.retention.now_ms:
            return True
        return bool(self.position) and age_ms > self.retention.shortest_ms and self._leaps(answer)

    def _leaps(self, answer: Records) -> bool:
        return not answer.records or answer.records[0].arrival_ms - self.known_ms > _LEAP_MS

    async def _still_there(self, stream: StreamClient) -> bool:
        """Whether the stream still has the record at the position, and so every later one."""
        while self.position:
            try:
                oldest = await self._oldest_from(stream, self.position)
            except ShardGone:
                break
            except StreamUnavailable as error:
                await self.clock.sleep(self.trouble.note(error))
            else:
                self.trouble.over()
                return oldest == self.position
        return False

    async def _oldest_from(self, stream: StreamClient, position: str) -> str:
        """Sequence number of the oldest record from the position on; empty where there is none up to the tip."""
        iterator: str | None = await stream.get_shard_iterator(self.shard_id, Start.at(position))
        while iterator is not None:
            answer = await stream.get_records(iterator, 1)
            if answer.records:
                return answer.records[0].sequence_number
            if answer.millis_behind_latest == 0:
                break
            iterator = answer.next_iterator
            await self.clock.sleep(_BETWEEN_READS_S)
        return ""
