"""ops.applied: which days reached staging and the marts, each at which derivation, and which days are due.

Writes go through the Postgres function ops.mark_applied (contracts/ddl/fleet.sql), which releases use too.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import psycopg

from contracts.settings import RegionSettings
from lake.database import transaction

STAGING, MARTS = "staging", "marts"
"""Targets of ops.applied."""

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


def derived_sequences(settings: RegionSettings, days: Sequence[date]) -> dict[date, int]:
    """The sequence of each day's derived rows. A day that was never derived is left out."""
    query = "select day, coalesce(rows_sequence, sequence) from ops.derived where day = any(%s)"
    with transaction(settings) as connection:
        return dict(connection.execute(query, [list(days)]).fetchall())


_DUE_MARTS = """
    select s.day from ops.business_days(%(today)s) s
    left join ops.applied m on m.target = 'marts' and m.day = s.day
    where m.sequence is null or m.sequence < s.sequence
        -- The day became final after its marts were made: is_final has to say so.
        or (m.applied_at < final_at(s.day) and final_at(s.day) <= now())
        -- The registry says something else of its devices since.
        or exists (select from ops.registry_change_of_day c where c.day = s.day and c.changed_at > m.applied_at)
        or exists (
            select from ops.registry_change c
            where c.changed_at > m.applied_at and (c.since at time zone %(time_zone)s)::date <= s.day
                -- Devices are entered all day: the running day is not built again for each of them.
                and (s.day < %(today)s or m.applied_at < now() - interval '15 minutes')
        )
    order by s.day
""".replace("final_at(s.day)", "((s.day + 1 + %(final_after_days)s)::timestamp at time zone %(time_zone)s)")


def due_marts(settings: RegionSettings) -> list[date]:
    """Business days whose marts are older than staging or the registry, or that became final since, in order.

    A day between others on which the region was silent is due once: its rows say so.
    """
    values = _zone(settings) | {"final_after_days": settings.release_delay_days}
    with transaction(settings) as connection:
        return [day for (day,) in connection.execute(_DUE_MARTS, values)]


def _zone(settings: RegionSettings) -> dict[str, object]:
    return {"time_zone": settings.row.time_zone, "today": datetime.now(settings.row.zone).date()}


def staged_sequences(settings: RegionSettings, days: Sequence[date]) -> dict[date, int]:
    """The sequence that each day has in staging, 0 for a silent one; days that marts have no rows of are left out.

    Read it before dbt runs and give it to `mark_marts` afterwards.
    """
    query = "select day, sequence from ops.business_days(%(today)s) where day = any(%(days)s)"
    with transaction(settings) as connection:
        return dict(connection.execute(query, _zone(settings) | {"days": list(days)}).fetchall())


def mark_marts(settings: RegionSettings, days: Sequence[date], sequences: Mapping[date, int]) -> None:
    """Record that the marts of `days` were built from staging at `sequences`; days without a sequence are left out."""
    with transaction(settings) as connection:
        for day in days:
            if day in sequences:
                mark_applied(connection, MARTS, day, sequences[day], *_mart_rows(connection, day))


def lock_staged_day(connection: psycopg.Connection, day: date) -> int | None:
    """The sequence that the day has in staging, None before its first load. Locked until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{STAGING}/{day}"])
    query = "select sequence from ops.applied where target = %s and day = %s"
    row = connection.execute(query, [STAGING, day]).fetchone()
    return row[0] if row else None


def mark_applied(
    connection: psycopg.Connection, target: str, day: date, sequence: int, rows: int, at: datetime | None = None
) -> None:
    """Record that the target has the day's rows at `sequence`, as of `at` or now; never backwards."""
    connection.execute("select ops.mark_applied(%s, %s, %s, %s, %s)", [target, day, sequence, rows, at])


def _mart_rows(connection: psycopg.Connection, day: date) -> tuple[int, datetime | None]:
    """Rows of the day in marts.device_day and when they were built: finality is judged by that, not by the mark."""
    query = "select count(*), min(refreshed_at) from marts.device_day where day = %s"
    row = connection.execute(query, [day]).fetchone()
    return (row[0], row[1]) if row else (0, None)
