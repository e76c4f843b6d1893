"""The decoder of the record contract: JSON user records, plain or KPL-aggregated, to columns."""

import gc
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA, RejectReason
from ingest.batch import MAX_UNKNOWN_NAMES, OTHER_NAMES, Batch, KinesisRecord, ShardId
from ingest.bisection import Bisection
from ingest.decode.away import AwayDevices
from ingest.decode.part import Part, decode_part
from ingest.decode.rejected import Refusal, rejected_rows
from ingest.decode.shared import SharedColumns
from ingest.decode.users import UserRecords, user_records
from ingest.records import arrivals_ms, sequence_numbers_of
from ingest.suppression import NoSuppression, Suppression

if TYPE_CHECKING:
    from ingest.decode.plain import PlainReader

DECODER_VERSION = 5
"""Increases whenever the same bytes would give other rows; every ledger entry records it."""
PART_ROWS = 16_384
"""User records that are decoded together: more than one response of GetRecords holds."""
_MAX_NAME = 128
_NO_ROWS = pa.RecordBatch.from_pylist([], schema=LANDING_SCHEMA)


class JsonDecoder:
    """contracts.record, contract v1, from JSON: keeps the promises of ingest.batch.Decoder.

    At most one thread may use a decoder. `suppression` is asked once per device and batch; records of its devices are
    dropped and counted. away: devices at home in another region, whose records are refused. plain: False leaves all
    records to msgspec, whatever their form, and loads no numba; the rows are the same. packings: of contracts.packing,
    unpacked besides KPL aggregates.
    """

    version = DECODER_VERSION

    @property
    def suppression_version(self) -> int:
        """Version of the suppression list that is applied."""
        return self._suppression.version

    def __init__(
        self,
        suppression: Suppression | None = None,
        *,
        away: AwayDevices | None = None,
        part_rows: int = PART_ROWS,
        plain: bool = True,
        packings: Collection[str] = (),
    ) -> None:
        self._suppression = suppression or NoSuppression()
        self._away = away
        self._part_rows = part_rows
        self._packings = frozenset(packings)
        self._reader = _plain_reader() if plain else None
        self._shared = SharedColumns()

    def decode(self, shard_id: ShardId, records: Sequence[KinesisRecord]) -> Batch:
        """Decode consecutive Kinesis records of one shard. `records` must not be empty."""
        version = self._suppression.version
        users = user_records(records, self._packings)
        arrivals = arrivals_ms(records)
        sequences = sequence_numbers_of(records)
        parts: list[Part] = []
        with _gc_paused():
            for start in range(0, len(users.datas), self._part_rows):
                stop = min(start + self._part_rows, len(users.datas))
                parts += self._decode(shard_id, users, start, stop, arrivals, sequences)
        refusals = [refusal for part in parts for refusal in part.refusals]
        return Batch(
            shard_id=shard_id,
            first_seq=records[0].sequence_number,
            last_seq=records[-1].sequence_number,
            kinesis_records=len(records),
            user_records=len(users.datas),
            rows=self._shared.put_into(_together([part.rows for part in parts]), shard_id),
            rejected=rejected_rows(shard_id, users, refusals),
            suppressed=sum(part.suppressed for part in parts),
            max_arrival_ms=int(arrivals.max()),
            unknown_fields=_bounded(parts),
            suppression_version=version,
        )

    def _decode(
        self,
        shard_id: ShardId,
        users: UserRecords,
        start: int,
        stop: int,
        arrivals: np.ndarray,
        sequences: pa.StringArray,
    ) -> list[Part]:
        """User records [start, stop). A record that breaks this code is found by bisection and refused alone.

        Raises MemoryError where a single record finds no memory.
        """
        parts: list[Part] = []
        for low, high in (ranges := Bisection(stop - start)):
            first = start + low
            try:
                part = users.part(first, start + high)
                parts.append(
                    decode_part(self._reader, self._suppression, shard_id, part, first, arrivals, sequences, self._away)
                )
            except Exception as error:  # noqa: BLE001 - whatever a record breaks, the others are decoded
                if ranges.alone(error):
                    parts.append(Part(_NO_ROWS, [Refusal(first, RejectReason.POISON, type(error).__name__)]))
        return parts


def _plain_reader() -> "PlainReader":
    from ingest.decode.plain import PlainReader  # loads numba

    return PlainReader()


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Switch the cyclic garbage collector off inside, and back on afterwards if it was on.

    Decoding creates a dictionary for each map of a record, which the collector would walk again and again. They hold
    no cycles, so reference counts free them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.concat_batches(batches) if batches else _NO_ROWS


def _bounded(parts: Sequence[Part]) -> dict[str, int]:
    """Counts by unknown name, at most MAX_UNKNOWN_NAMES of them; all others, and very long names, count together."""
    names: Counter[str] = Counter()
    for part in parts:
        names.update(part.unknown)
    if len(names) <= MAX_UNKNOWN_NAMES and all(len(name) <= _MAX_NAME for name in names):
        return dict(names)
    kept = sorted(name for name in names if len(name) <= _MAX_NAME)[:MAX_UNKNOWN_NAMES]
    bounded = {name: names[name] for name in kept}
    bounded[OTHER_NAMES] = bounded.get(OTHER_NAMES, 0) + sum(names.values()) - sum(bounded.values())
    return bounded
