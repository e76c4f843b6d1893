"""Days of history.trip and history.device_day into Postgres staging, and which days the marts still wait for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from psycopg import sql

from contracts import names
from contracts.derived import DEVICE_DAY_SCHEMA, TRIP_SCHEMA
from contracts.errors import SchemaMismatch
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.tables import table
from marts.copy import copy_rows, lock

STAGING, MARTS = "staging", "marts"
"""Targets of ops.applied."""

DAYS_A_READ = 7
"""Days that one Iceberg scan reads: a bound on memory, and a replay of months does not plan a scan a day."""

TABLES: dict[str, tuple[str, pa.Schema]] = {
    "device_day": (names.DEVICE_DAY_TABLE, DEVICE_DAY_SCHEMA),
    "trip": (names.TRIP_TABLE, TRIP_SCHEMA),
}
"""Staging table to Iceberg table and columns."""

_log = structlog.get_logger(__name__)


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one load did: rows now in staging, by table, over the loaded days."""

    region: str
    days: list[date]
    skipped: list[date]
    """Days that are not derived yet, or that another load brought in at a newer sequence meanwhile."""
    rows: dict[str, int]

    def metadata(self) -> dict[str, Any]:
        """JSON-able values for the asset's metadata; no identifiers."""
        return {"days": len(self.days), "skipped": len(self.skipped), **{f"{k}_rows": v for k, v in self.rows.items()}}


_DUE_LOADS = """
    select d.day from ops.derived d
    left join ops.applied a on a.target = 'staging' and a.day = d.day
    where a.sequence is null or a.sequence < coalesce(d.rows_sequence, d.sequence)
    order by d.day
"""


def due_loads(settings: RegionSettings) -> list[date]:
    """Business days whose derived rows differ from what staging has, in order."""
    with transaction(settings) as connection:
        return [day for (day,) in connection.execute(_DUE_LOADS)]


def load_days(settings: RegionSettings, days: Sequence[date]) -> LoadReport:
    """Replace each of `days` in staging.trip and staging.device_day by what history has.

    A day is replaced in one transaction with its ops.applied row, so that a reader sees the whole old day or the
    whole new one; a day without rows is emptied. May be repeated, killed, and run twice at once: the newest
    sequence wins. Raises SchemaMismatch where a history table lacks a column of contracts.derived.
    """
    loaded: list[date] = []
    skipped: list[date] = []
    rows = dict.fromkeys(TABLES, 0)
    for span in _spans(sorted(set(days))):
        # The sequences are read before the rows: rows that are newer than their sequence are only loaded again.
        sequences = _derived_sequences(settings, span)
        frames = {name: _read(settings, name, span) for name in TABLES} if sequences else {}
        for day in span:
            by_table = {name: _of_day(frame, day) for name, frame in frames.items()}
            if day in sequences and _replaced(settings, day, sequences[day], by_table):
                loaded.append(day)
                rows = {name: rows[name] + by_table[name].num_rows for name in TABLES}
            else:
                skipped.append(day)
    _log.info("staging_loaded", region=settings.region, days=len(loaded), skipped=len(skipped), **rows)
    return LoadReport(region=settings.region, days=loaded, skipped=skipped, rows=rows)


_DUE_MARTS = """
    select s.day from ops.applied s
    left join ops.applied m on m.target = 'marts' and m.day = s.day
    where s.target = 'staging' and (
        m.sequence is null or m.sequence < s.sequence
        -- The day became final after its marts were made: is_final has to say so.
        or (m.applied_at < final_at(s.day) and final_at(s.day) <= now())
    )
    order by s.day
""".replace("final_at(s.day)", "((s.day + 1 + %(final_after_days)s)::timestamp at time zone %(time_zone)s)")


def due_marts(settings: RegionSettings) -> list[date]:
    """Business days whose marts are older than staging, or that became final since, in order."""
    values = {"final_after_days": settings.release_delay_days, "time_zone": settings.row.time_zone}
    with transaction(settings) as connection:
        return [day for (day,) in connection.execute(_DUE_MARTS, values)]


