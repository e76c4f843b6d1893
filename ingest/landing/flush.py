"""One flush of a shard: its Parquet objects, and the ledger entry that lists them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.ledger import LANDED, ON_TIME_AFTER_S, ON_TIME_BEFORE_S, REJECTED, LandedObject, LedgerEntry, hour_of
from contracts.names import landing_key, rejected_key
from contracts.parquet import landed_bytes, rejected_bytes
from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA
from ingest.batch import Batch
from ingest.ordering import places_by

HOUR_MS = 3_600_000
_CONSTANT = "shard_id"


@dataclass(frozen=True, slots=True)
class Flush:
    """One flush of one shard, encoded and ready to be put and committed.

    Put all `objects` first, then write `entry` to the ledger. The same batches, watermark, fence and trace id give the
    same keys and bytes.
    """

    shard_id: str
    first_seq: str
    last_seq: str
    fence: int
    worker: str
    kinesis_records: int
    user_records: int
    landed: int
    rejected: dict[str, int]
    suppressed: int
    watermark_ms: int
    """The shard's watermark once this flush is committed: the largest arrival so far."""
    objects: list[tuple[LandedObject, bytes]]
    decoder_version: int
    suppression_version: int
    trace_id: str
    handled: int

    def entry(self, after_seq: str, committed_ms: int) -> LedgerEntry:
        """The ledger's entry for this flush. after_seq: the shard's position before it."""
        return LedgerEntry(
            shard_id=self.shard_id,
            after_seq=after_seq,
            last_seq=self.last_seq,
            fence=self.fence,
            worker=self.worker,
            committed_ms=committed_ms,
            kinesis_records=self.kinesis_records,
            user_records=self.user_records,
            landed=self.landed,
            rejected=self.rejected,
            suppressed=self.suppressed,
            watermark_ms=self.watermark_ms,
            objects=[described for described, _ in self.objects],
            decoder_version=self.decoder_version,
            suppression_version=self.suppression_version,
            trace_id=self.trace_id,
            handled=self.handled,
        )

    @property
    def bytes(self) -> int:
        """Bytes of all objects."""
        return sum(described.bytes for described, _ in self.objects)


@dataclass(frozen=True, slots=True)
class Pending:
    """Consecutive batches of one shard, taken out of its buffer and not yet encoded."""

    batches: Sequence[Batch]
    decoder_version: int

    def halves(self) -> "tuple[Pending, Pending] | None":
        """The batches in two runs, to be flushed one after the other; None for a single batch."""
        middle = len(self.batches) // 2
        if not middle:
            return None
        version = self.decoder_version
        return Pending(self.batches[:middle], version), Pending(self.batches[middle:], version)

    def encode(self, watermark_ms: int, fence: int, worker: str, trace_id: str | None = None) -> Flush:
        """Encode. watermark_ms: the shard's watermark as committed. Thread-safe: it uses only its arguments.

        A row is filed under the hour of max(arrival_ts, watermark), so a closed hour gains no rows.
        trace_id: defaults to a hash that identifies this flush.
        """
        batches = self.batches
        if not batches:
            raise ValueError("nothing to flush: the buffer is empty")
        first, last = batches[0].first_seq, batches[-1].last_seq
        filing = _Filing(batches[0].shard_id, first, last, fence, watermark_ms, trace_id or "")
        rejected = pa.Table.from_batches([batch.rejected for batch in batches], REJECTED_SCHEMA)
        return Flush(
            shard_id=filing.shard_id,
            first_seq=first,
            last_seq=last,
            fence=fence,
            worker=worker,
            kinesis_records=sum(batch.kinesis_records for batch in batches),
            user_records=sum(batch.user_records for batch in batches),
            landed=sum(batch.rows.num_rows for batch in batches),
            rejected=dict(Counter(rejected["reason"].to_pylist())),
            suppressed=sum(batch.suppressed for batch in batches),
            watermark_ms=max(watermark_ms, *(batch.max_arrival_ms for batch in batches)),
            objects=[*filing.landed(batches), *filing.rejected(rejected)],
            decoder_version=self.decoder_version,
            suppression_version=min(batch.suppression_version for batch in batches),
            trace_id=filing.trace_id,
            handled=sum(batch.handled for batch in batches),
        )


