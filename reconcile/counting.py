"""Records by business day and device, as two sums a day that are equal where each device's counts are."""

from collections.abc import Iterable, Mapping
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reconcile.identities import DEVICE_KEY, text_hashes
from reconcile.proof import Counted

COLUMNS = ("device_id", "ts", "flags")
"""What counting reads of history."""
ByDay = dict[date, Counted]


def count_records(rows: pa.RecordBatch, zone: str) -> ByDay:
    """Rows of history, with COLUMNS, by business day of the time zone."""
    local = pc.local_timestamp(rows.column("ts").cast(pa.timestamp("us", zone)))
    days = local.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy(zero_copy_only=False)
    flagged = pc.fill_null(pc.not_equal(rows.column("flags"), 0), False).to_numpy(zero_copy_only=False)
    hashes = text_hashes(rows.column("device_id"), DEVICE_KEY)
    counted = {}
    for day in np.unique(days):
        mine = days == day
        odd = mine & flagged
        sums = (int(np.count_nonzero(mine)), int(np.count_nonzero(odd)), _sum(hashes[mine]), _sum(hashes[odd]))
        counted[_date(day)] = Counted(*sums)
    return counted


def count_device_days(rows: pa.Table) -> ByDay:
    """Rows of history.device_day: what their `records` and `flagged` add up to, as count_records counts them."""
    days = rows.column("day").cast(pa.int32()).to_numpy()
    records, flagged = (pc.fill_null(rows.column(name), 0).to_numpy() for name in ("records", "flagged"))
    hashes = text_hashes(rows.column("device_id"), DEVICE_KEY)
    counted = {}
    for day in np.unique(days):
        mine = days == day
        numbers, odd = records[mine], flagged[mine]
        sums = (_sum(hashes[mine] * numbers.astype("u8")), _sum(hashes[mine] * odd.astype("u8")))
        counted[_date(day)] = Counted(int(numbers.sum()), int(odd.sum()), *sums)
    return counted


def added(parts: Iterable[Mapping[date, Counted]]) -> ByDay:
    """All of them together, by business day."""
    total: ByDay = {}
    for part in parts:
        for day, one in part.items():
            total[day] = total.get(day, Counted()).plus(one)
    return total


def _sum(values: np.ndarray) -> int:
    return int(values.sum(dtype="u8"))


def _date(day: np.integer) -> date:
    made: date = np.datetime64(int(day), "D").item()
    return made