def staged_sequences(settings: RegionSettings, days: Sequence[date]) -> dict[date, int]:
    """The sequence that each day has in staging. Read it before dbt runs and give it to `mark_marts` after."""
    query = "select day, sequence from ops.applied where target = 'staging' and day = any(%s)"
    with transaction(settings) as connection:
        return dict(connection.execute(query, [list(days)]).fetchall())


def mark_marts(settings: RegionSettings, days: Sequence[date], sequences: Mapping[date, int]) -> None:
    """Record that the marts of `days` were built from staging at `sequences`; days without a sequence are left out."""
    with transaction(settings) as connection:
        for day in days:
            if day in sequences:
                mark_applied(connection, MARTS, day, sequences[day], *_mart_rows(connection, day))


def _mart_rows(connection: psycopg.Connection, day: date) -> tuple[int, datetime | None]:
    """Rows of the day in marts.device_day and when they were built: finality is judged by that, not by the mark."""
    query = "select count(*), min(refreshed_at) from marts.device_day where day = %s"
    row = connection.execute(query, [day]).fetchone()
    return (row[0], row[1]) if row else (0, None)


def mark_applied(
    connection: psycopg.Connection, target: str, day: date, sequence: int, rows: int, at: datetime | None = None
) -> None:
    """Write one row of ops.applied, as of `at` or now; never backwards."""
    connection.execute(
        """insert into ops.applied as a (target, day, sequence, rows, applied_at)
        values (%s, %s, %s, %s, coalesce(%s, now()))
        on conflict (target, day) do update
        set sequence = excluded.sequence, rows = excluded.rows, applied_at = excluded.applied_at
        where a.sequence <= excluded.sequence""",
        [target, day, sequence, rows, at],
    )


def _derived_sequences(settings: RegionSettings, days: list[date]) -> dict[date, int]:
    query = "select day, coalesce(rows_sequence, sequence) from ops.derived where day = any(%s)"
    with transaction(settings) as connection:
        return dict(connection.execute(query, [days]).fetchall())


def _read(settings: RegionSettings, name: str, days: list[date]) -> pa.Table:
    iceberg_name, schema = TABLES[name]
    wanted = ", ".join(f"'{day.isoformat()}'" for day in days)
    rows = table(settings, iceberg_name).scan(row_filter=f"day in ({wanted})").to_arrow()
    missing = [name for name in schema.names if name not in rows.schema.names]
    if missing:
        raise SchemaMismatch(f"{iceberg_name} lacks {', '.join(missing)}; derive it again with this version")
    return rows.select(schema.names).cast(schema)


def _of_day(frame: pa.Table, day: date) -> pa.Table:
    return frame.filter(pc.equal(frame["day"], pa.scalar(day, pa.date32())))


def _replaced(settings: RegionSettings, day: date, sequence: int, by_table: Mapping[str, pa.Table]) -> bool:
    """Whether the day was replaced; not where staging already has it at a newer sequence."""
    with transaction(settings) as connection:
        lock(connection, f"{STAGING}/{day}")
        query = "select sequence from ops.applied where target = %s and day = %s"
        applied = connection.execute(query, [STAGING, day]).fetchone()
        if applied is not None and applied[0] > sequence:
            return False
        for name, frame in by_table.items():
            into = sql.Identifier("staging", name)
            connection.execute(sql.SQL("delete from {} where day = %s").format(into), [day])
            copy_rows(connection, into, frame)
        mark_applied(connection, STAGING, day, sequence, by_table["device_day"].num_rows)
        return True


def _spans(days: Iterable[date]) -> Iterator[list[date]]:
    ordered = list(days)
    for start in range(0, len(ordered), DAYS_A_READ):
        yield ordered[start : start + DAYS_A_READ]
