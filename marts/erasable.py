"""Postgres' tables of the lake: staging, the marts and the registry. Adapters of contracts.erasable.

Every table of staging and marts that has a device_id is covered, those too that come later; where one names the person
as well (subject_id), all that it says of them. Sums over several devices
are made again without the erased one: its days are taken off ops.applied, so that `process` builds their marts anew.
Postgres keeps bytes of deleted rows, and samples of values as statistics: both are written anew.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from contracts.erasable import Counts, Needles, Portion, Remains, Scope, total
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.derive.business_days import inner_days
from marts.applied import due_loads
from marts.holds import refuse_held
from marts.load import load_days

_TABLES = """
    select c.table_schema, c.table_name,
        bool_or(c.column_name = 'day') as has_day,
        bool_or(c.column_name = 'subject_id') as has_person
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where t.table_type = 'BASE TABLE' and c.table_schema = any(%s)
    group by 1, 2 having bool_or(c.column_name = 'device_id') order by 1, 2
"""
_DAYS = "select distinct day from staging.device_day where device_id = any(%s)"
_REBUILD = "delete from ops.applied where target = 'marts' and day = any(%s)"
STATISTICS = ("pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data")
"""Where Postgres keeps values that are frequent in a column."""


class StagingAndMarts:
    """Every table of schemas staging and marts with a device_id."""

    name = "marts"
    stores = (
        "staging.*",
        "marts.*",
    )

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self, scope: Scope) -> Counts:
        """Rows of the scope's devices, and of the person; of devices meant in part, rows of days that lie within."""
        with transaction(self._settings) as connection:
            return {table.name: self._count(connection, table, scope) for table in _tables(connection)}

    def search(self, scope: Scope) -> Counts:
        """The rows, and values of the devices in what Postgres keeps as statistics."""
        found = dict(self.count(scope))
        if scope.whole_devices or scope.subject:
            with transaction(self._settings) as connection:
                found["pg_statistic"] = in_statistics(connection, scope, ("staging", "marts"))
        return found

    def erase(self, scope: Scope) -> Counts:
        """Load the days that were derived anew, delete, have these days' marts built again, and leave no bytes."""
        if scope.ranges:
            load_days(self._settings, due_loads(self._settings))
        removed: dict[str, int] = {}
        with transaction(self._settings) as connection:
            tables = list(_tables(connection))
            days = [day for (day,) in connection.execute(_DAYS, [list(scope.devices)])]
            for table in tables:
                removed[table.name] = self._delete(connection, table, scope)
            connection.execute(_REBUILD, [days])
        # Also where nothing was left to delete: a run that was killed here had deleted and not rewritten.
        rewrite(self._settings, [table.name for table in tables])
        return removed

    def expires(self, now: datetime) -> list[Remains]:
        """Postgres' log and its backups."""
        until = now + timedelta(days=self._settings.backup_keep_days)
        return [
            Remains("Postgres' write-ahead log", until, "segments are written over as new ones are needed"),
            Remains("backups and snapshots of Postgres", until, "kept FLEETLAKE_BACKUP_KEEP_DAYS days"),
        ]

    def _count(self, connection: psycopg.Connection, table: "_Table", scope: Scope) -> int:
        where, values = self._where(scope, table)
        query = sql.SQL("select count(*) from {} where {}").format(_identifier(table.name), where)
        row = connection.execute(query, values).fetchone()
        return row[0] if row else 0

    def _delete(self, connection: psycopg.Connection, table: "_Table", scope: Scope) -> int:
        where, values = self._where(scope, table)
        query = sql.SQL("delete from {} where {}").format(_identifier(table.name), where)
        return connection.execute(query, values).rowcount

    def _where(self, scope: Scope, table: "_Table") -> tuple[sql.Composable, list[Any]]:
        conditions = list(self._conditions(scope, table))
        said: list[sql.Composable] = [sql.SQL("({})").format(sql.SQL(condition)) for condition, _ in conditions]
        return sql.SQL(" or ").join(said or [sql.SQL("false")]), [value for _, values in conditions for value in values]

    def _conditions(self, scope: Scope, table: "_Table") -> Iterator[tuple[Any, list[Any]]]:
        if scope.whole_devices:
            yield "device_id = any(%s)", [list(scope.whole_devices)]
        if scope.subject and table.has_person:
            yield "subject_id = %s", [scope.subject]
        for portion in scope.ranges if table.has_day else ():
            first, end = self._days(portion)
            yield (
                "device_id = %s and day >= coalesce(%s::date, day) and day < coalesce(%s::date, day + 1)",
                [portion.device_id, first, end],
            )

    def _days(self, portion: Portion) -> tuple[date | None, date | None]:
        return inner_days(portion.start, portion.end, self._settings.row.zone)


class _Table(NamedTuple):
    """A table that names devices: whether it says the day, and the person."""

    name: str
    has_day: bool
    has_person: bool


