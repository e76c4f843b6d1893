"""What devices sent, as columns of the contract, whichever reader has read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA, READINGS
from ingest.compiled import record as kernel
from ingest.compiled.tokens import Texts
from ingest.decode.columns import Readings, further_columns, optional_column, readings_of, times_column
from ingest.decode.fieldlists import values_of
from ingest.decode.identifiers import good_device_ids
from ingest.decode.reader import Read


@dataclass(slots=True)
class Sent:
    """Rows of the contract's fields; everything is parallel to `places`."""

    places: np.ndarray
    """The user record that a row was read from."""
    is_here: np.ndarray
    """Which rows these are: the others are left for another reader, and hold nothing of use."""
    good_id: np.ndarray
    is_time: np.ndarray
    ts_ms: np.ndarray
    readings: Readings
    columns: dict[str, pa.Array]
    """All of the contract's fields but ts."""
    wrong: np.ndarray
    """Rows with an optional field of the wrong type."""


def sent_in_structs(read: Read) -> Sent:
    """What the exact reader, or the fast one, has read."""
    places = np.asarray(read.places, np.int64)
    wrong = np.zeros(len(places), bool)
    wrong[read.wrong] = True
    rows: Sequence[Any] = read.rows
    device_ids = pa.array(values_of(rows, "device_id"), pa.string())
    ts_ms, is_time = times_column(values_of(rows, "ts"))
    readings, columns = readings_of(rows)
    columns |= further_columns(rows)
    columns["device_id"] = device_ids
    columns["event_id"] = optional_column(values_of(rows, "event_id"), pa.string())
    here = np.ones(len(places), bool)
    return Sent(places, here, good_device_ids(device_ids), is_time, ts_ms, readings, columns, wrong)


def sent_plainly(read: kernel.Columns) -> Sent:
    """What the kernel has read; it leaves what it has not."""
    here = read.plain.astype(bool)
    count = len(here)
    kinds = {name: LANDING_SCHEMA.field(name).type for name in ("fault_codes", "signals", "attributes")}
    codes, signals, attributes = (_offsets(read, part) for part in range(3))
    readings, columns = _readings(read)
    columns["device_id"] = _texts(read.device_ids, count)
    columns["event_id"] = _texts(read.event_ids, count, read.present[0])
    columns["engine_on"] = _booleans(read.engine_on)
    columns["fault_codes"] = (
        pa.nulls(count, kinds["fault_codes"])
        if codes is None
        else pa.ListArray.from_arrays(codes, _texts(read.fault_codes, int(read.counts[0])), type=kinds["fault_codes"])
    )
    columns["signals"] = _map(
        signals,
        read.signal_names,
        pa.array(read.signal_values[: read.counts[1]].copy()),
        kinds["signals"],
        count,
    )
    columns["attributes"] = _map(
        attributes,
        read.attribute_names,
        _texts(read.attribute_values, int(read.counts[2])),
        kinds["attributes"],
        count,
    )
    everywhere, nowhere = np.ones(count, bool), np.zeros(count, bool)
    return Sent(np.arange(count), here, everywhere, everywhere, read.ts_ms, readings, columns, nowhere)


def _readings(read: kernel.Columns) -> tuple[Readings, dict[str, pa.Array]]:
    numbers: Readings = {}
    columns: dict[str, pa.Array] = {}
    for reading, values in zip(READINGS, read.readings, strict=True):
        missing = np.isnan(values)
        some = int(missing.sum())
        if some == len(values):
            numbers[reading.name], columns[reading.name] = None, pa.nulls(len(values), pa.float64())
            continue
        kept = values.copy()
        numbers[reading.name] = kept
        columns[reading.name] = pa.array(kept, mask=missing) if some else pa.array(kept)
    return numbers, columns


def _booleans(values: np.ndarray) -> pa.Array:
    missing = values > 1
    if missing.all():
        return pa.nulls(len(values), pa.bool_())
    return pa.array(values == 1, mask=missing)


def _texts(texts: Texts, count: int, present: np.ndarray | None = None) -> pa.StringArray:
    """The first `count` texts, copied out of their room; null where not present."""
    if present is not None and not present.any():
        return pa.nulls(count, pa.string())
    ends = texts.ends[: count + 1].copy()
    letters = texts.letters[: ends[-1]].copy()
    valid = None
    if present is not None and not present.all():
        valid = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(letters), valid)


def _offsets(read: kernel.Columns, part: int) -> pa.Array | None:
    """Offsets of a list or map, null for a null row; None where all rows are null."""
    present = read.present[part + 1]
    if not present.any():
        return None
    offsets = read.entries[part].copy()
    return pa.array(offsets, mask=np.append(present == 0, False)) if not present.all() else pa.array(offsets)


def _map(offsets: pa.Array | None, names: Texts, items: pa.Array, kind: pa.MapType, count: int) -> pa.Array:
    if offsets is None:
        return pa.nulls(count, kind)
    return pa.MapArray.from_arrays(offsets, _texts(names, len(items)), items, type=kind)
