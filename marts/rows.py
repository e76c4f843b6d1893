"""Rows of a mart by business day, for the pages of its partitions."""

from collections.abc import Mapping, Sequence
from datetime import date

import psycopg
from psycopg import sql


def mart_rows(dsn: str, mart: str, days: Sequence[date]) -> Mapping[date, int]:
    """Rows of marts.`mart` on each of `days`; 0 for a day without any. The mart has a column `day`."""
    query = sql.SQL("select day, count(*) from {} where day = any(%s) group by day").format(
        sql.Identifier("marts", mart)
    )
    with psycopg.connect(dsn, application_name="fleetlake-assets") as connection:
        return {**dict.fromkeys(days, 0), **dict(connection.execute(query, [list(days)]).fetchall())}
