"""Loads days of the derived tables into Postgres staging."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from psycopg import sql
from pyarrow import csv

from contracts import names
from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, FAULT_DAY_SCHEMA, TRIP_SCHEMA
from contracts.errors import SchemaMismatch
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.tables import table
from marts.applied import STAGING, derived_sequences, lock_staged_day, mark_applied

DAYS_A_READ = 7
"""Days that one Iceberg scan reads: a bound on memory, and a replay of months does not plan a scan a day."""

TABLES: dict[str, tuple[str, pa.Schema]] = {
    "device_day": (names.DEVICE_DAY_TABLE, DEVICE_DAY_SCHEMA),
    "trip": (names.TRIP_TABLE, TRIP_SCHEMA),
    "episode": (names.EPISODE_TABLE, EPISODE_SCHEMA),
    "fault_day": (names.FAULT_DAY_TABLE, FAULT_DAY_SCHEMA),
}
"""Staging table to Iceberg table and columns."""

_log = structlog.get_logger(__name__)


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one load did: rows now in staging, by table, over the loaded days."""

    region: str
    days: list[date]
    skipped: list[date]
    """Days that are not derived yet, or that another load replaced at a newer sequence meanwhile."""
    rows: dict[str, int]

    def metadata(self) -> dict[str, Any]:
        """JSON-able values for the asset's metadata; no identifiers."""
        return {"days": len(self.days), "skipped": len(self.skipped), **{f"{k}_rows": v for k, v in self.rows.items()}}


def load_days(settings: RegionSettings, days: Sequence[date]) -> LoadReport:
    """Replace each of `days` in each table of staging by what history has.

    A day is replaced in one transaction with its ops.applied row, so that a reader sees the whole old day or the
    whole new one; a day without rows is emptied. May be repeated, killed, and run twice at once: the newest
    sequence wins. Raises SchemaMismatch where a history table lacks a column of contracts.derived.
    """
    loaded: list[date] = []
    skipped: list[date] = []
    rows = dict.fromkeys(TABLES, 0)
    for span in _spans(sorted(set(days))):
        # The sequences are read before the rows: rows that are newer than their sequence are only loaded again.
        sequences = derived_sequences(settings, span)
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
        staged = lock_staged_day(connection, day)
        if staged is not None and staged > sequence:
            return False
        for name, frame in by_table.items():
            into = sql.Identifier("staging", name)
            connection.execute(sql.SQL("delete from {} where day = %s").format(into), [day])
            _copy_rows(connection, into, frame)
        mark_applied(connection, STAGING, day, sequence, by_table["device_day"].num_rows)
        return True


_AS_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")
"""Values quoted, nulls not: an empty text stays apart from a missing one."""


def _copy_rows(connection: psycopg.Connection, into: sql.Identifier, rows: pa.Table) -> None:
    """Append `rows` to a table whose columns have their names. Arrow writes the text, so no value becomes Python."""
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
    statement = sql.SQL("copy {} ({}) from stdin with (format csv)").format(into, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in rows.to_batches():
            text = io.BytesIO()
            csv.write_csv(batch, text, _AS_CSV)
            copy.write(text.getbuffer())


def _spans(days: Iterable[date]) -> Iterator[list[date]]:
    ordered = list(days)
    for start in range(0, len(ordered), DAYS_A_READ):
        yield ordered[start : start + DAYS_A_READ]
