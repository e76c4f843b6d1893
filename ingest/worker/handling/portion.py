"""One answer's records on their way through a handler: which are done, which are set aside, what a commit says."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from contracts.record import REJECTED_SCHEMA
from ingest.batch import Batch
from ingest.records import arrivals_ms, partition_keys_of, sequence_numbers_of
from ingest.worker.handling.records import Record
from ingest.worker.handling.unpacked import NO_ROWS, NONE_REJECTED, Unpacked
from ingest.worker.reading.decoding import poison_row


class Portion:
    """The user records of one answer, by their places in it."""

    def __init__(self, batch: Unpacked) -> None:
        users = batch.users
        self._shard_id = batch.shard_id
        self._kinesis = users.records
        self._arrivals = arrivals_ms(users.records)
        self._ends = np.cumsum(np.bincount(users.parents, minlength=len(users.records)))
        """For each Kinesis record, how many user records there are up to its end."""
        self._parents = users.parents
        self._aside: dict[int, pa.RecordBatch] = {}
        self._counted = 0
        """Kinesis records that a batch of `taken` has counted."""
        self.records = _records(batch, self._arrivals)
        self.done = 0
        """User records up to here are checkpointed, and not given again."""
        self.handed = 0
        """User records up to here were given, and the call returned."""

    def left_of(self, places: Sequence[int]) -> list[int]:
        """The places that have yet to be handled."""
        return [place for place in places if place >= self.done and place not in self._aside]

    def set_aside(self, place: int, error: BaseException) -> None:
        """Reject the record; the batch that counts it will hold its bytes."""
        record = self.records[place]
        parent = self._kinesis[int(self._parents[place])]
        self._aside[place] = poison_row(
            self._shard_id, parent, error, data=record.data, sub_sequence=record.sub_sequence
        )

    def past_aside(self, place: int) -> int:
        """The place, moved over records set aside that follow."""
        while place in self._aside:
            place += 1
        return place

    def taken(self, upto: int) -> Batch | None:
        """The whole Kinesis records before the place `upto` that were not counted yet; None where there are none."""
        first, last = self._counted, int(np.searchsorted(self._ends, upto, side="right"))
        if last <= first:
            return None
        self._counted = last
        users = range(int(self._ends[first - 1]) if first else 0, int(self._ends[last - 1]))
        rows = [self._aside[place] for place in users if place in self._aside]
        return Batch(
            shard_id=self._shard_id,
            first_seq=self._kinesis[first].sequence_number,
            last_seq=self._kinesis[last - 1].sequence_number,
            kinesis_records=last - first,
            user_records=len(users),
            rows=NO_ROWS,
            rejected=_together(rows),
            handled=len(users) - len(rows),
            max_arrival_ms=int(self._arrivals[first:last].max()),
        )


def _records(batch: Unpacked, arrivals: np.ndarray) -> list[Record]:
    users = batch.users
    keys = partition_keys_of(users.records).to_pylist()
    sequences = sequence_numbers_of(users.records).to_pylist()
    return [
        Record(data, keys[parent], sequences[parent], sub, arrival)
        for data, parent, sub, arrival in zip(
            users.datas,
            users.parents.tolist(),
            users.subs.tolist(),
            arrivals[users.parents].tolist(),
            strict=True,
        )
    ]


def _together(rows: list[pa.RecordBatch]) -> pa.RecordBatch:
    if not rows:
        return NONE_REJECTED
    return pa.Table.from_batches(rows, REJECTED_SCHEMA).combine_chunks().to_batches()[0]
