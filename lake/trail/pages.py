"""Cuts a page out of the records of some slices: behind a cursor, at most so many records, and where it goes on.

The order of records (device, ts, record_id) does not change while merges and rewrites move them from store to store.
One thing does: a record that only live state knows has no record_id there, and gets one as it lands. So the records of
a moment that has such a one are never parted: they are in one page, and its cursor stands behind the whole moment.
"""

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from lake.trail.cursor import Place
from lake.trail.wanted import Wanted


def behind(rows: pa.Table, place: Place) -> pa.Table:
    """The rows, in order, that stand behind the place."""
    ts = pa.scalar(place.ts, rows.schema.field("ts").type)
    device_is, ts_is = pc.field("device_id") == place.device_id, pc.field("ts") == ts
    later = (pc.field("device_id") > place.device_id) | (device_is & (pc.field("ts") > ts))
    if place.record_id is None:
        return rows.filter(later)
    unnamed_or_behind = pc.field("record_id").is_null() | (pc.field("record_id") > place.record_id)
    return rows.filter(later | (device_is & ts_is & unnamed_or_behind))


def cut(rows: pa.Table, limit: int) -> tuple[pa.Table, Place]:
    """The first `limit` of at least as many rows, or a few more where a moment may not be parted, and the place behind
    them.
    """
    last = rows.slice(limit - 1, 1)
    device, ts = last.column("device_id")[0].as_py(), last.column("ts")[0].as_py()
    moment = _moment(rows, limit - 1)
    if rows.slice(*moment).column("record_id").null_count:
        size = moment[0] + moment[1]
        return rows.slice(0, size), Place(device, ts, None)
    return rows.slice(0, limit), Place(device, ts, last.column("record_id")[0].as_py())


def begin_of(part: Wanted) -> Place:
    """The place before the first record that a slice may have."""
    return Place(part.devices[0], part.start, "")


def first_start(wanted: Wanted, place: Place | None) -> tuple[Wanted, datetime]:
    """The devices that are not wholly before the place, and where the first of them goes on."""
    if place is None:
        return wanted, wanted.start
    left = tuple(device for device in wanted.devices if device >= place.device_id)
    goes_on = bool(left) and left[0] == place.device_id
    start = max(place.ts, wanted.start) if goes_on else wanted.start
    if goes_on and start >= wanted.end:
        left, start = left[1:], wanted.start
    return Wanted(left, wanted.start, wanted.end), start


def _moment(rows: pa.Table, at: int) -> tuple[int, int]:
    """Where the rows of the device and time of row `at` begin, and how many they are."""
    device, ts = rows.column("device_id"), rows.column("ts")
    first = last = at
    while first and device[first - 1] == device[at] and ts[first - 1] == ts[at]:
        first -= 1
    while last + 1 < rows.num_rows and device[last + 1] == device[at] and ts[last + 1] == ts[at]:
        last += 1
    return first, last - first + 1
