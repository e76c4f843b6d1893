"""Rows of staging and of the marts by business day, as Dagster's pages and checks show them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from contracts.settings import RegionSettings

if TYPE_CHECKING:
    import pandas as pd

_DAYS = 8
"""Days among which a check finds the rows that it reads."""


def staged_rows(settings: RegionSettings, table: str, days: Sequence[date]) -> dict[date, int]:
    """Rows of staging.`table` (one of marts.load.TABLES) on each of `days`; 0 for a day without any."""
    with _connect(settings.postgres_dsn.get_secret_value()) as connection:
        return _rows_by_day(connection, sql.Identifier("staging", table), days)


def staged_records(settings: RegionSettings) -> int:
    """Records that the device days in staging count."""
    query = "select coalesce(sum(records), 0)::bigint from staging.device_day"
    with _connect(settings.postgres_dsn.get_secret_value()) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def mart_rows(dsn: str, mart: str, days: Sequence[date]) -> dict[date, int]:
    """Rows of marts.`mart` on each of `days`; 0 for a day without any. The mart has a column `day`."""
    with _connect(dsn) as connection:
        return _rows_by_day(connection, sql.Identifier("marts", mart), days)


def mart_rows_built_last(settings: RegionSettings, mart: str, limit: int) -> "pd.DataFrame":
    """At most `limit` rows of marts.`mart`, which has a column `day`, of the days that were built last."""
    import pandas as pd

    query = """
        with built as (
            select day, applied_at from ops.applied where target = 'marts' and rows > 0
            order by applied_at desc limit %s
        )
        select m.* from {} m join built using (day) order by built.applied_at desc limit %s
    """
    with _connect(settings.postgres_dsn.get_secret_value()) as connection:
        cursor = connection.execute(sql.SQL(query).format(sql.Identifier("marts", mart)), [_DAYS, limit])
        names = [column.name for column in cursor.description or ()]
        return pd.DataFrame(cursor.fetchall(), columns=names)


_USUAL = """
    with newest as (
        select day from ops.applied
        where target = 'marts' and rows > 0 and day < %(today)s order by day desc limit 1
    ),
    by_day as (
        select
            day, count(*) as devices,
            percentile_cont(0.5) within group (order by max_speed_kmh) as max_speed_kmh,
            percentile_cont(0.5) within group (order by records) as records,
            sum(distance_gps_km) / nullif(sum(moving_s) / 3600, 0) as speed_in_motion_kmh,
            sum(engine_s) / count(*) / 3600 as engine_h,
            sum(flagged_records)::float8 / nullif(sum(records), 0) as flagged_share
        from marts.device_day
        where day between (select day from newest) - %(days)s and (select day from newest)
        group by day
    )
    select * from by_day order by day
"""


def usual_days(settings: RegionSettings, days: int) -> "pd.DataFrame":
    """What the newest day that is over, and those of `days` before it that have rows, are like; a row a day.

    Columns: day, devices, max_speed_kmh and records (medians of the devices), speed_in_motion_kmh, engine_h (means),
    flagged_share.
    """
    import pandas as pd

    values = {"today": datetime.now(settings.row.zone).date(), "days": days}
    with _connect(settings.postgres_dsn.get_secret_value()) as connection:
        cursor = connection.execute(_USUAL, values)
        names = [column.name for column in cursor.description or ()]
        return pd.DataFrame(cursor.fetchall(), columns=names)


def _connect(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, application_name="fleetlake-assets")


def _rows_by_day(connection: psycopg.Connection[Any], table: sql.Identifier, days: Sequence[date]) -> dict[date, int]:
    query = sql.SQL("select day, count(*) from {} where day = any(%s) group by day").format(table)
    return dict.fromkeys(days, 0) | dict(connection.execute(query, [list(days)]).fetchall())
