"""Finds the record for which workers lose a shard one after another."""

from collections.abc import Sequence

import structlog

from contracts.errors import FleetlakeError
from contracts.ledger import LeaseRow
from ingest.batch import Batch, Decoder, KinesisRecord
from ingest.leases.protocol import Ledger
from ingest.runtime.metrics import LEASES, READS
from ingest.runtime.retry import Retry
from ingest.worker.reading.decoding import decode_in_hours, poisoned
from ingest.worker.reading.trial import Trial

_MOST_TAKES = 3
"""A shard that was taken so often since its last commit is suspected."""
_SHARE_OF_TTL = 0.25
_log = structlog.get_logger()


class TooSlow(FleetlakeError):
    """A record takes longer to decode than a part of the lease's TTL, or ends the process that decodes it."""


class Suspicion:
    """Whether a shard may hold such a record, and which it is.

    A worker that loses its lease while it decodes cannot tell anyone why, and one that dies of a record cannot either.
    The fence tells: it grows with each take, and the ledger's last entry says what it was at the last commit. After
    three takes without a commit, records are tried in another process until this worker has committed.
    """

    def __init__(
        self, lease: LeaseRow, ledger: Ledger, trial: Trial | None, retry: Retry, *, lease_ttl_s: float
    ) -> None:
        self._lease = lease
        self._ledger = ledger
        self._trial = trial
        self._retry = retry
        self._within_s = _SHARE_OF_TTL * lease_ttl_s
        self._suspected: bool | None = None if trial is not None and lease.fence > _MOST_TAKES else False

    async def failing(self, records: Sequence[KinesisRecord], position: str) -> frozenset[int]:
        """Places of the records to set aside. position: up to where the shard is committed now."""
        if self._suspected is None:
            self._suspected = await self._taken_often()
        if not self._suspected or self._trial is None or position != self._lease.position:
            return frozenset()
        _log.warning("shard.suspected", shard=self._lease.shard_id, fence=self._lease.fence, records=len(records))
        found = await self._trial.failing(records, self._within_s)
        for place in sorted(found):
            _log.error("record.slow", shard=self._lease.shard_id, sequence=records[place].sequence_number)
        return found

    async def _taken_often(self) -> bool:
        lease = self._lease
        if not lease.position:
            return True

        async def last() -> int:
            entry = await self._ledger.find(lease.shard_id, lease.position)
            return lease.fence if entry is None else entry.fence

        return lease.fence - await self._retry.until_done(LEASES, last, kind=READS) > _MOST_TAKES


def decode_without(
    decoder: Decoder, shard_id: str, records: Sequence[KinesisRecord], open_hours: int, failing: frozenset[int]
) -> list[Batch]:
    """The records decoded, in order, as `decode_in_hours` does it; those at the failing places are set aside."""
    if not failing:
        return decode_in_hours(decoder, shard_id, records, open_hours)
    version = decoder.suppression_version
    batches: list[Batch] = []
    start = 0
    for place in [*sorted(failing), len(records)]:
        if place > start:
            batches += decode_in_hours(decoder, shard_id, records[start:place], open_hours)
        if place < len(records):
            batches.append(poisoned(shard_id, records[place], TooSlow(), version))
        start = place + 1
    return batches
