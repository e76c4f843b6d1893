"""What devices sent, as columns of the contract; from records as structs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

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
