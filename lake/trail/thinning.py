"""Fewer records of a trail: one in so many seconds, or only those that its line needs."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts.record import BAD_POSITION
from lake.trail.model import parts

_METRES_A_DEGREE = 111_194.9
"""Length of a degree of latitude on the mean sphere."""


def one_in(records: pa.Table, seconds: float) -> pa.Table:
    """Each device's first record of each interval of so many seconds, counted from midnight UTC, and its last of all.

    records: sorted by device and ts. The same intervals whatever the range asked for, so that ranges of a trail fit
    together.
    """
    return _by_device(records, lambda rows: _one_in(rows, seconds))


def _one_in(records: pa.Table, seconds: float) -> pa.Table:
    if records.num_rows < 3:  # noqa: PLR2004 - first and last stay
        return records
    interval = _micros(records) // round(seconds * 1e6)
    keep = np.concatenate([[True], interval[1:] != interval[:-1]])
    keep[-1] = True
    return records.filter(pa.array(keep))


def simplified(records: pa.Table, metres: float) -> pa.Table:
    """The records whose positions each device's line through all of them needs, if it may be off by so many metres.

    Records without a good position are left out. Those of one device need no device_id. (D. H. Douglas, T. K. Peucker,
    Algorithms for the Reduction of the Number of Points Required to Represent a Digitized Line, Cartographica 10(2),
    1973.)
    """
    return _by_device(records.filter(pa.array(_placed(records))), lambda rows: _simplified(rows, metres))


def _by_device(records: pa.Table, thin: Callable[[pa.Table], pa.Table]) -> pa.Table:
    if "device_id" not in records.column_names:
        return thin(records)
    thinned = [thin(rows) for _, rows in parts(records)]
    return pa.concat_tables(thinned) if thinned else records


def _simplified(placed: pa.Table, metres: float) -> pa.Table:
    if placed.num_rows < 3:  # noqa: PLR2004 - a line's ends stay
        return placed
    lat, lon = (placed[name].to_numpy().astype(float) for name in ("lat", "lon"))
    return placed.filter(pa.array(_needed(_metric(lat, lon), metres)))


def _needed(points: npt.NDArray[np.float64], tolerance: float) -> npt.NDArray[np.bool_]:
    """Which points of a line stay. Without recursion: a trail may have a million points."""
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    parts = [(0, len(points) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:  # noqa: PLR2004 - nothing between
            continue
        distance = _distances(points[first + 1 : last], points[first], points[last])
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            parts += [(first, middle), (middle, last)]
    return keep


def _distances(
    points: npt.NDArray[np.float64], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Distance of each point to the line segment between start and end."""
    along = end - start
    length = float(along @ along)
    share = np.clip((points - start) @ along / length, 0, 1) if length else np.zeros(len(points))
    found: npt.NDArray[np.float64] = np.linalg.norm(points - (start + share[:, None] * along), axis=1)
    return found


def _metric(lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Positions as metres on a plane around their middle; a line across 180 degrees stays one line."""
    east = np.degrees(np.unwrap(np.radians(lon)))
    scale = np.cos(np.radians(lat.mean()))
    return np.column_stack([(lat - lat.mean()) * _METRES_A_DEGREE, (east - east.mean()) * _METRES_A_DEGREE * scale])


def _placed(records: pa.Table) -> npt.NDArray[np.bool_]:
    flags = records["flags"].fill_null(0).to_numpy()
    known = records["lat"].is_valid().to_numpy() & records["lon"].is_valid().to_numpy()
    placed: npt.NDArray[np.bool_] = known & ((flags & int(BAD_POSITION)) == 0)
    return placed


def _micros(records: pa.Table) -> npt.NDArray[np.int64]:
    stamped = records["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return np.asarray(stamped.to_numpy(), dtype=np.int64)