class _Filing:
    """Divides a flush's rows into objects and describes each."""

    def __init__(self, shard_id: str, first: str, last: str, fence: int, watermark_ms: int, trace_id: str) -> None:
        self.shard_id = shard_id
        self._first, self._last, self._fence = first, last, fence
        self._watermark_ms = watermark_ms
        named = f"{shard_id}/{first}/{last}/{fence}".encode()
        self.trace_id = trace_id or blake2b(named, digest_size=16).hexdigest()
        self._about = {"trace_id": self.trace_id, "shard_id": shard_id, "first_seq": first, "last_seq": last}

    def landed(self, batches: Sequence[Batch]) -> list[tuple[LandedObject, bytes]]:
        """One object per arrival hour."""
        table = pa.Table.from_batches([batch.rows for batch in batches], LANDING_SCHEMA).combine_chunks()
        if table.num_rows == 0:
            return []
        ts_ms, hours = _ms(table["ts"]), self._hours(table["arrival_ts"])
        order = _sorted_places(_whole(table["device_id"]), ts_ms)
        objects = []
        for hour in _distinct(hours):
            places = order if (hours == hour).all() else order[hours[order] == hour]
            times = ts_ms[places]
            key = landing_key(hour_of(hour * HOUR_MS), self.shard_id, self._first, self._last, self._fence)
            data = landed_bytes(_in_order(table, places), self._about)
            objects.append((self._described(key, LANDED, hour, len(places), data, times), data))
        return objects

    def rejected(self, table: pa.Table) -> list[tuple[LandedObject, bytes]]:
        """One object per reason and arrival hour."""
        hours, objects = self._hours(table["arrival_ts"]), []
        for reason in sorted(table["reason"].unique().to_pylist()):
            of_reason = pc.equal(table["reason"], reason).to_numpy()
            for hour in _distinct(hours[of_reason]):
                rows = table.take(pa.array(np.flatnonzero(of_reason & (hours == hour))))
                key = rejected_key(reason, hour_of(hour * HOUR_MS), self.shard_id, self._first, self._last, self._fence)
                data = rejected_bytes(rows, self._about)
                objects.append((self._described(key, REJECTED, hour, rows.num_rows, data, None), data))
        return objects

    def _hours(self, arrivals: pa.ChunkedArray) -> np.ndarray:
        """The hour since 1970 that each row is filed under."""
        filed: np.ndarray = np.maximum(_ms(arrivals), self._watermark_ms) // HOUR_MS
        return filed

    @staticmethod
    def _described(key: str, kind: str, hour: int, rows: int, data: bytes, times: np.ndarray | None) -> LandedObject:
        if times is None:
            return LandedObject(
                key=key, kind=kind, hour_ms=hour * HOUR_MS, rows=rows, bytes=len(data), sha256=sha256(data).hexdigest()
            )
        start = hour * HOUR_MS
        late = times < start - ON_TIME_BEFORE_S * 1000
        early = times >= start + HOUR_MS + ON_TIME_AFTER_S * 1000
        return LandedObject(
            key=key,
            kind=kind,
            hour_ms=start,
            rows=rows,
            bytes=len(data),
            sha256=sha256(data).hexdigest(),
            min_ts_ms=int(times.min()),
            max_ts_ms=int(times.max()),
            stragglers=int((late | early).sum()),
        )


def _sorted_places(device_ids: pa.StringArray, ts_ms: np.ndarray) -> np.ndarray:
    """Row numbers sorted by (device_id as bytes, ts, row number): the order of rows in an object."""
    coded = device_ids.dictionary_encode()
    by_text = pc.array_sort_indices(coded.dictionary).to_numpy()
    rank = np.empty(len(by_text), np.int64)
    rank[by_text] = np.arange(len(by_text))
    return places_by(rank[coded.indices.to_numpy()], ts_ms)


def _in_order(table: pa.Table, places: np.ndarray) -> pa.Table:
    """These rows in this order. Columns with one value in every row are created anew, which is cheaper than a take."""
    indices, count = pa.array(places), len(places)
    columns = []
    for name in table.schema.names:
        column = table[name]
        if column.null_count == len(column):
            columns.append(pa.nulls(count, column.type))
        elif name == _CONSTANT:
            columns.append(pa.repeat(column[0], count))
        else:
            columns.append(column.take(indices))
    return pa.Table.from_arrays(columns, schema=table.schema)


def _ms(column: pa.ChunkedArray) -> np.ndarray:
    milliseconds: np.ndarray = _whole(column).view(pa.int64()).to_numpy() // 1000
    return milliseconds


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _distinct(hours: np.ndarray) -> list[int]:
    return [int(hour) for hour in np.unique(hours)]
