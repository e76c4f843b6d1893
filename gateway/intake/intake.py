"""Hands messages to the stream, within a budget of memory, and counts what is acknowledged."""

import time
from collections.abc import Callable, Sequence

from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.record import MAX_RECORD_BYTES
from gateway.identity.model import Identity
from gateway.intake.payload import check_record, records_of
from gateway.metrics import Metrics
from gateway.refusals import Refusal, Refused
from producer import ReceiptProducer

Answer = Callable[[Refused | None], None]
"""Called once the stream has all records of a message (None), or will not have them (why)."""
_RESUME_AT = 0.75
"""Reading resumes once the held bytes are below this share of the budget."""
_A_PUT = MAX_RECORD_BYTES
"""Records of one device that lie in one aggregate: larger messages are put in parts, in order."""


class Intake:
    """One process's way onto the stream.

    Promises
    - An answer without refusal is given only once the stream has every record of the message.
    - `full` is set while the process holds more than its budget: nobody reads then. What was read is still taken.
    """

    def __init__(
        self,
        producer: ReceiptProducer,
        budget_bytes: int,
        metrics: Metrics,
        say: Callable[[Refused], None] = lambda refused: None,
    ) -> None:
        """say: told of each message that the stream will not have."""
        self.acknowledged = 0
        """User records whose senders were told, or are told now, that the stream has them."""
        self._producer = producer
        self._budget = budget_bytes
        self._metrics = metrics
        self._say = say
        self._resumed: list[Callable[[], None]] = []
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether no more should be read."""
        return self._closed or self._producer.held_bytes >= self._budget

    @property
    def held_bytes(self) -> int:
        """Payload without an answer."""
        return self._producer.held_bytes

    async def close(self) -> None:
        """Have no more read, and wait until what is under way is answered."""
        self._closed = True
        await self._producer.drain()

    def when_resumed(self, resume: Callable[[], None]) -> None:
        """Call this once there is room again."""
        self._resumed.append(resume)

    def offer(
        self,
        identity: Identity,
        payload: bytes,
        answer: Answer,
        *,
        acknowledges: bool = True,
        split: Callable[[bytes], list[bytes]] = records_of,
    ) -> None:
        """Put a message's records, all of which must be the sender's to send. Raises Refused, and puts nothing then.

        acknowledges: whether the answer reaches the sender (QoS 0 has none). split: takes the payload apart.
        """
        records = split(payload)
        for record in records:
            check_record(record, identity)
        self.put(identity, records, answer, acknowledges=acknowledges)

    def put(self, identity: Identity, records: Sequence[bytes], answer: Answer, *, acknowledges: bool = True) -> None:
        """Put records that were checked."""
        parts = _parts(records)
        waiting, began, refused = len(parts), time.perf_counter(), None

        def receive(error: FleetlakeError | None) -> None:
            nonlocal waiting, refused
            waiting -= 1
            refused = refused or (None if error is None else _refused(error))
            if not waiting:
                self._count(len(records), refused, acknowledges, time.perf_counter() - began)
                answer(refused)
            self._resume()

        for part in parts:
            self._producer.put(identity.device_id, part, receive)

    def _count(self, records: int, refused: Refused | None, acknowledges: bool, seconds: float) -> None:
        if refused is not None:
            self._metrics.refused.labels(refused.refusal.label).inc()
            self._say(refused)
        elif acknowledges:
            self.acknowledged += records
            self._metrics.acknowledged.inc(records)
            self._metrics.acknowledge_seconds.observe(seconds)
        else:
            self._metrics.unacknowledged.inc(records)

    def _resume(self) -> None:
        if self._resumed and not self._closed and self._producer.held_bytes < self._budget * _RESUME_AT:
            waiting, self._resumed = self._resumed, []
            for resume in waiting:
                resume()


def _parts(records: Sequence[bytes]) -> list[list[bytes]]:
    """The records in parts of at most 64 KiB, in order."""
    parts: list[list[bytes]] = [[]]
    size = 0
    for record in records:
        if parts[-1] and size + len(record) > _A_PUT:
            parts.append([])
            size = 0
        parts[-1].append(record)
        size += len(record)
    return parts


def _refused(error: FleetlakeError) -> Refused:
    refusal = Refusal.STREAM_AWAY if type(error) is StoreUnavailable else Refusal.STREAM_REFUSES
    return Refused(refusal, str(error))