class Registry:
    """registry.device with its periods, and data subjects."""

    name = "registry"
    stores = (
        *("registry.device", "registry.device_period", "registry.device_subject", "registry.subject"),
        *("registry.restriction", "registry.legal_hold", "registry.private_time", "registry.service_done"),
    )

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self, scope: Scope) -> Counts:
        """Devices that are meant wholly, and the person with their ties."""
        devices, people = list(scope.whole_devices), [scope.subject] if scope.subject else []
        of_devices, ties = "where device_id = any(%s)", "where device_id = any(%s) or subject_id = any(%s)"
        with transaction(self._settings) as connection:
            return {
                "registry.device": _rows(connection, f"registry.device {of_devices}", devices),
                "registry.device_period": _rows(connection, f"registry.device_period {of_devices}", devices),
                "registry.device_subject": _rows(connection, f"registry.device_subject {ties}", devices, people),
                "registry.subject": _rows(connection, "registry.subject where subject_id = any(%s)", people),
                "registry.restriction": _rows(connection, f"registry.restriction {of_devices}", devices),
                "registry.legal_hold": _rows(connection, f"registry.legal_hold {of_devices}", devices),
                "registry.private_time": _rows(connection, f"registry.private_time {of_devices}", devices)
                + sum(_rows(connection, f"registry.private_time {_WITHIN}", *_span(one)) for one in scope.ranges),
                "registry.service_done": _rows(connection, f"registry.service_done {of_devices}", devices),
            }

    def search(self, scope: Scope) -> Counts:
        """The rows, and values in what Postgres keeps as statistics."""
        with transaction(self._settings) as connection:
            statistics = in_statistics(connection, scope, ("registry",)) if scope.whole_devices or scope.subject else 0
        return {**self.count(scope), "pg_statistic (registry)": statistics}

    def erase(self, scope: Scope) -> Counts:
        """Delete them. A person who asks for a range alone stays known for the rest."""
        refuse_held(self._settings, scope.whole_devices)  # one that was placed while the erasure ran stays on record
        found = self.count(scope)
        if total(found):
            with transaction(self._settings) as connection:
                connection.execute(
                    "delete from registry.device_subject where device_id = any(%s) or subject_id = any(%s)",
                    [list(scope.whole_devices), [scope.subject] if scope.subject else []],
                )
                connection.execute("delete from registry.subject where subject_id = %s", [scope.subject])
                for portion in scope.ranges:
                    connection.execute(f"delete from registry.private_time {_WITHIN}".encode(), _span(portion))  # noqa: S608
                for table in ("restriction", "legal_hold", "private_time", "service_done", "device"):
                    statement = f"delete from registry.{table} where device_id = any(%s)"  # noqa: S608 - names of ours
                    connection.execute(statement.encode(), [list(scope.whole_devices)])
        rewrite(self._settings, list(self.stores))
        return found

    def expires(self, now: datetime) -> list[Remains]:
        """Nothing that the database's other adapters do not name."""
        return []


def rewrite(settings: RegionSettings, tables: Sequence[str]) -> None:
    """Write the tables' files anew without what was deleted, and the statistics of their values."""
    with _autocommit(settings) as connection:
        for name in tables:
            connection.execute(sql.SQL("vacuum (full, analyze) {}").format(_identifier(name)))
        for name in STATISTICS:
            connection.execute(sql.SQL("vacuum (full) {}").format(_identifier(name)))


def in_statistics(connection: psycopg.Connection, scope: Scope, schemas: Sequence[str]) -> int:
    """Statistics of columns of these schemas that show a name of the scope; a device meant in part stays in them."""
    needles = Needles([*scope.whole_devices, *([scope.subject] if scope.subject else [])])
    rows = connection.execute(
        "select most_common_vals::text, histogram_bounds::text from pg_stats where schemaname = any(%s)",
        [list(schemas)],
    ).fetchall()
    return sum(needles.found_in(text) > 0 for row in rows for text in row if text)


def _tables(connection: psycopg.Connection) -> Iterator[_Table]:
    for schema, table, has_day, has_person in connection.execute(_TABLES, [["staging", "marts"]]).fetchall():
        yield _Table(f"{schema}.{table}", has_day, has_person)


_WITHIN = """where device_id = %s and starts_at >= coalesce(%s::timestamptz, '-infinity')
    and starts_at < coalesce(%s::timestamptz, 'infinity')"""
"""Private times that begin within a portion of a device."""


def _span(portion: Portion) -> list[Any]:
    return [portion.device_id, portion.start, portion.end]


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split(".", maxsplit=1))


def _rows(connection: psycopg.Connection, what: str, *values: Any) -> int:
    query = f"select count(*) from {what}"  # noqa: S608 - constants of this module
    row = connection.execute(query.encode(), values).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _autocommit(settings: RegionSettings) -> Iterator[psycopg.Connection[Any]]:
    with transaction(settings) as connection:
        connection.autocommit = True
        yield connection
