"""What devices sent in plain records, as columns of the contract. Importing this loads numba."""

import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA, LISTS, READINGS, TEXTS
from ingest.compiled.schema import Columns
from ingest.compiled.texts import TextBuffers, text_column
from ingest.decode.columns import Readings
from ingest.decode.sent import Sent


def sent_plainly(read: Columns) -> Sent:
    """The records that the compiled reader has read; the rows of all others are not valid."""
    here = read.plain.astype(bool)
    count = len(here)
    readings, columns = _readings(read)
    columns["device_id"] = text_column(read.device_ids, count)
    columns["event_id"] = text_column(read.event_ids, count, read.present[0])
    for place, text in enumerate(TEXTS):
        buffers = TextBuffers(read.text_bufs[place], read.text_ends[place])
        columns[text.name] = text_column(buffers, count, read.text_present[place])
    columns["engine_on"] = _booleans(read.engine_on)
    for place, one in enumerate(LISTS):
        written = TextBuffers(read.list_bufs[place], read.list_ends[place])
        texts = text_column(written, int(read.list_counts[place]))
        columns[one.name] = _nested(one.name, read.list_present[place], read.list_offsets[place], texts)
    signals, attributes = (int(entries) for entries in read.counts[:2])
    values = pa.array(read.signal_values[:signals].copy())
    names = text_column(read.signal_names, signals)
    columns["signals"] = _nested("signals", read.present[1], read.entries[0], names, values)
    values, names = text_column(read.attribute_values, attributes), text_column(read.attribute_names, attributes)
    columns["attributes"] = _nested("attributes", read.present[2], read.entries[1], names, values)
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


def _nested(name: str, present: np.ndarray, ends: np.ndarray, *entries: pa.Array) -> pa.Array:
    """A column of lists, or of maps where `entries` are names and items."""
    kind = LANDING_SCHEMA.field(name).type
    if not present.any():
        return pa.nulls(len(present), kind)
    # An offset that is null makes its row null.
    offsets = pa.array(ends.copy(), mask=None if present.all() else np.append(present == 0, False))
    made = pa.ListArray if len(entries) == 1 else pa.MapArray
    return made.from_arrays(offsets, *entries, type=kind)
