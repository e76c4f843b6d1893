"""Plain records into columns: sets up the compiled reader with the contract's fields and allocates its output."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np

from contracts.record import CONTRACT, LISTS, MAX_EVENT_ID, MAX_RECORD_BYTES, READINGS, TEXTS
from ingest.compiled import schema
from ingest.compiled.record import read
from ingest.compiled.texts import text_buffers, text_column
from ingest.compiled.tokens import POWERS
from ingest.decode.identifiers import ALLOWED_BYTES, MAX_DEVICE_ID
from ingest.records import Payloads

_KINDS = {
    "device_id": schema.DEVICE_ID,
    "ts": schema.TS,
    "event_id": schema.EVENT_ID,
    "engine_on": schema.ENGINE_ON,
    "signals": schema.SIGNALS,
    "attributes": schema.ATTRIBUTES,
}
_KINDS |= {reading.name: schema.FIRST_READING + place for place, reading in enumerate(READINGS)}
_KINDS |= {one.name: schema.FIRST_LIST - place for place, one in enumerate(LISTS)}
_KINDS |= {text.name: schema.FIRST_TEXT - place for place, text in enumerate(TEXTS)}
SKIPPED_PARTS = 15
"""Parts left to the other reader after one that was mostly not plain."""
_SHORTEST = {"list": 3, "signals": 5, "attributes": 6, "unknown": 4}
"""Bytes of the shortest entry of each in JSON, comma included: bounds the number of entries."""


_MOST_FACTORS = 100
"""Hash factors that are tried at most."""


class PlainReader:
    """Reads plain records. Whether a record is plain changes the speed only, never the result.

    After a part that was mostly not plain it skips SKIPPED_PARTS parts, so that a fleet without plain records pays for
    both readers only once in a while.
    """

    def __init__(self) -> None:
        self._skip = 0
        compile_reader()

    def read(self, datas: Payloads) -> schema.Columns | None:
        """Read the plain ones of these records; None for a part that is skipped."""
        if self._skip:
            self._skip -= 1
            return None
        columns = _output_columns(len(datas.starts), len(datas.buf))
        read(datas.buf, datas.starts, datas.ends, _FIELDS, columns)
        if columns.plain.sum() * 2 < len(columns.plain):
            self._skip = SKIPPED_PARTS
        return columns


@cache
def compile_reader() -> None:
    """Compile the reader, or load it from the cache: compiling takes seconds, too long to hold a lease meanwhile."""
    datas = Payloads.of([b"{}"])
    read(datas.buf, datas.starts, datas.ends, _FIELDS, _output_columns(1, len(datas.buf)))


def unknown_names(columns: schema.Columns) -> Counter[str]:
    """Number of plain records that hold each unknown name."""
    count = int(columns.counts[2])
    names: Counter[str] = Counter()
    if count:
        found = text_column(columns.unknown, count).value_counts()
        names.update(dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)))
    return names


def _output_columns(rows: int, size: int) -> schema.Columns:
    """Output columns for `rows` records of `size` bytes in total. The system commits only the pages written to."""
    entries = {name: size // shortest + 1 for name, shortest in _SHORTEST.items()}
    return schema.Columns(
        plain=np.zeros(rows, np.uint8),
        ts_ms=np.zeros(rows, np.int64),
        readings=np.full((len(READINGS), rows), np.nan),
        engine_on=np.full(rows, 2, np.uint8),
        device_ids=text_buffers(rows, min(size, rows * MAX_DEVICE_ID)),
        event_ids=text_buffers(rows, min(size, rows * MAX_EVENT_ID)),
        present=np.zeros((3, rows), np.uint8),
        entries=np.zeros((2, rows + 1), np.int32),
        list_bufs=np.empty((len(LISTS), size), np.uint8),
        list_ends=np.zeros((len(LISTS), entries["list"] + 1), np.int32),
        list_offsets=np.zeros((len(LISTS), rows + 1), np.int32),
        list_present=np.zeros((len(LISTS), rows), np.uint8),
        text_bufs=np.empty((len(TEXTS), size), np.uint8),
        text_ends=np.zeros((len(TEXTS), rows + 1), np.int32),
        text_present=np.zeros((len(TEXTS), rows), np.uint8),
        signal_names=text_buffers(entries["signals"], size),
        signal_values=np.empty(entries["signals"]),
        attribute_names=text_buffers(entries["attributes"], size),
        attribute_values=text_buffers(entries["attributes"], size),
        unknown=text_buffers(entries["unknown"], size),
        counts=np.zeros(3, np.int64),
        list_counts=np.zeros(len(LISTS), np.int64),
    )


def _hash(name: bytes, factors: Sequence[int]) -> int:
    first, last, length = factors
    return (name[0] * first + name[-1] * last + len(name) * length) % schema.HASH_SIZE


def _factors(names: Sequence[bytes]) -> tuple[int, ...]:
    """Factors that give each name a slot of its own, or else nearly all: a name that has to share is found as well."""
    chance = Random(1)  # noqa: S311 - the same factors in every process
    best: tuple[int, tuple[int, ...]] = (0, (1, 1, 1))
    for _ in range(_MOST_FACTORS):
        factors = tuple(chance.randrange(1, schema.HASH_SIZE) for _ in range(3))
        best = max(best, (len({_hash(name, factors) for name in names}), factors))
        if best[0] == len(names):
            break
    return best[1]


def _fields() -> schema.Fields:
    names = [column.name.encode() for column in CONTRACT]
    factors = _factors(names)
    by_hash = np.full(schema.HASH_SIZE, -1, np.int64)
    for field, name in enumerate(names):
        slot = _hash(name, factors)
        while by_hash[slot] >= 0:
            slot = (slot + 1) % schema.HASH_SIZE
        by_hash[slot] = field
    return schema.Fields(
        factors=np.array(factors, np.int64),
        by_hash=by_hash,
        kinds=np.array([_KINDS[name.decode()] for name in names], np.int64),
        buf=np.frombuffer(b"".join(names), np.uint8),
        ends=np.cumsum([len(name) for name in names]),
        powers=POWERS,
        allowed=ALLOWED_BYTES,
        any=np.ones(256, bool),
        longest_device_id=MAX_DEVICE_ID,
        longest_event_id=MAX_EVENT_ID,
        longest_record=MAX_RECORD_BYTES,
        required=sum(1 << place for place, column in enumerate(CONTRACT) if column.required),
    )


_FIELDS = _fields()
