"""Fault codes of a device: when each was first and last seen, by quarter of an hour and by business day.

A fault lasts for weeks, a business day depends on hours (docs/adr/0023): a derivation tells the days on which a code
was seen, and marts join them to episodes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.columns import TIMESTAMP
from lake.derive.motion.trips import DayBounds

QUARTER_US = 900_000_000
"""Each business day begins at a multiple of a quarter of an hour: since 1972 no time zone has had an offset that is
none (IANA time zone database)."""


class SeenFault(NamedTuple):
    """A code within one quarter of an hour or one business day: epoch microseconds, and records that have it."""

    code: str
    first_ts: int
    last_ts: int
    records: int


def seen_faults(rows: pa.Table, again: npt.NDArray[np.int8]) -> dict[str, list[SeenFault]]:
    """The codes of each device that has any, by quarter of an hour.

    rows: columns device_id, ts and fault_codes. again: 1 for each row that repeats the one before it, which does not
    count.
    """
    codes = rows["fault_codes"].combine_chunks()
    told = np.flatnonzero(pc.fill_null(pc.list_value_length(codes), 0).to_numpy(zero_copy_only=False) * (1 - again))
    if not told.size:
        return {}
    chosen = rows.select(["device_id", "ts", "fault_codes"]).take(pa.array(told)).combine_chunks()
    lists = chosen["fault_codes"].combine_chunks()
    row = pc.list_parent_indices(lists)
    ts = chosen["ts"].cast(TIMESTAMP).cast(pa.int64()).take(row)
    flat = pa.table(
        {
            "device_id": chosen["device_id"].take(row),
            "quarter": pc.divide(ts, QUARTER_US),
            "code": pc.list_flatten(lists),
            "ts": ts,
            "row": row,
        }
    )
    found = flat.filter(pc.is_valid(flat["code"])).group_by(["device_id", "quarter", "code"])
    by_quarter = found.aggregate([("ts", "min"), ("ts", "max"), ("row", "count_distinct")])
    seen: dict[str, list[SeenFault]] = {}
    for one in by_quarter.sort_by([(key, "ascending") for key in ("device_id", "quarter", "code")]).to_pylist():
        fault = SeenFault(one["code"], one["ts_min"], one["ts_max"], one["row_count_distinct"])
        seen.setdefault(one["device_id"], []).append(fault)
    return seen


def within(seen: Iterable[SeenFault], start_us: int, end_us: int) -> list[SeenFault]:
    """Those whose quarter of an hour begins from start_us to before end_us."""
    return [fault for fault in seen if start_us <= fault.first_ts < end_us]


def of_day(seen: Iterable[SeenFault], day: DayBounds) -> list[SeenFault]:
    """Each code of a business day once, by code."""
    found: dict[str, SeenFault] = {}
    for one in within(seen, day.midnight, day.next_midnight):
        known = found.get(one.code)
        found[one.code] = _joined(known, one) if known else one
    return [found[code] for code in sorted(found)]


def as_rows(seen: Iterable[SeenFault]) -> list[dict[str, Any]] | None:
    """As column `faults` of contracts.derived.MOTION_HOUR has them; None where there is none."""
    return [fault._asdict() for fault in seen] or None


def from_rows(hours: Iterable[list[dict[str, Any]] | None]) -> list[SeenFault]:
    """What several packed hours of one device have."""
    return [SeenFault(**one) for faults in hours for one in faults or ()]


def _joined(one: SeenFault, other: SeenFault) -> SeenFault:
    return SeenFault(
        one.code,
        min(one.first_ts, other.first_ts),
        max(one.last_ts, other.last_ts),
        one.records + other.records,
    )
