"""What Postgres says, all of it at one moment: progress, merges, and staging's and the marts' sums by day."""

from datetime import date
from typing import Any

import msgspec
import psycopg

from contracts.settings import RegionSettings
from lake.reconcile.history import Landed, Merges, read_landed, read_merges


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and sums of one day of one table."""

    rows: int
    records: int
    sums: tuple[float, ...]
    """Of the columns that SUMMED names for the table."""


SUMMED: dict[str, tuple[str, ...]] = {
    "device_day": ("flagged", "late", "engine_s", "moving_s", "idle_s", "distance_gps_km", "trips"),
    "trip": ("moving_s", "idle_s", "distance_km"),
}
"""Columns summed a day, by table, as contracts.derived names them; `records` is summed for all."""
_IN_MARTS = {"flagged": "flagged_records", "late": "late_records"}


class Ops(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the region's database."""

    cursors: dict[str, str]
    """last_seq taken in from the ledger, by shard."""
    landed: list[Landed]
    merges: Merges
    harvested: tuple[int, int] | None
    """snapshot_id and sequence of history that changes were harvested up to."""
    changed: dict[date, int]
    derived: dict[date, tuple[int, int]]
    """Sequence a day was derived at, and the number that grows whenever its rows differ."""
    interrupted: set[date]
    """Days whose derived rows a run is replacing, or did not finish."""
    applied: dict[str, dict[date, int]]
    """Sequence by target and day."""
    staging: dict[str, dict[date, Cell]]
    marts: dict[str, dict[date, Cell]]

    def stale(self) -> set[date]:
        """Days that changed since they were derived, or were never derived to the end."""
        never = (-1, -1)
        changed = {day for day, sequence in self.changed.items() if sequence > self.derived.get(day, never)[0]}
        return changed | self.interrupted

    def unloaded(self) -> set[date]:
        """Derived days whose rows are not in staging yet."""
        staged = self.applied.get("staging", {})
        return {day for day, (_, rows) in self.derived.items() if staged.get(day, -1) < rows}

    def unmarted(self) -> set[date]:
        """Staged days whose rows are not in the marts yet."""
        marted = self.applied.get("marts", {})
        return {day for day, sequence in self.applied.get("staging", {}).items() if marted.get(day, -1) < sequence}


def read_ops(settings: RegionSettings) -> Ops:
    """Read all of it in one repeatable-read transaction."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        postgres.read_only = True
        cursor = postgres.execute(
            "select snapshot_id, sequence from ops.harvest_cursor where table_name = 'history.telemetry'"
        ).fetchone()
        return Ops(
            cursors=dict(postgres.execute("select shard_id, last_seq from ops.landing_cursor").fetchall()),
            landed=read_landed(postgres),
            merges=read_merges(postgres),
            harvested=(cursor[0], cursor[1]) if cursor else None,
            changed=dict(postgres.execute("select day, sequence from ops.changed").fetchall()),
            derived=_derived(postgres),
            interrupted={day for (day,) in postgres.execute("select day from ops.deriving where not taken_up")},
            applied=_applied(postgres),
            staging={table: _cells(postgres, "staging", table) for table in SUMMED},
            marts={table: _cells(postgres, "marts", table) for table in SUMMED},
        )


def read_derived(settings: RegionSettings) -> dict[date, tuple[int, int]]:
    """ops.derived as it is now."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        return _derived(postgres)


def _derived(postgres: "psycopg.Connection[Any]") -> dict[date, tuple[int, int]]:
    rows = postgres.execute("select day, sequence, coalesce(rows_sequence, sequence) from ops.derived").fetchall()
    return {day: (sequence, rows_sequence) for day, sequence, rows_sequence in rows}


def _applied(postgres: "psycopg.Connection[Any]") -> dict[str, dict[date, int]]:
    applied: dict[str, dict[date, int]] = {}
    for target, day, sequence in postgres.execute("select target, day, sequence from ops.applied").fetchall():
        applied.setdefault(target, {})[day] = sequence
    return applied


def _cells(postgres: "psycopg.Connection[Any]", schema: str, table: str) -> dict[date, Cell]:
    found = postgres.execute("select to_regclass(%s)", [f"{schema}.{table}"]).fetchone()
    if found is None or found[0] is None:
        return {}
    columns = [_IN_MARTS.get(name, name) if schema == "marts" else name for name in SUMMED[table]]
    summed = ", ".join(f"coalesce(sum({name}), 0)::float8" for name in columns)
    # Names are constants of this module.
    query = f"select day, count(*), sum(records)::bigint, {summed} from {schema}.{table} group by day"  # noqa: S608
    return {
        day: Cell(rows=rows, records=records, sums=tuple(sums))
        for day, rows, records, *sums in postgres.execute(query.encode()).fetchall()
    }
