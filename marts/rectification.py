"""Rectification of what the registry says of a device (GDPR Art. 16): what is wrong is put right, not ended."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from contracts.derived import DEVICE_TYPES
from contracts.errors import Misuse
from contracts.settings import RegionSettings
from lake.database import transaction

FACTS = ("make", "model", "type", "fuel", "fleet_id")


def rectify(
    settings: RegionSettings,
    device_id: str,
    facts: Mapping[str, str],
    *,
    add: str | None = None,
    drop: str | None = None,
) -> list[str]:
    """Set these facts of the device's present period, and the people it is tied to; which of them changed.

    Marts of the period are due again by themselves. Raises Misuse for a device, fleet or type that is not known.
    """
    _check(facts)
    if any(not value.strip() for value in (*facts.values(), *(one for one in (add, drop) if one is not None))):
        raise Misuse("an empty text corrects nothing: say what is right")
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
            changed += _tie(connection, device_id, add, drop)
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
    connection: "psycopg.Connection[tuple[object, ...]]", device_id: str, add: str | None, drop: str | None
) -> list[str]:
    changed = []
    if add is not None:
        connection.execute("insert into registry.subject (subject_id) values (%s) on conflict do nothing", [add])
        tie = "insert into registry.device_subject (device_id, subject_id) values (%s, %s) on conflict do nothing"
        changed += ["subject added"] if connection.execute(tie, [device_id, add]).rowcount else []
    if drop is not None:
        untie = "delete from registry.device_subject where device_id = %s and subject_id = %s"
        changed += ["subject dropped"] if connection.execute(untie, [device_id, drop]).rowcount else []
    return changed
