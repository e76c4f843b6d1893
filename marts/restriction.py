"""Restriction of processing (GDPR Art. 18): a device's data stays stored, and is in no mart, map, answer or release.

The rule: new records of it are landed, merged and derived, which is storage (Art. 18(2)); nothing of it is shown,
counted, published or given to anyone but the data subject, until the restriction is lifted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from contracts.settings import RegionSettings
from lake.database import transaction

_MARTS = """
select c.table_name from information_schema.columns c join information_schema.tables k using (table_schema, table_name)
where c.table_schema = 'marts' and c.column_name = 'device_id' and k.table_type = 'BASE TABLE' order by 1
"""
_DAYS = "select distinct day from staging.device_day where device_id = any(%s) order by 1"
_DUE = """
insert into ops.registry_change_of_day as c select day, clock_timestamp() + interval '2 s' from unnest(%s::date[]) day
on conflict (day) do update set changed_at = excluded.changed_at
"""


def restrict(settings: RegionSettings, devices: Sequence[str]) -> dict[str, int]:
    """Restrict these devices: their rows leave the marts at once, and sums over them are due to be built again.

    Returns devices that were not restricted before, rows taken out of each mart, and business days that are due.
    """
    with transaction(settings) as connection:
        marts = [name for (name,) in connection.execute(_MARTS).fetchall()]
        for name in marts:  # a build under way ends first, and the next sees the restriction
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"marts.{name}"])
        insert = "insert into registry.restriction (device_id) select unnest(%s::text[]) on conflict do nothing"
        counts = {"devices": connection.execute(insert, [list(devices)]).rowcount}
        for name in marts:
            statement = sql.SQL("delete from {} where device_id = any(%s)").format(sql.Identifier("marts", name))
            counts[f"marts.{name}"] = connection.execute(statement, [list(devices)]).rowcount
        return counts | {"days_due": _make_due(connection, devices)}


def lift(settings: RegionSettings, devices: Sequence[str]) -> dict[str, int]:
    """Lift the restriction: their days are due, and the next build of the marts has them again."""
    with transaction(settings) as connection:
        gone = connection.execute(
            "delete from registry.restriction where device_id = any(%s)", [list(devices)]
        ).rowcount
        return {"devices": gone, "days_due": _make_due(connection, devices) if gone else 0}


def restricted_since(settings: RegionSettings) -> dict[str, datetime]:
    """The devices that are restricted, and since when."""
    with transaction(settings) as connection:
        rows = connection.execute("select device_id, since from registry.restriction order by device_id").fetchall()
    return {device: since.astimezone(UTC) for device, since in rows}


def _make_due(connection: "psycopg.Connection[Any]", devices: Sequence[str]) -> int:
    """Marts of the days on which the devices reported are due, whatever was built meanwhile."""
    days = [day for (day,) in connection.execute(_DAYS, [list(devices)]).fetchall()]
    connection.execute("delete from ops.applied where target = 'marts' and day = any(%s)", [days])
    connection.execute(_DUE, [days])
    return len(days)
