"""What live state holds of a device's newest record, as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA
from ingest.live.order import NO_ORDER, order_texts
from ingest.live.timetext import time_texts

_TECHNICAL = ("shard_id", "sequence_number", "sub_sequence")
FIELDS: tuple[str, ...] = tuple(name for name in LANDING_SCHEMA.names if name not in _TECHNICAL)

Latest = msgspec.defstruct(
    "Latest",
    [("order", str), ("position_order", str), *((name, Any, None) for name in FIELDS)],
    omit_defaults=True,
    gc=False,
    module=__name__,
)
"""`order` and `position_order` stand first and have a fixed width: the guard reads and writes them in place."""
_encode = msgspec.json.Encoder().encode


def latest_values(rows: pa.RecordBatch, newest: np.ndarray, placed: np.ndarray) -> list[bytes]:
    """JSON of the rows `newest`; `placed` are the rows of the same devices' newest places, -1 for none."""
    orders = _orders(rows, newest)
    places = list(orders)
    for index in np.flatnonzero(placed != newest).tolist():
        places[index] = NO_ORDER
    other = np.flatnonzero((placed != newest) & (placed >= 0))
    for index, order in zip(other.tolist(), _orders(rows, placed[other]), strict=True):
        places[index] = order
    taken = rows.take(pa.array(newest))
    columns = [_python(taken.column(name)) for name in FIELDS]
    return list(map(_encode, map(Latest, orders, places, *columns)))


def _orders(rows: pa.RecordBatch, places: np.ndarray) -> list[str]:
    taken = rows.select(["ts", "arrival_ts", "sequence_number", "sub_sequence"]).take(pa.array(places))
    ts_ms, arrival_ms = (column.view(pa.int64()).to_numpy() // 1000 for column in taken.columns[:2])
    return order_texts(ts_ms, arrival_ms, taken.column(2).to_pylist(), taken.column(3).to_numpy())


def _python(column: pa.Array) -> Sequence[Any]:
    """A column as Python values: times as RFC 3339 text, maps as dicts."""
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_timestamp(column.type):
        return time_texts(column.view(pa.int64()).to_numpy() // 1000)
    if pa.types.is_map(column.type):
        return [None if entries is None else dict(entries) for entries in column.to_pylist()]
    if column.null_count == 0 and pa.types.is_floating(column.type):
        numbers: list[float] = column.to_numpy().tolist()
        return numbers
    values: list[Any] = column.to_pylist()
    return values
