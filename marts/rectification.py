"""Rectification of what the registry says of a device (GDPR Art. 16): what is wrong is put right, not ended."""

from collections.abc import Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from contracts.derived import DEVICE_TYPES
from contracts.errors import Misuse
from contracts.settings import RegionSettings
from lake.database import transaction

_TIE = """
insert into registry.device_subject as s (device_id, subject_id, valid_from, valid_to)
values (%(device)s, %(subject)s, coalesce(%(since)s::timestamptz, now()), %(until)s::timestamptz)
on conflict (device_id, subject_id) do update
set valid_from = coalesce(%(since)s::timestamptz, s.valid_from), valid_to = coalesce(%(until)s::timestamptz, s.valid_to)
where s.valid_from <> %(since)s::timestamptz or s.valid_to is distinct from coalesce(%(until)s::timestamptz, s.valid_to)
"""
FACTS = ("make", "model", "type", "fuel", "fleet_id")


def rectify(
    settings: RegionSettings,
    device_id: str,
    facts: Mapping[str, str],
    *,
    add: str | None = None,
    drop: str | None = None,
    had: tuple[datetime | None, datetime | None] = (None, None),
) -> list[str]:
    """Set these facts of the device's present period, and the people it is tied to; which of them changed.

    had: from when to when the person who is added had it; where not given, from now on, or as it was said before.
    Marts of the period are due again by themselves. Raises Misuse for a device, fleet or type that is not known.
    """
    _check(facts)
    if any(not value.strip() for value in (*facts.values(), *(one for one in (add, drop) if one is not None))):
        raise Misuse("an empty text corrects nothing: say what is right")
    if had[0] is not None and had[1] is not None and had[0] >= had[1]:
        raise Misuse("--from lies after --to: nobody had the device in between")
    changed = []
    try:
        with transaction(settings) as connection:
            connection.execute("set local fleetlake.correcting = 'on'")
            known = connection.execute("select from registry.device where device_id = %s", [device_id]).fetchone()
            if known is None:
                raise Misuse(
                    f"region {settings.region} has no such device in its registry; enter it: fleetlake device add"
                )
            for column, value in facts.items():
                changed += [column] if _set(connection, device_id, column, value) else []
            changed += _tie(connection, device_id, add, drop, had)
    except psycopg.errors.ForeignKeyViolation:
        raise Misuse(f"region {settings.region} has no such fleet; enter it first") from None
    return changed


def _check(facts: Mapping[str, str]) -> None:
    unknown = set(facts) - set(FACTS)
    if unknown:
        raise Misuse(f"the registry has no {', '.join(sorted(unknown))}; it has {', '.join(FACTS)}")
    if facts.get("type", DEVICE_TYPES[0]) not in DEVICE_TYPES:
        raise Misuse(f"no type {facts['type']!r}; one of {', '.join(DEVICE_TYPES)}")


def _set(connection: "psycopg.Connection[tuple[object, ...]]", device_id: str, column: str, value: str) -> bool:
    query = sql.SQL("update registry.device set {c} = %s where device_id = %s and {c} is distinct from %s")
    statement = query.format(c=sql.Identifier(column))
    return connection.execute(statement, [value, device_id, value]).rowcount > 0


def _tie(
    connection: "psycopg.Connection[tuple[object, ...]]",
    device_id: str,
    add: str | None,
    drop: str | None,
    had: tuple[datetime | None, datetime | None],
) -> list[str]:
    changed = []
    if add is not None:
        connection.execute("insert into registry.subject (subject_id) values (%s) on conflict do nothing", [add])
        values = {"device": device_id, "subject": add, "since": had[0], "until": had[1]}
        changed += ["subject added"] if connection.execute(_TIE, values).rowcount else []
    if drop is not None:
        untie = "delete from registry.device_subject where device_id = %s and subject_id = %s"
        changed += ["subject dropped"] if connection.execute(untie, [device_id, drop]).rowcount else []
    return changed
