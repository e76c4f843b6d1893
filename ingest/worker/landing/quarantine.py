"""Rows that cannot be encoded: found by bisection, read from the stream again as they were sent, and rejected alone."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pyarrow as pa
import structlog

from contracts.errors import QuarantineFailed
from contracts.kpl import BadAggregate
from contracts.packing import users_in
from contracts.record import REJECTED_SCHEMA
from ingest.batch import Batch, KinesisRecord
from ingest.bisection import Bisection
from ingest.kinesis import ShardGone, Start, StreamClient, StreamUnavailable
from ingest.landing import Pending
from ingest.runtime.clock import Clock
from ingest.runtime.metrics import STREAM, Metrics
from ingest.runtime.offload import Offload
from ingest.worker.reading.decoding import poison_row

_BETWEEN_TRIES_S = 0.5
_log = structlog.get_logger()


class Quarantine:
    """Takes what breaks the encoder apart, until the rows to blame are rejected alone."""

    def __init__(
        self,
        stream: StreamClient,
        encoding: Offload,
        clock: Clock,
        metrics: Metrics,
        packings: Collection[str] = (),
    ) -> None:
        self._packings = packings
        self._stream = stream
        self._encoding = encoding
        self._clock = clock
        self._metrics = metrics

    async def taken_apart(self, pending: Pending, error: Exception) -> list[Pending]:
        """What to encode instead of `pending`: two halves, each to be committed by itself, or, of a single batch, the
        batch without its poison. Raises QuarantineFailed.
        """
        batches, version = pending.batches, pending.decoder_version
        shard, last = batches[-1].shard_id, batches[-1].last_seq
        _log.warning("flush.broke", shard=shard, last_seq=last, batches=len(batches), error=type(error).__name__)
        if len(batches) == 1:
            return [Pending((await self._without_poison(batches[0], version),), version)]
        middle = len(batches) // 2
        return [Pending(batches[:middle], version), Pending(batches[middle:], version)]

    async def _without_poison(self, batch: Batch, decoder_version: int) -> Batch:
        """The batch with the rows that cannot be encoded moved to its rejected rows; all counts stay.

        Decoded rows do not hold the bytes that were sent, so these are read from the stream again. Raises
        QuarantineFailed where the stream no longer has them, or where rows fail only together; nothing is committed
        then.
        """
        failed: Mapping[int, Exception] = await self._encoding(_breaking_rows, batch, decoder_version)
        if not failed:
            raise QuarantineFailed(f"{batch.shard_id} up to {batch.last_seq}: rows encode alone but not together")
        rejected = [batch.rejected]
        for place, error in failed.items():
            rejected.append(await self._row_of(batch, place, error))
        kept = pa.array([place not in failed for place in range(batch.rows.num_rows)], pa.bool_())
        together = pa.Table.from_batches(rejected, REJECTED_SCHEMA).combine_chunks().to_batches()
        return replace(batch, rows=batch.rows.filter(kept), rejected=together[0])

    async def _row_of(self, batch: Batch, place: int, error: Exception) -> pa.RecordBatch:
        sequence = batch.rows.column("sequence_number")[place].as_py()
        sub = batch.rows.column("sub_sequence")[place].as_py()
        if sequence is None or sub is None:
            raise QuarantineFailed(
                f"{batch.shard_id} up to {batch.last_seq}: a row that cannot be encoded has no position"
            )
        record = await self._as_sent(batch.shard_id, sequence)
        _log.error(
            "record.poison", shard=batch.shard_id, sequence=sequence, sub=sub, step="encode", error=type(error).__name__
        )
        return poison_row(
            batch.shard_id, record, error, data=_user_bytes(record.data, sub, self._packings), sub_sequence=sub
        )

    async def _as_sent(self, shard_id: str, sequence: str) -> KinesisRecord:
        """The Kinesis record of that sequence number; waits while the stream is down."""
        while True:
            try:
                iterator: str | None = await self._stream.get_shard_iterator(shard_id, Start.at(sequence))
                while iterator is not None:
                    answer = await self._stream.get_records(iterator, 1)
                    if answer.records and answer.records[0].sequence_number == sequence:
                        self._metrics.sink_worked(STREAM)
                        return answer.records[0]
                    if answer.records or answer.millis_behind_latest == 0:
                        break
                    iterator = answer.next_iterator
            except StreamUnavailable:
                self._metrics.sink_failed(STREAM)
                await self._clock.sleep(_BETWEEN_TRIES_S)
                continue
            except ShardGone:
                pass
            raise QuarantineFailed(
                f"{shard_id}: record {sequence} cannot be encoded, and the stream has trimmed what was sent; "
                "it is not committed: fix the encoding and start again"
            )


def _breaking_rows(batch: Batch, decoder_version: int) -> dict[int, Exception]:
    """Places of the rows that cannot be encoded even alone, and why. Raises QuarantineFailed for rejected ones."""
    try:
        _encode(batch, batch.rows.slice(0, 0), batch.rejected, decoder_version)
    except Exception as error:  # noqa: BLE001 - told by its class: its text may quote the record
        raise QuarantineFailed(
            f"{batch.shard_id} up to {batch.last_seq}: rejected records cannot be encoded: {type(error).__name__}"
        ) from None
    found: dict[int, Exception] = {}
    none_rejected = batch.rejected.slice(0, 0)
    for start, stop in (ranges := Bisection(batch.rows.num_rows)):
        try:
            _encode(batch, batch.rows.slice(start, stop - start), none_rejected, decoder_version)
        except Exception as error:  # noqa: BLE001 - whatever a row breaks, the others land
            if ranges.alone(error):
                found[start] = error
    return found


def _encode(batch: Batch, rows: pa.RecordBatch, rejected: pa.RecordBatch, decoder_version: int) -> None:
    Pending((replace(batch, rows=rows, rejected=rejected),), decoder_version).encode(0, 0, "")


def _user_bytes(data: bytes, sub: int, packings: Collection[str]) -> bytes:
    """The user record at that place of a Kinesis record; all of `data` where it is not packed."""
    try:
        users = users_in(data, packings)
    except BadAggregate:
        return data
    return users[sub] if sub < len(users) else data
