"""ops.changed_hour and ops.packed_hour: the newest UTC hours of history that changed, and those packed again since.

A day that fills up is derived after each of its hours. What its earlier hours say of motion is kept packed in
history.motion_hour, so that only the hours that changed are read from history again (docs/adr/0103).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, LessThan, Or, Reference
from pyiceberg.table import Table

from contracts.derived import PACKED_FORM
from contracts.settings import LakeSettings
from lake.database import transaction
from lake.derive.business_days import ONE_DAY, noon
from lake.derive.progress import HarvestCursor, read_cursor
from lake.merge.spans import Span

ONE_HOUR = timedelta(hours=1)
KEPT = timedelta(days=4)
"""Hours so much older than the newest are forgotten: no day that fills up depends on them."""


def utc_hours(spans: Iterable[tuple[datetime, datetime]]) -> set[datetime]:
    """The UTC hours that these pairs of instants touch, both inclusive."""
    hours: set[datetime] = set()
    for first, last in spans:
        hour = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while hour <= last:
            hours.add(hour)
            hour += ONE_HOUR
    return hours


def mark_hours(connection: psycopg.Connection, marks: Mapping[datetime, int], *, again: bool = False) -> None:
    """Mark hours as changed by the commit of history with this sequence number.

    again: pack them anew whatever was packed before, as history was rolled back; a number may then be lower.
    Hours older than the newest one by KEPT are forgotten.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.changed_hour (hour, sequence) values (%s, %s) on conflict (hour) do update"
            " set sequence = excluded.sequence where %s or ops.changed_hour.sequence < excluded.sequence",
            [(hour, sequence, again) for hour, sequence in sorted(marks.items())],
        )
        if again:
            cursor.execute("delete from ops.packed_hour where hour = any(%s)", [list(marks)])
        newest = cursor.execute("select max(hour) from ops.changed_hour where hour <= now()").fetchone()
        if newest and newest[0]:
            cursor.execute("delete from ops.changed_hour where hour < %s", [newest[0] - KEPT])
            cursor.execute("delete from ops.packed_hour where hour < %s", [newest[0] - KEPT])


def has_hours(connection: psycopg.Connection) -> bool:
    """Whether changes are noted by hour yet."""
    return connection.execute("select from ops.changed_hour limit 1").fetchone() is not None


class Packing(msgspec.Struct, frozen=True):
    """What a derivation reads packed: the days, the hours to pack for them first, and from which history.

    Every hour that the days depend on and that is not due is packed from history as of `harvested`, or a newer one.
    """

    days: list[date]
    due: dict[datetime, int]
    """Each with the sequence number of its last change."""
    harvested: HarvestCursor

    @property
    def forget_before(self) -> datetime:
        """Packed hours older than this are of no use."""
        return datetime.combine(self.days[0], datetime.min.time(), UTC) - 2 * ONE_DAY


def days_that_fill_up(settings: LakeSettings, days: Sequence[date]) -> list[date]:
    """Those of the days, in order, whose end (the next noon) history has not reached yet."""
    with transaction(settings) as connection:
        row = connection.execute("select max(hour) from ops.changed_hour where hour <= now()").fetchone()
    newest = row[0] if row else None
    zone: ZoneInfo = settings.row.zone
    return [] if newest is None else [day for day in sorted(days) if noon(day + ONE_DAY, zone) > newest]


def plan_packing(settings: LakeSettings, days: Sequence[date], spans: Sequence[Span]) -> Packing | None:
    """What to pack so that the days, which depend on `spans`, can be read packed; None where nothing was harvested."""
    with transaction(settings) as connection:
        cursor = read_cursor(connection)
        due = connection.execute(
            "select hour, c.sequence from ops.changed_hour c left join ops.packed_hour p using (hour)"
            " where c.sequence > coalesce(p.sequence, -1) or p.form <> %s order by hour",
            [PACKED_FORM],
        ).fetchall()
    if cursor is None:
        return None
    wanted = {hour: seq for hour, seq in due if any(span.start < hour + ONE_HOUR and hour < span.end for span in spans)}
    return Packing(days=list(days), due=wanted, harvested=cursor)


def mark_packed(settings: LakeSettings, packing: Packing) -> None:
    """Record that the hours that were due are packed; not one that has changed meanwhile (or was rolled back)."""
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.packed_hour (hour, sequence, form) select hour, %s, %s from ops.changed_hour"
            " where hour = %s and sequence = %s on conflict (hour) do update set form = excluded.form,"
            " sequence = greatest(ops.packed_hour.sequence, excluded.sequence)",
            [(packing.harvested.sequence, PACKED_FORM, hour, sequence) for hour, sequence in packing.due.items()],
        )


def rows_within(table: Table, spans: Sequence[Span]) -> int:
    """Rows in the data files of a table that may have a `ts` in one of the spans, rows marked as deleted among them."""
    return sum(task.file.record_count for task in table.scan(row_filter=_within(spans)).plan_files())


def _within(spans: Sequence[Span]) -> BooleanExpression:
    ranges = [
        And(
            GreaterThanOrEqual(term=Reference("ts"), value=span.start.isoformat()),
            LessThan(term=Reference("ts"), value=span.end.isoformat()),
        )
        for span in spans
    ]
    return Or(*ranges) if len(ranges) > 1 else ranges[0]
