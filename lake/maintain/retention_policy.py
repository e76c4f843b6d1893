"""Reads the retention policy: the region table, and what the registry says of fleets, devices and legal holds."""

from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import psycopg

from contracts.retention import DeviceRule, Expiry, FleetPeriod, expiry
from contracts.settings import LakeSettings
from lake.database import transaction

_HELD = """
    select device_id from registry.legal_hold where lifted_at is null and device_id is not null
    union
    select p.device_id from registry.device_period p join registry.legal_hold h on h.fleet_id = p.fleet_id
    where h.lifted_at is null
"""
_RULES = f"""
    with held as ({_HELD}),
    special as (
        select device_id from held
        union select device_id from registry.device where retention_days is not null
        union select p.device_id from registry.device_period p join registry.fleet f using (fleet_id)
        where f.retention_days is not null
    )
    select s.device_id, d.retention_days, h.device_id is not null,
        (p.valid_from at time zone %(zone)s)::date, (p.valid_to at time zone %(zone)s)::date, f.retention_days
    from special s
    left join registry.device d on d.device_id = s.device_id
    left join held h on h.device_id = s.device_id
    left join registry.device_period p on p.device_id = s.device_id
    left join registry.fleet f on f.fleet_id = p.fleet_id
    order by s.device_id, p.valid_from
"""  # noqa: S608 - a constant


def read_expiry(settings: LakeSettings, today: date | None = None) -> Expiry:
    """What is past its time on `today`, a business day of the region; now's where it is left out."""
    with transaction(settings) as connection:
        return expiry(
            settings.row.retention_days, read_rules(connection, settings.row.time_zone), _day(settings, today)
        )


def read_rules(connection: psycopg.Connection[Any], zone: str) -> list[DeviceRule]:
    """The devices for which something else than the region's rule may hold."""
    rows = connection.execute(_RULES, {"zone": zone}).fetchall()
    return [_rule(device_id, list(some)) for device_id, some in groupby(rows, key=lambda row: str(row[0]))]


def shortest_days(settings: LakeSettings) -> int:
    """The fewest days that anything of the region is kept: copies that hold devices of all kinds go by it."""
    query = """
        select min(days) from (
            select retention_days from registry.fleet union select retention_days from registry.device
        ) rule (days)
    """
    with transaction(settings) as connection:
        row = connection.execute(query).fetchone()
    own = int(row[0]) if row and row[0] is not None else settings.row.retention_days
    return min(own, settings.row.retention_days)


def holds_stand(connection: psycopg.Connection[Any]) -> bool:
    """Whether any legal hold stands."""
    return connection.execute("select from registry.legal_hold where lifted_at is null limit 1").fetchone() is not None


def _rule(device_id: str, rows: list[tuple[Any, ...]]) -> DeviceRule:
    _, days, held, *_ = rows[0]
    periods = [
        FleetPeriod(None if place == 0 else first, until, of_fleet)
        for place, (*_, first, until, of_fleet) in enumerate(rows)
    ]
    return DeviceRule(device_id, days, held, periods)


def _day(settings: LakeSettings, today: date | None) -> date:
    return today or datetime.now(UTC).astimezone(settings.row.zone).date()
