"""Rows of staging and of the marts by business day, as Dagster's pages and checks show them."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from contracts.settings import RegionSettings

if TYPE_CHECKING:
    import pandas as pd


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


def newest_device_days(settings: RegionSettings, limit: int) -> "pd.DataFrame":
    """At most `limit` rows of marts.device_day, newest days first."""
    import pandas as pd

    with _connect(settings.postgres_dsn.get_secret_value()) as connection:
        cursor = connection.execute("select * from marts.device_day order by day desc limit %s", [limit])
        names = [column.name for column in cursor.description or ()]
        return pd.DataFrame(cursor.fetchall(), columns=names)


def _connect(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, application_name="fleetlake-assets")


def _rows_by_day(connection: psycopg.Connection[Any], table: sql.Identifier, days: Sequence[date]) -> dict[date, int]:
    query = sql.SQL("select day, count(*) from {} where day = any(%s) group by day").format(table)
    return dict.fromkeys(days, 0) | dict(connection.execute(query, [list(days)]).fetchall())
