"""Devices counted by cell of a grid, for maps too far out to show each of them."""

import msgspec
import numpy as np

from serving.live.item import State
from serving.live.table import STATES, Box, LiveTable, Rows

MOST_ZOOM = 12
_FINER = 2
"""Cells of a zoom are tiles of so many zooms more: 64 pixels wide."""
_MAX_LATITUDE = 85.0511


class Cell(msgspec.Struct, kw_only=True):
    """A cell with devices in it."""

    lat: float
    """The middle of its devices."""
    lon: float
    devices: int
    moving: int


def cells(table: LiveTable, rows: Rows, zoom: int, box: Box | None) -> list[Cell]:
    """The cells that have devices of these rows, the fullest first. Every device with a position counts once."""
    rows = table.in_box(rows, box or Box(-180, -90, 180, 90))
    if not len(rows):
        return []
    lat, lon = table.lat[rows], table.lon[rows]
    size = 1 << (min(zoom, MOST_ZOOM) + _FINER)
    clipped = np.radians(np.clip(lat, -_MAX_LATITUDE, _MAX_LATITUDE))
    x = np.minimum((lon + 180) / 360 * size, size - 1).astype(np.int64)
    y = np.minimum((1 - np.arcsinh(np.tan(clipped)) / np.pi) / 2 * size, size - 1).astype(np.int64)
    _, place, counts = np.unique(x * size + y, return_inverse=True, return_counts=True)
    moving = np.bincount(place, table.state[rows] == STATES.index(State.moving), len(counts))
    middle_lat, middle_lon = (np.bincount(place, values, len(counts)) / counts for values in (lat, lon))
    order = np.argsort(-counts)
    return [
        Cell(
            lat=round(float(middle_lat[number]), 5),
            lon=round(float(middle_lon[number]), 5),
            devices=int(counts[number]),
            moving=int(moving[number]),
        )
        for number in order.tolist()
    ]
