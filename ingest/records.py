"""Kinesis records in columns: sequences that create a record object only when it is asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pyarrow as pa

from ingest.batch import KinesisRecord

_END = b"\0"
PADDING = bytes(64)
"""Follows the last payload: a compiled reader may look this far ahead."""


@dataclass(frozen=True, slots=True)
class Payloads(Sequence[bytes]):
    """Payloads in one buffer, each followed by a byte 0, the last also by PADDING."""

    buf: np.ndarray
    """The buffer (uint8)."""
    starts: np.ndarray
    ends: np.ndarray
    """Where each payload begins and ends in `buf` (int64)."""

    @classmethod
    def of(cls, datas: Sequence[bytes]) -> "Payloads":
        """These payloads in one buffer; unchanged if they already are."""
        if isinstance(datas, Payloads):
            return datas
        lengths = np.fromiter(map(len, datas), np.int64, len(datas))
        ends = np.cumsum(lengths + 1) - 1
        buf = np.frombuffer(_END.join([*datas, PADDING]), np.uint8)
        return cls(buf, ends - lengths, ends)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> "Payloads": ...
    def __getitem__(self, place: int | slice) -> "bytes | Payloads":
        if isinstance(place, slice):
            return Payloads(self.buf, self.starts[place], self.ends[place])
        return self.buf[self.starts[place] : self.ends[place]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        buf = self.buf.data
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield bytes(buf[start:end])

    @property
    def size(self) -> int:
        """Bytes of all payloads."""
        return int(self.ends.sum() - self.starts.sum())


@dataclass(frozen=True, slots=True)
class PackedRecords(Sequence[KinesisRecord]):
    """The records of one response."""

    datas: Payloads
    sequence_numbers: pa.StringArray
    partition_keys: pa.StringArray
    arrivals_s: np.ndarray
    """ApproximateArrivalTimestamp, seconds since the epoch (float64)."""

    def __len__(self) -> int:
        return len(self.datas)

    @overload
    def __getitem__(self, place: int) -> KinesisRecord: ...
    @overload
    def __getitem__(self, place: slice) -> "PackedRecords": ...
    def __getitem__(self, place: int | slice) -> "KinesisRecord | PackedRecords":
        if isinstance(place, slice):
            places = range(len(self))[place]
            if places.step != 1:
                raise ValueError("records are taken in runs: a step other than 1 has no use here")
            start, count = places.start, len(places)
            return PackedRecords(
                self.datas[place],
                self.sequence_numbers.slice(start, count),
                self.partition_keys.slice(start, count),
                self.arrivals_s[place],
            )
        place = range(len(self))[place]
        return KinesisRecord(
            self.sequence_numbers[place].as_py(),
            float(self.arrivals_s[place]),
            self.datas[place],
            self.partition_keys[place].as_py(),
        )


def datas_of(records: Sequence[KinesisRecord]) -> Sequence[bytes]:
    """Data of each record."""
    return records.datas if isinstance(records, PackedRecords) else [record.data for record in records]


def sequence_numbers_of(records: Sequence[KinesisRecord]) -> pa.StringArray:
    """Sequence number of each record."""
    if isinstance(records, PackedRecords):
        return records.sequence_numbers
    return pa.array([record.sequence_number for record in records], pa.string())


def partition_keys_of(records: Sequence[KinesisRecord]) -> pa.StringArray:
    """Partition key of each record."""
    if isinstance(records, PackedRecords):
        return records.partition_keys
    return pa.array([record.partition_key for record in records], pa.string())


def arrivals_ms(records: Sequence[KinesisRecord]) -> np.ndarray:
    """Arrival of each record in epoch milliseconds (int64)."""
    if isinstance(records, PackedRecords):
        seconds = records.arrivals_s
    else:
        seconds = np.array([record.approximate_arrival_timestamp for record in records], np.float64)
    arrivals: np.ndarray = np.rint(seconds * 1000).astype(np.int64)
    return arrivals


def data_bytes(records: Sequence[KinesisRecord]) -> int:
    """Bytes of data and partition keys, as Kinesis counts them against a shard's 2 MB per second."""
    if isinstance(records, PackedRecords):
        ends = np.frombuffer(records.partition_keys.buffers()[1], np.int32)[records.partition_keys.offset :]
        return records.datas.size + int(ends[len(records)] - ends[0])
    datas, keys = [record.data for record in records], [record.partition_key for record in records]
    return sum(map(len, datas)) + sum(map(len, keys))
