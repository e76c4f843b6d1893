"""Retention of fleet_R: what is past its time goes from staging, the marts and the registry, in one transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from contracts.retention import Expiry, Standing, Standings
from contracts.settings import RegionSettings
from lake.database import transaction

_SCOPE = """
create temp table past_span (device_id text not null, first date not null, before date not null) on commit drop;
create temp table exempt_device (device_id text primary key) on commit drop;
create temp table fleet_before (fleet_id text primary key, before date not null) on commit drop;
"""
_FLEETS = """
insert into fleet_before
select f.fleet_id, case when exists (
    select from registry.legal_hold h where h.fleet_id = f.fleet_id and h.lifted_at is null
) then '-infinity' else %(today)s::date - coalesce(f.retention_days, %(region_days)s) end
from registry.fleet f
"""
_OF_DEVICE = """(
    ({day} < %(before)s and not exists (select from exempt_device e where e.device_id = t.device_id))
    or exists (select from past_span s where s.device_id = t.device_id and {day} >= s.first and {day} < s.before)
)"""
_OF_FLEET = """{day} < coalesce((select f.before from fleet_before f where f.fleet_id = t.fleet_id), %(before)s)"""
_DAYS = {
    "day": "t.day",
    "last_day": "t.last_day",
    "month_start_day": "(t.month_start_day + interval '1 month - 1 day')::date",
}
"""How a table of staging or the marts says of which business day a row is, the last one that it is of."""
_TABLES = """
select c.table_schema, c.table_name, array_agg(c.column_name::text) from information_schema.columns c
join information_schema.tables k using (table_schema, table_name)
where c.table_schema in ('staging', 'marts') and k.table_type = 'BASE TABLE' group by 1, 2 order by 1, 2
"""


class _Dated(NamedTuple):
    """A table with rows of days: the day of a row `t`, and whether it is past its time, in SQL."""

    name: str
    day: LiteralString
    past: LiteralString


_HELD = "exists (select from fleet_before f where f.before = '-infinity' and f.fleet_id = any({fleets}))"
_OF_REGISTRY = (
    _Dated("registry.share", "t.valid_to", f"t.valid_to < %(instant)s and not {_HELD}".replace("{fleets}", "t.fleets")),
    _Dated(
        "registry.zone",
        "t.valid_to",
        f"t.valid_to < %(instant)s and not {_HELD}".replace("{fleets}", "array[t.fleet_id]"),
    ),
    _Dated(
        "registry.last_refusal",
        "t.refused_at",
        "t.refused_at < %(instant)s and not exists (select from exempt_device e where e.device_id = t.device_id)",
    ),
    _Dated(
        "registry.private_time",
        "t.ends_at",
        "t.ends_at < %(instant)s and not exists (select from exempt_device e where e.device_id = t.device_id)",
    ),
)
"""What the registry has of past times, by the region's number of days: links, ended zones, refusals, private times."""
_GONE_DAYS = """
create temp table gone_day on commit drop as
select a.day from ops.applied a left join ops.changed c on c.day = a.day left join ops.derived d on d.day = a.day
where a.day < %(before)s and coalesce(c.sequence, -1) <= coalesce(d.sequence, -1)
    and not exists (select from staging.device_day s where s.day = a.day)
group by 1
"""
"""Days of which nothing is left, nor on its way: they are no business days of the marts any more."""
_PROGRESS = ("applied", "derived", "changed")


class FleetDatabase:
    """Staging, the marts and what the registry has of past times (contracts.retention.Retained)."""

    name = "fleet"

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, due: Expiry) -> Standings:
        """See Retained."""
        return look(self._settings, due)

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        return remove_overdue(self._settings, due)


def look(settings: RegionSettings, due: Expiry) -> dict[str, Standing]:
    """Each table against the policy."""
    with _scope(settings, due) as (connection, values):
        return {one.name: _standing(connection, one, values) for one in _dated(connection)}


def remove_overdue(settings: RegionSettings, due: Expiry) -> dict[str, int]:
    """Remove them, all or none. Rows removed, by table."""
    with _scope(settings, due) as (connection, values):
        removed = {}
        for one in _dated(connection):
            statement = sql.SQL("delete from {} t where {}").format(_identifier(one.name), sql.SQL(one.past))
            removed[one.name] = connection.execute(statement, values).rowcount
        connection.execute(_GONE_DAYS, values)
        for table in _PROGRESS:
            gone = sql.SQL("delete from {} where day in (select day from gone_day)")
            connection.execute(gone.format(sql.Identifier("ops", table)))
        return removed


def dated_marts(connection: psycopg.Connection[Any]) -> tuple[set[str], set[str]]:
    """The marts' tables with rows of days, and those without: dimensions, which name no time of a device."""
    dated = {one.name for one in _dated(connection) if one.name.startswith("marts.")}
    known = {f"{schema}.{table}" for schema, table, _ in connection.execute(_TABLES) if schema == "marts"}
    return dated, known - dated


@contextmanager
def _scope(settings: RegionSettings, due: Expiry) -> Iterator[tuple[psycopg.Connection[Any], Mapping[str, Any]]]:
    """A transaction that has what is past its time as temporary tables, and the values of the conditions."""
    days = settings.row.retention_days
    with transaction(settings) as connection:
        connection.execute(_SCOPE)
        connection.execute(_FLEETS, {"today": due.today, "region_days": days})
        with connection.cursor() as cursor:
            with cursor.copy("copy past_span from stdin") as copy:
                for span in due.spans:
                    copy.write_row((span.device_id, span.first or date(1, 1, 1), span.before))
            with cursor.copy("copy exempt_device from stdin") as copy:
                for device_id in sorted(due.exempt):
                    copy.write_row((device_id,))
        connection.execute("analyze past_span, exempt_device, fleet_before")
        instant = f"{due.before} 00:00:00 {settings.row.time_zone}"
        yield connection, {"before": due.before, "instant": instant}


def _dated(connection: psycopg.Connection[Any]) -> list[_Dated]:
    found = []
    for schema, table, columns in connection.execute(_TABLES).fetchall():
        day = next((text for column, text in _DAYS.items() if column in columns), None)
        who = _OF_DEVICE if "device_id" in columns else _OF_FLEET if "fleet_id" in columns else None
        if day is not None and who is not None:
            found.append(_Dated(f"{schema}.{table}", day, who.replace("{day}", day)))
    return [*found, *_OF_REGISTRY]


def _standing(connection: psycopg.Connection[Any], one: _Dated, values: Mapping[str, Any]) -> Standing:
    query = sql.SQL("select count(*), count(*) filter (where {}), min({})::date from {} t").format(
        sql.SQL(one.past), sql.SQL(one.day), _identifier(one.name)
    )
    row = connection.execute(query, values).fetchone()
    rows, overdue, oldest = row if row is not None else (0, 0, None)
    return Standing(rows=rows, overdue=overdue, oldest=oldest)


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
