"""Plain records into columns: sets up the compiled reader with the contract's fields and allocates its output."""

from collections import Counter
from functools import cache
from itertools import product

import numpy as np

from contracts.record import CONTRACT, MAX_EVENT_ID, MAX_RECORD_BYTES, READINGS, TEXTS
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
    "fault_codes": schema.FAULT_CODES,
    "signals": schema.SIGNALS,
    "attributes": schema.ATTRIBUTES,
}
_KINDS |= {reading.name: schema.FIRST_READING + place for place, reading in enumerate(READINGS)}
_KINDS |= {text.name: schema.FIRST_TEXT - place for place, text in enumerate(TEXTS)}
SKIPPED_PARTS = 15
"""Parts left to the other reader after one that was mostly not plain."""
_SHORTEST = {"fault_codes": 3, "signals": 5, "attributes": 6, "unknown": 4}
"""Bytes of the shortest entry of each in JSON, comma included: bounds the number of entries."""


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
    count = int(columns.counts[3])
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
        present=np.zeros((4, rows), np.uint8),
        entries=np.zeros((3, rows + 1), np.int32),
        fault_codes=text_buffers(entries["fault_codes"], size),
        text_bufs=np.empty((len(TEXTS), size), np.uint8),
        text_ends=np.zeros((len(TEXTS), rows + 1), np.int32),
        text_present=np.zeros((len(TEXTS), rows), np.uint8),
        signal_names=text_buffers(entries["signals"], size),
        signal_values=np.empty(entries["signals"]),
        attribute_names=text_buffers(entries["attributes"], size),
        attribute_values=text_buffers(entries["attributes"], size),
        unknown=text_buffers(entries["unknown"], size),
        counts=np.zeros(4, np.int64),
    )


def _fields() -> schema.Fields:
    names = [column.name.encode() for column in CONTRACT]
    for factors in product(range(1, 32), range(1, 32), range(32)):
        hashes = [
            (name[0] * factors[0] + name[-1] * factors[1] + len(name) * factors[2]) % schema.HASH_SIZE for name in names
        ]
        if len(set(hashes)) == len(names):
            break
    else:
        raise AssertionError("no factors give the contract's names distinct hashes; hash more bytes of each name")
    by_hash = np.full(schema.HASH_SIZE, -1, np.int64)
    by_hash[hashes] = np.arange(len(names))
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
