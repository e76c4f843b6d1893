"""Rows of history as arrays of the readings that may be used."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.columns import TIMESTAMP
from contracts.errors import SchemaMismatch
from contracts.not_available import NOT_AVAILABLE, TOLERANCE
from contracts.record import BAD_POSITION, READINGS, Flag

LATE_AFTER_US = 3_600_000_000
READ: tuple[str, ...] = (
    "device_id",
    "ts",
    "record_id",
    "arrival_ts",
    "flags",
    "lat",
    "lon",
    "speed_kmh",
    "odometer_km",
    "engine_rpm",
    "engine_on",
    "fuel_rate_lph",
    "fuel_pct",
    "fault_codes",
)
"""The columns of history that derivations read."""

UNKNOWN, OFF, ON = -1, 0, 1
"""States of an engine."""

_BOUNDS = {column.name: (column.low or 0.0, column.high or 0.0) for column in READINGS}
_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


class Readings(NamedTuple):
    """Usable readings, one a row, in order of device, ts, arrival and record_id; NaN and UNKNOWN where there is none.

    ts in epoch microseconds, lat and lon in degrees, speed in km/h, odometer in km, fuel in l/h, fuel_level in percent
    of the tank. flagged, late and again are 0 or 1; `again` is a row whose identity the row before it has.
    """

    ts: Any
    lat: Any
    lon: Any
    speed: Any
    odometer: Any
    fuel: Any
    fuel_level: Any
    engine: Any
    flagged: Any
    late: Any
    again: Any


def require(columns: Iterable[str]) -> None:
    """Raises SchemaMismatch where a column of READ is missing."""
    missing = sorted(set(READ) - set(columns))
    if missing:
        raise SchemaMismatch(f"rows of history lack {', '.join(missing)}; select lake.derive.motion.readings.READ")


def in_order(rows: pa.Table) -> pa.Table:
    """The rows in the order that Readings have."""
    require(rows.column_names)
    keys = ["device_id", "ts", "arrival_ts", "record_id"]
    return rows.take(pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys]))


def usable(rows: pa.Table) -> Readings:
    """What may be used of rows that are in order.

    A position is not used where the row's flags have a bit of BAD_POSITION, nor a reading that is flagged, outside
    its bounds, or by rule `j1939_not_available` no reading at all. -1, by which iOS says that it has no speed, is
    outside the bounds. An odometer of 0 has counted nothing and says nothing. The engine is what engine_on says, or
    else whether engine_rpm is above 0.
    """
    ts, arrival = (_numbers(rows[name].cast(TIMESTAMP).cast(pa.int64())) for name in ("ts", "arrival_ts"))
    flags = _numbers(rows["flags"])
    lat, lon = (_numbers(rows[name].cast(pa.float64())) for name in ("lat", "lon"))
    placed = (flags & int(BAD_POSITION) == 0) & ~np.isnan(lat) & ~np.isnan(lon)
    odometer = _within(rows, "odometer_km")
    return Readings(
        ts=ts,
        lat=np.where(placed, lat, np.nan),
        lon=np.where(placed, lon, np.nan),
        speed=np.where(flags & int(Flag.IMPOSSIBLE_SPEED) == 0, _within(rows, "speed_kmh"), np.nan),
        odometer=np.where(odometer > 0, odometer, np.nan),
        fuel=_within(rows, "fuel_rate_lph"),
        fuel_level=_within(rows, "fuel_pct"),
        engine=_engine(rows),
        flagged=(flags != 0).astype(np.int8),
        late=(arrival - ts > LATE_AFTER_US).astype(np.int8),
        again=_again(rows),
    )


def device_starts(rows: pa.Table) -> _Ints:
    """Where each device's rows begin, of rows in order; last, how many rows there are."""
    count = rows.num_rows
    if not count:
        return np.zeros(1, np.int64)
    devices = rows["device_id"].combine_chunks()
    changes = _numbers(pc.not_equal(devices.slice(1), devices.slice(0, count - 1)).cast(pa.int8()))
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [count]]).astype(np.int64)


def _engine(rows: pa.Table) -> npt.NDArray[np.int8]:
    said = _numbers(pc.fill_null(rows["engine_on"].cast(pa.int8()), UNKNOWN))
    rpm = _within(rows, "engine_rpm")
    turning = np.where(np.isnan(rpm), UNKNOWN, np.where(rpm > 0, ON, OFF))
    return np.where(said == UNKNOWN, turning, said).astype(np.int8)


def _within(rows: pa.Table, name: str) -> _Floats:
    low, high = _BOUNDS[name]
    values: _Floats = _numbers(rows[name].cast(pa.float64()))
    good = (values >= low) & (values <= high)
    for code in NOT_AVAILABLE.get(name, ()):
        good &= np.abs(values - code) > TOLERANCE
    return np.where(good, values, np.nan)


def _again(rows: pa.Table) -> npt.NDArray[np.int8]:
    count = rows.num_rows
    same = np.zeros(count, np.int8)
    if count > 1:
        pairs = [
            pc.equal(column.slice(1), column.slice(0, count - 1))
            for column in (rows[name].combine_chunks() for name in ("device_id", "ts", "record_id"))
        ]
        same[1:] = _numbers(pc.and_(pc.and_(*pairs[:2]), pairs[2]).cast(pa.int8()))
    return same


def _numbers(column: pa.ChunkedArray | pa.Array) -> Any:
    """A column as numpy; null numbers are NaN."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return whole.to_numpy(zero_copy_only=False)
