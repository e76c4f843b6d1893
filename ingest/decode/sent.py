"""What devices sent, as columns of the contract, from either reader."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA, READINGS
from ingest.compiled.schema import Columns
from ingest.compiled.texts import text_column
from ingest.decode.columns import Readings, further_columns, optional_column, readings_of, times_column
from ingest.decode.identifiers import good_device_ids
from ingest.decode.reader import Read, values_of


@dataclass(slots=True)
class Sent:
    """Rows of the contract's fields; everything is parallel to `places`."""

    places: np.ndarray
    """The user record that a row was read from."""
    is_here: np.ndarray
    """Which rows are valid; the others are left to another reader."""
    good_id: np.ndarray
    is_time: np.ndarray
    ts_ms: np.ndarray
    readings: Readings
    columns: dict[str, pa.Array]
    """All of the contract's fields but ts."""
    wrong: np.ndarray
    """Rows with an optional field of the wrong type."""


def sent_in_structs(read: Read) -> Sent:
    """The records that msgspec or the exact reader has read."""
    places = np.asarray(read.places, np.int64)
    wrong = np.zeros(len(places), bool)
    wrong[read.wrong] = True
    values = values_of(read.rows)
    device_ids = pa.array(values["device_id"], pa.string())
    ts_ms, is_time = times_column(values["ts"])
    readings, columns = readings_of(values)
    columns |= further_columns(values)
    columns["device_id"] = device_ids
    columns["event_id"] = optional_column(_without_empty(values["event_id"]), pa.string())
    here = np.ones(len(places), bool)
    return Sent(places, here, good_device_ids(device_ids), is_time, ts_ms, readings, columns, wrong)


def _without_empty(event_ids: Sequence[str | None]) -> Sequence[str | None]:
    """The event ids, with None for one that is empty: it identifies nothing."""
    return [event_id or None for event_id in event_ids] if "" in event_ids else event_ids


def sent_plainly(read: Columns) -> Sent:
    """The records that the compiled reader has read; the rows of all others are not valid."""
    here = read.plain.astype(bool)
    count = len(here)
    readings, columns = _readings(read)
    columns["device_id"] = text_column(read.device_ids, count)
    columns["event_id"] = text_column(read.event_ids, count, read.present[0])
    columns["engine_on"] = _booleans(read.engine_on)
    codes, signals, attributes = (int(entries) for entries in read.counts[:3])
    columns["fault_codes"] = _nested(read, 0, "fault_codes", text_column(read.fault_codes, codes))
    signal_values = pa.array(read.signal_values[:signals].copy())
    columns["signals"] = _nested(read, 1, "signals", text_column(read.signal_names, signals), signal_values)
    attribute_values = text_column(read.attribute_values, attributes)
    names = text_column(read.attribute_names, attributes)
    columns["attributes"] = _nested(read, 2, "attributes", names, attribute_values)
    everywhere, nowhere = np.ones(count, bool), np.zeros(count, bool)
    return Sent(np.arange(count), here, everywhere, everywhere, read.ts_ms, readings, columns, nowhere)


def _readings(read: Columns) -> tuple[Readings, dict[str, pa.Array]]:
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


def _nested(read: Columns, part: int, name: str, *entries: pa.Array) -> pa.Array:
    """A column of lists, or of maps where `entries` are names and items."""
    kind, present = LANDING_SCHEMA.field(name).type, read.present[part + 1]
    if not present.any():
        return pa.nulls(len(present), kind)
    # An offset that is null makes its row null.
    offsets = pa.array(read.entries[part].copy(), mask=None if present.all() else np.append(present == 0, False))
    made = pa.ListArray if len(entries) == 1 else pa.MapArray
    return made.from_arrays(offsets, *entries, type=kind)
