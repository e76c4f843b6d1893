"""The value of `R:latest:{device_id}`: a device's newest record as JSON."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from contracts.record import LANDING_SCHEMA
from ingest.live.order_key import NO_ORDER, order_keys
from ingest.live.timetext import time_texts

_TECHNICAL = ("shard_id", "sequence_number", "sub_sequence")
FIELDS: tuple[str, ...] = tuple(name for name in LANDING_SCHEMA.names if name not in _TECHNICAL)

_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=256)
def latest_struct(fields: tuple[str, ...]) -> type[msgspec.Struct]:
    """A struct of both order keys and these fields, which omits a field that is None.

    `order` and `position_order` come first and have a fixed width: write.lua reads and writes them in place.
    """
    return msgspec.defstruct(
        "Latest",
        [("order", str), ("position_order", str), *((name, Any, None) for name in fields)],
        omit_defaults=True,
        gc=False,
        module=__name__,
    )


def latest_values(rows: pa.RecordBatch, newest: np.ndarray, placed: np.ndarray) -> list[bytes]:
    """JSON of the rows `newest`; `placed` are the rows of the same devices' newest positions, -1 for none."""
    taken = rows.take(pa.array(newest))
    orders = _orders(taken)
    places = list(orders)
    for index in np.flatnonzero(placed < 0).tolist():
        places[index] = NO_ORDER
    elsewhere = np.flatnonzero((placed >= 0) & (placed != newest))
    for index, order in zip(elsewhere.tolist(), _orders(rows.take(pa.array(placed[elsewhere]))), strict=True):
        places[index] = order
    # Omitting fields that no row has, value by value, would take a sixth of the time.
    fields = tuple(name for name in FIELDS if taken.column(name).null_count < taken.num_rows)
    columns = [_python(taken.column(name)) for name in fields]
    return list(map(_encode, map(latest_struct(fields), orders, places, *columns)))


def _orders(rows: pa.RecordBatch) -> list[str]:
    if not rows.num_rows:
        return []
    ts_ms, arrival_ms = (_ms(rows.column(name)) for name in ("ts", "arrival_ts"))
    subs = rows.column("sub_sequence").to_numpy()
    texts: list[str] = order_keys(ts_ms, arrival_ms, rows.column("sequence_number"), subs).to_pylist()
    return texts


def _ms(column: pa.TimestampArray) -> np.ndarray:
    milliseconds: np.ndarray = column.view(pa.int64()).to_numpy() // 1000
    return milliseconds


def _python(column: pa.Array) -> Sequence[Any]:
    """A column as Python values: times as RFC 3339 text, maps as dicts."""
    if pa.types.is_timestamp(column.type):
        return time_texts(_ms(column))
    if pa.types.is_map(column.type):
        return [None if entries is None else dict(entries) for entries in column.to_pylist()]
    if column.null_count == 0 and pa.types.is_floating(column.type):
        numbers: list[float] = column.to_numpy().tolist()
        return numbers
    values: list[Any] = column.to_pylist()
    return values
