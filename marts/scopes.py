"""Whom a request is about: a device, or a person with the times in which they had devices, as the registry has them."""

from datetime import datetime
from typing import Any

import psycopg
from contracts.erasable import Portion, Scope

from contracts.errors import Misuse
from contracts.settings import RegionSettings
from lake.database import transaction

_TIES = """
select t.device_id,
    case when exists (
        select from registry.device_subject o where o.device_id = t.device_id and o.valid_from < t.valid_from
    ) then t.valid_from end
from registry.device_subject t where t.subject_id = %s order by 1
"""
"""The first who had a device had it from its beginning on, as its first period in the registry reaches back."""


def scope_of(settings: RegionSettings, name: str, start: datetime | None = None, end: datetime | None = None) -> Scope:
    """The scope of a data subject of that name, else of a device; within [start, end) where given.

    A device need not be in the registry. Raises Misuse for a person without a device, and for a name of both.
    """
    with transaction(settings) as connection:
        is_subject = _has(connection, "registry.subject", "subject_id", name)
        if is_subject and _has(connection, "registry.device", "device_id", name):
            raise Misuse(f"region {settings.region} has a device and a data subject of this name; rename one of them")
        ties = connection.execute(_TIES, [name]).fetchall() if is_subject else [(name, None)]
    if not ties:
        raise Misuse(
            f"the data subject has no device in region {settings.region}; tie one with registry.device_subject"
        )
    portions = (Portion(device, _later(since, start), end) for device, since in ties)
    wanted = tuple(one for one in portions if one.start is None or one.end is None or one.start < one.end)
    if not wanted:
        raise Misuse("the data subject had none of their devices in this time; ask for a later one")
    return Scope(wanted, name if is_subject else None)


def _has(connection: psycopg.Connection[Any], table: str, column: str, name: str) -> bool:
    query = f"select from {table} where {column} = %s"
    return connection.execute(query.encode(), [name]).fetchone() is not None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [moment for moment in (one, other) if moment is not None]
    return max(known, default=None)
