"""Kinesis records to user records: takes KPL aggregates apart, and what else settings name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from contracts.kpl import MAGIC, BadAggregate, is_aggregate
from contracts.names import DOCUMENTS
from contracts.packing import MAGICS, users_in
from ingest.batch import KinesisRecord
from ingest.records import Payloads, datas_of


@dataclass(slots=True)
class UserRecords:
    """The user records of consecutive Kinesis records, in order.

    `parents[i]` is the index of the Kinesis record that holds user record i and `subs[i]` its place there.
    """

    records: Sequence[KinesisRecord]
    datas: Sequence[bytes]
    parents: np.ndarray
    subs: np.ndarray
    bad_aggregates: list[tuple[int, str]] = field(default_factory=list)
    """User records that are whole aggregates, as these do not decode, and why not."""

    def part(self, start: int, stop: int) -> "UserRecords":
        """User records [start, stop) alone, still pointing into all Kinesis records."""
        bad = [(place - start, error) for place, error in self.bad_aggregates if start <= place < stop]
        return UserRecords(self.records, self.datas[start:stop], self.parents[start:stop], self.subs[start:stop], bad)


def user_records(records: Sequence[KinesisRecord], packings: Collection[str] = ()) -> UserRecords:
    """De-aggregate Kinesis records. An aggregate that does not decode becomes one user record of its own bytes.

    packings: of contracts.packing, unpacked likewise.
    """
    datas = datas_of(records)
    if packings:
        return _expanded(records, datas, _perhaps_packed(datas, packings), packings)
    aggregated = [place for place in _perhaps_aggregated(datas) if is_aggregate(datas[place])]
    if not aggregated:
        count = len(datas)
        return UserRecords(records, datas, np.arange(count), np.zeros(count, np.int32))
    return _expanded(records, datas, set(aggregated), packings)


def _perhaps_aggregated(datas: Sequence[bytes]) -> Sequence[int]:
    """Places of data that start like an aggregate; no JSON does."""
    if isinstance(datas, Payloads):
        places: list[int] = np.flatnonzero(datas.buf[datas.starts] == MAGIC[0]).tolist()
        return places
    # The greatest of them tells whether there is any.
    return range(len(datas)) if max(datas) >= MAGIC else []


def _perhaps_packed(datas: Sequence[bytes], packings: Collection[str]) -> Collection[int]:
    if DOCUMENTS in packings:
        return range(len(datas))
    begins = (MAGIC, *(MAGICS[packing] for packing in packings if packing in MAGICS))
    return {place for place, data in enumerate(datas) if data.startswith(begins)}


def _expanded(
    records: Sequence[KinesisRecord], datas: Sequence[bytes], aggregated: Collection[int], packings: Collection[str]
) -> UserRecords:
    out: list[bytes] = []
    counts = np.ones(len(datas), np.int64)
    bad: list[tuple[int, str]] = []
    for index, data in enumerate(datas):
        if index not in aggregated:
            out.append(data)
            continue
        try:
            users = users_in(data, packings)
        except BadAggregate as error:
            bad.append((len(out), str(error)))
            out.append(data)
            continue
        counts[index] = len(users)
        out.extend(users)
    parents = np.repeat(np.arange(len(datas)), counts)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1])) if len(counts) else counts
    subs = (np.arange(len(parents)) - np.repeat(starts, counts)).astype(np.int32)
    return UserRecords(records, out, parents, subs, bad)
