"""Local times to UTC, by one rule for every kind of file.

A time in the hour that a clock change skips is read with the offset before the change, as RFC 5545 (3.3.5) and PEP 495
have it: 02:30 that does not exist becomes what 03:30 is. A time in the hour that comes twice is the first of the two.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY_S = 86_400
_STEP_S = 7 * _DAY_S
"""Between two clock changes of a zone there is more than this."""
_MOST_STEPS = 60


class Localized(NamedTuple):
    """UTC in the unit that was given, and how many of the times lie in a skipped and in a doubled hour."""

    utc: NDArray[np.int64]
    skipped: int
    doubled: int


def localized(local: NDArray[np.int64], unit: str, zone: ZoneInfo) -> Localized:
    """Local times, as the unit's count from 1970-01-01T00:00 on the zone's clock."""
    if not len(local):
        return Localized(local, 0, 0)
    per_s = PER_S[unit]
    offset_s = _only_offset_s(int(local.min()) // per_s, int(local.max()) // per_s, zone)
    if offset_s is not None:
        return Localized(local - offset_s * per_s, 0, 0)
    return _each(local, unit, zone)


def offset_s(local_s: int, zone: ZoneInfo) -> int:
    """The zone's offset at a local time: before the change in a skipped hour, at first in a doubled one."""
    moment = datetime(1970, 1, 1) + timedelta(seconds=local_s)
    return int((moment.replace(tzinfo=zone).utcoffset() or timedelta()).total_seconds())


def _only_offset_s(low_s: int, high_s: int, zone: ZoneInfo) -> int | None:
    """The one offset from a day before the first time to a day after the last; None where there are several."""
    steps = (high_s - low_s + 2 * _DAY_S) // _STEP_S + 2
    if steps > _MOST_STEPS:
        return None
    places = np.linspace(low_s - _DAY_S, high_s + _DAY_S, int(steps))
    try:
        offsets = {offset_s(int(place), zone) for place in places}
    except OverflowError:
        return None
    return offsets.pop() if len(offsets) == 1 else None


def _each(local: NDArray[np.int64], unit: str, zone: ZoneInfo) -> Localized:
    naive = pa.array(local).cast(pa.timestamp(unit))
    first = pc.assume_timezone(naive, zone.key, ambiguous="earliest", nonexistent="latest")
    second = pc.assume_timezone(naive, zone.key, ambiguous="latest", nonexistent="latest")
    utc: NDArray[np.int64] = first.cast(pa.int64()).to_numpy().copy()
    doubled = int((utc != second.cast(pa.int64()).to_numpy()).sum())
    again = pc.local_timestamp(first).cast(pa.int64()).to_numpy()
    skipped = np.flatnonzero(again != local)
    per_s = PER_S[unit]
    for place in skipped.tolist():
        utc[place] = local[place] - offset_s(int(local[place]) // per_s, zone) * per_s
    return Localized(utc, len(skipped), doubled)


def epoch_us(moment: datetime) -> int:
    """Microseconds from 1970-01-01T00:00 of a time without a zone, or in UTC of one with."""
    since = moment - datetime(1970, 1, 1, tzinfo=None if moment.tzinfo is None else UTC)
    return (since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds
