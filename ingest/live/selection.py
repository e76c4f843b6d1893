"""Selects the rows of a batch that decide live state: newest record, newest position and newest points per device."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from contracts.record import BAD_POSITION
from ingest.live.order_key import newest_rows
from ingest.live.places import MAX_LATITUDE_DEG, MAX_LONGITUDE_DEG
from ingest.ordering import places_by


@dataclass(frozen=True, slots=True)
class Selection:
    """Row numbers by device; arrays are parallel to `device_ids` unless noted otherwise."""

    device_ids: pa.StringArray
    newest: np.ndarray
    """Row of the newest record."""
    placed: np.ndarray
    """Row of the newest record with a position for the geo set, or -1."""
    arrival_ms: np.ndarray
    """Latest arrival."""
    points: np.ndarray
    """Rows of trail points, by device and then event time."""
    point_counts: np.ndarray
    ts_ms: np.ndarray
    """Event time of every row of the batch."""
    row_arrival_ms: np.ndarray
    """Arrival of every row of the batch."""


def select_newest(rows: pa.RecordBatch, trail_points: int) -> Selection:
    """Select from rows of contracts.record.LANDING_SCHEMA, at least one. Per device at most `trail_points` times."""
    coded = rows.column("device_id").dictionary_encode()
    devices, count = coded.indices.to_numpy().astype(np.int64), len(coded.dictionary)
    ts_ms, arrival_ms = _ms(rows.column("ts")), _ms(rows.column("arrival_ts"))
    sequences, subs = rows.column("sequence_number"), rows.column("sub_sequence").to_numpy()
    seen = np.zeros(count, np.int64)
    np.maximum.at(seen, devices, arrival_ms)
    good, on_map = _positions(rows)
    newest = newest_rows(devices, count, ts_ms, arrival_ms, sequences, subs)
    placed = np.full(count, -1, np.int64)
    if len(on_map):
        taken = sequences.take(pa.array(on_map)) if len(on_map) < len(devices) else sequences
        among = newest_rows(devices[on_map], count, ts_ms[on_map], arrival_ms[on_map], taken, subs[on_map])
        placed = np.where(among >= 0, on_map[among], -1)
    points = _newest_points(np.flatnonzero(good), devices, ts_ms, trail_points)
    point_counts = np.bincount(devices[points], minlength=count)
    return Selection(coded.dictionary, newest, placed, seen, points, point_counts, ts_ms, arrival_ms)


def _positions(rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have a valid position, and the numbers of those whose position a geo set takes."""
    latitude = rows.column("lat").to_numpy(zero_copy_only=False)
    longitude = rows.column("lon").to_numpy(zero_copy_only=False)
    flags = rows.column("flags").to_numpy()
    good = ~np.isnan(latitude) & ~np.isnan(longitude) & ((flags & BAD_POSITION) == 0)
    within = (np.abs(latitude) <= MAX_LATITUDE_DEG) & (np.abs(longitude) <= MAX_LONGITUDE_DEG)
    return good, np.flatnonzero(good & within)


def _newest_points(rows: np.ndarray, devices: np.ndarray, ts_ms: np.ndarray, most: int) -> np.ndarray:
    """Those of these rows within the newest `most` distinct times of their device, by device and time.

    Distinct times are counted, not rows: a point that was sent twice must not push out another.
    """
    if not most or not len(rows):
        return rows[:0]
    ordered = rows[places_by(devices[rows], ts_ms[rows])]
    device, ts = devices[ordered], ts_ms[ordered]
    starts = np.append(True, (device[1:] != device[:-1]) | (ts[1:] != ts[:-1]))
    time_number = np.cumsum(starts)
    last_of_device = np.append(device[1:] != device[:-1], True)
    last_number = time_number[last_of_device]
    rank = np.cumsum(np.append(False, last_of_device[:-1]))
    newest: np.ndarray = ordered[last_number[rank] - time_number < most]
    return newest


def _ms(column: pa.TimestampArray) -> np.ndarray:
    milliseconds: np.ndarray = column.view(pa.int64()).to_numpy() // 1000
    return milliseconds
