"""Python values to Arrow columns: one pass in C over each field of a batch."""

import struct
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA, LISTS, READINGS, TEXTS
from ingest.decode.times import IMPOSSIBLE_MS, parse_texts

Values = Mapping[str, Sequence[Any]]
"""By field of the contract: its value in every row."""
Readings = dict[str, np.ndarray | None]
"""By name of a reading: its values with NaN for null, or None where every value is null."""


def reading_column(values: Sequence[float | None]) -> tuple[np.ndarray | None, pa.Array]:
    """A reading's values as numbers (NaN for null; None where all are null) and as an Arrow column."""
    count = len(values)
    if _all_none(values):
        return None, pa.nulls(count, pa.float64())
    try:
        # Twice as fast as array or numpy, which inspect the type of each value.
        numbers = np.frombuffer(struct.pack(f"{count}d", *values))
    except struct.error:
        column = pa.array(values, pa.float64())
        return column.to_numpy(zero_copy_only=False), column
    return numbers, pa.array(numbers)


def optional_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Strings or booleans with nulls."""
    if _all_none(values):
        return pa.nulls(len(values), kind)
    return pa.array(values, kind)


def list_column(values: Sequence[list[str] | None], kind: pa.DataType) -> pa.Array:
    """Lists of strings with nulls."""
    if _all_none(values):
        return pa.nulls(len(values), kind)
    offsets, present = _offsets(values)
    return pa.ListArray.from_arrays(offsets, pa.array(list(chain.from_iterable(present)), pa.string()), type=kind)


def map_column(values: Sequence[dict[str, Any] | None], kind: pa.MapType) -> pa.Array:
    """Maps with nulls, entries in the order in which they were sent."""
    if _all_none(values):
        return pa.nulls(len(values), kind)
    offsets, present = _offsets(values)
    keys = pa.array(list(chain.from_iterable(present)), pa.string())
    items = list(chain.from_iterable([entries.values() for entries in present]))
    return pa.MapArray.from_arrays(offsets, keys, pa.array(items, kind.item_type), type=kind)


def times_column(values: Sequence[int | str]) -> tuple[np.ndarray, np.ndarray]:
    """Epoch milliseconds, and which values are times. In most batches all are integers, or all are texts."""
    if values and isinstance(values[0], int):
        with suppress(struct.error):
            return np.frombuffer(struct.pack(f"{len(values)}q", *values), np.int64), np.ones(len(values), bool)
    try:
        return parse_texts(pa.array(values, pa.string()))
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        pass
    ms, good = np.zeros(len(values), np.int64), np.ones(len(values), bool)
    whole = np.fromiter((isinstance(value, int) for value in values), bool, len(values))
    ms[whole] = _integers([value for value in values if isinstance(value, int)])
    ms[~whole], good[~whole] = parse_texts(pa.array([v for v in values if isinstance(v, str)], pa.string()))
    return ms, good


def readings_of(values: Values) -> tuple[Readings, dict[str, pa.Array]]:
    """All readings of all rows, as numbers and as columns."""
    numbers: Readings = {}
    columns: dict[str, pa.Array] = {}
    for reading in READINGS:
        numbers[reading.name], columns[reading.name] = reading_column(values[reading.name])
    return numbers, columns


def further_columns(values: Values) -> dict[str, pa.Array]:
    """The contract's fields that are neither identity, time nor reading."""
    kinds = {name: LANDING_SCHEMA.field(name).type for name in ("engine_on", "signals", "attributes")}
    texts = {text.name: optional_column(values[text.name], text.type) for text in TEXTS}
    lists = {one.name: list_column(values[one.name], LANDING_SCHEMA.field(one.name).type) for one in LISTS}
    return (
        texts
        | lists
        | {
            "engine_on": optional_column(values["engine_on"], kinds["engine_on"]),
            "signals": map_column(values["signals"], kinds["signals"]),
            "attributes": map_column(values["attributes"], kinds["attributes"]),
        }
    )


def _all_none(values: Sequence[Any]) -> bool:
    """Whether all are None. A first value answers at once; counting compares each with None."""
    return not values or (values[0] is None and values.count(None) == len(values))


def _integers(values: Sequence[int]) -> np.ndarray:
    try:
        return np.frombuffer(array("q", values), np.int64)
    except OverflowError:
        return np.array([max(-IMPOSSIBLE_MS, min(value, IMPOSSIBLE_MS)) for value in values], np.int64)


def _offsets(values: Sequence[Any]) -> tuple[pa.Array, Sequence[Any]]:
    """Offsets of lists or maps, and those that are not null; a null offset makes its row null."""
    offsets = np.zeros(len(values) + 1, np.int32)
    try:
        np.cumsum(array("i", map(len, values)), out=offsets[1:])
    except TypeError:
        present = [value for value in values if value is not None]
        missing = np.fromiter([value is None for value in values], bool, len(values))
        lengths = np.zeros(len(values), np.int32)
        lengths[~missing] = array("i", map(len, present))
        np.cumsum(lengths, out=offsets[1:])
        return pa.array(offsets, mask=np.append(missing, False)), present
    return pa.array(offsets), values
