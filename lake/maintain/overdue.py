"""What the lake's tables hold that is past its time, counted without Spark.

Device days say of which days history has records: reconciliation proves that they count exactly those.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import BooleanExpression, LessThan, Reference

from contracts.names import (
    DEVICE_DAY_TABLE,
    EPISODE_TABLE,
    FAULT_DAY_TABLE,
    HISTORY_TABLE,
    MOTION_HOUR_TABLE,
    TRIP_TABLE,
)
from contracts.retention import Expiry, Standing
from contracts.settings import LakeSettings
from lake.derive.business_days import midnight
from lake.iceberg.catalog import catalog
from lake.iceberg.partitions import rows_by_day
from lake.iceberg.tables import table

BY_DAY = (TRIP_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, DEVICE_DAY_TABLE)
"""Derived tables with a business day, in the order in which they are emptied: device days say what history has."""
TABLES = (HISTORY_TABLE, MOTION_HOUR_TABLE, *BY_DAY)
_SPANS = pa.schema([("device_id", pa.string()), ("first", pa.date32()), ("before", pa.date32())])
_DAYS = pa.schema([("device_id", pa.string()), ("day", pa.date32()), ("records", pa.int64())])


def look(settings: LakeSettings, due: Expiry) -> dict[str, Standing]:
    """Each table against the policy. Days of history and packed hours are UTC's."""
    overdue = overdue_rows(settings, due)
    return {name: _standing(settings, name, overdue[name]) for name in TABLES}


def overdue_rows(settings: LakeSettings, due: Expiry) -> dict[str, int]:
    """Rows of each table that are past their time; of history, the records of such device days."""
    days = overdue_days(settings, due)
    counts = {HISTORY_TABLE: int(pc.sum(days.column("records")).as_py() or 0), DEVICE_DAY_TABLE: days.num_rows}
    for name in BY_DAY[:-1]:
        counts[name] = sum(
            past(rows, due).num_rows for rows in _scanned(settings, name, _before(due), "device_id", "day")
        )
    counts[MOTION_HOUR_TABLE] = sum(past(rows, due).num_rows for rows in _packed(settings, due))
    return counts


def overdue_days(settings: LakeSettings, due: Expiry) -> pa.Table:
    """The device days that are past their time: device_id, day, records."""
    found = [past(rows, due) for rows in _scanned(settings, DEVICE_DAY_TABLE, _before(due), *_DAYS.names)]
    return pa.concat_tables([_DAYS.empty_table(), *(rows.cast(_DAYS) for rows in found)])


def past(rows: pa.Table, due: Expiry) -> pa.Table:
    """The rows that are past their time. rows: device_id, day, and more."""
    exempt = pc.is_in(rows.column("device_id"), value_set=pa.array(sorted(due.exempt), pa.string()))
    by_region = pc.and_(pc.less(rows.column("day"), pa.scalar(due.before, pa.date32())), pc.invert(exempt))
    return rows.filter(pc.or_(by_region, _in_spans(rows, due)))


def _in_spans(rows: pa.Table, due: Expiry) -> pa.ChunkedArray:
    numbers = pa.array(range(rows.num_rows), pa.int64())
    keyed = rows.select(["device_id", "day"]).append_column("row", numbers)
    joined = keyed.join(_span_table(due), keys="device_id", join_type="inner")
    day = joined.column("day")
    inside = pc.and_(pc.greater_equal(day, joined.column("first")), pc.less(day, joined.column("before")))
    return pc.is_in(keyed.column("row"), value_set=joined.filter(inside).column("row"))


def _span_table(due: Expiry) -> pa.Table:
    spans = [{"device_id": one.device_id, "first": one.first or date.min, "before": one.before} for one in due.spans]
    return pa.Table.from_pylist(spans, schema=_SPANS)


def _before(due: Expiry) -> BooleanExpression:
    return LessThan(term=Reference("day"), value=due.horizon.isoformat())


def _packed(settings: LakeSettings, due: Expiry) -> Iterator[pa.Table]:
    """Packed hours that may be past their time, each with its business day."""
    end = midnight(due.horizon + timedelta(days=1), settings.row.zone).isoformat()
    where = LessThan(term=Reference("hour"), value=end)
    for rows in _scanned(settings, MOTION_HOUR_TABLE, where, "device_id", "hour"):
        local = pc.local_timestamp(rows.column("hour").cast(pa.timestamp("us", settings.row.time_zone)))
        yield pa.table({"device_id": rows.column("device_id"), "day": local.cast(pa.date32(), safe=False)})


def _scanned(settings: LakeSettings, name: str, where: BooleanExpression, *columns: str) -> Iterator[pa.Table]:
    """Rows of a table, some at a time; device_id, the first of the columns, as plain text."""
    if not catalog(settings).table_exists(name):
        return
    for batch in table(settings, name).scan(row_filter=where, selected_fields=columns).to_arrow_batch_reader():
        if batch.num_rows:
            rows = pa.Table.from_batches([batch]).select(columns)
            yield rows.set_column(0, "device_id", rows.column("device_id").cast(pa.string()))


def _standing(settings: LakeSettings, name: str, overdue: int) -> Standing:
    if not catalog(settings).table_exists(name):
        return Standing(rows=0, overdue=overdue)
    days = {day: rows for day, rows in rows_by_day(table(settings, name)).items() if rows > 0}
    return Standing(rows=sum(days.values()), overdue=overdue, oldest=min(days, default=None))
