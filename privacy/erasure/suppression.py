"""The suppression list: whose records are not taken in again, from the stream, a replay or a restored copy.

It holds keyed hashes alone. A device that was erased wholly stays on it until that is lifted, which is an act of its
own; of one that was erased in part, records of that time are left out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.erasable import Scope
from contracts.errors import Misuse
from contracts.pseudonyms import AUDIT, SUPPRESSION, key_for, keyed_hash
from contracts.settings import RegionSettings
from privacy import audit
from privacy.database import Connection, transaction

_LOCK = "select pg_advisory_xact_lock(hashtext('fleetlake.privacy.suppression'))"
_ADD = """
insert into privacy.suppression (device_hmac, from_ts, to_ts, request_id) values (%s, %s, %s, %s)
on conflict (device_hmac, coalesce(from_ts, '-infinity'), coalesce(to_ts, 'infinity')) do nothing
"""
_VERSION = "select coalesce(max(version), 0) from privacy.suppression"
_ENTERED = """
select encode(device_hmac, 'hex'), extract(epoch from from_ts)::text, extract(epoch from to_ts)::text,
    lifted_at is not null
from privacy.suppression where request_id = %s order by 1, 2, 3
"""
_FORGET = """
update privacy.suppression
set version = default, lifted_at = now(), device_hmac = decode(replace(gen_random_uuid()::text, '-', ''), 'hex')
where device_hmac = %(device)s and lifted_at is null and (from_ts is null and to_ts is null or not exists (
    select from privacy.suppression w
    where w.device_hmac = %(device)s and w.lifted_at is null and w.from_ts is null and w.to_ts is null
))
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """When records of a device are left out; both open is always."""

    version: int
    start: datetime | None
    end: datetime | None


def suppress(settings: RegionSettings, scope: Scope, request_id: UUID | None = None) -> int:
    """Put the scope's devices on the list; the version of the list with them. Again changes nothing."""
    key = key_for(settings.release_key, SUPPRESSION)
    rows = [(keyed_hash(key, one.device_id), one.start, one.end, request_id) for one in scope.portions]
    with transaction(settings) as connection:
        connection.execute(_LOCK)
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, rows)
        return _version(connection)


def entered(settings: RegionSettings, request_id: UUID) -> dict[str, Any]:
    """What the log keeps of a request's entries: how many, and a keyed hash over them, which names nobody."""
    with transaction(settings) as connection:
        rows = connection.execute(_ENTERED, [request_id]).fetchall()
    return {"entries": len(rows), "digest": _digest(settings, rows)}


def tampered(settings: RegionSettings, request_id: UUID, said: Mapping[str, Any]) -> str | None:
    """What is wrong with a request's entries, where they are not what the log said of them; None where they are."""
    with transaction(settings) as connection:
        rows = connection.execute(_ENTERED, [request_id]).fetchall()
    if len(rows) != said["entries"]:
        return f"the suppression list has {len(rows)} of the {said['entries']} entries that the request put on it"
    if not any(lifted for *_, lifted in rows) and _digest(settings, rows) != said["digest"]:
        return "entries that the request put on the suppression list were changed"
    return None


def lifted(settings: RegionSettings) -> int:
    """How many entries were lifted."""
    with transaction(settings) as connection:
        row = connection.execute("select count(*) from privacy.suppression where lifted_at is not null").fetchone()
    return int(row[0]) if row else 0


def lift(settings: RegionSettings, device_id: str, *, who: str, request_id: UUID | None = None) -> int:
    """Let a device's records in again; the version of the list without it. Its hash is forgotten.

    Ranges of people who had the device before stay left out; where it is on the list for ranges alone, they are lifted.
    Raises Misuse where it is not on the list.
    """
    with transaction(settings) as connection:
        connection.execute(_LOCK)
        lifted = connection.execute(_FORGET, {"device": _hash(settings, device_id)}).rowcount
        if not lifted:
            raise Misuse(f"the device is not on the suppression list of region {settings.region}")
        audit.append(
            connection, settings, "suppression.lifted", who=who, request_id=request_id, detail={"entries": lifted}
        )
        return _version(connection)


def entries_of(settings: RegionSettings, device_id: str) -> list[Entry]:
    """What the list says of a device."""
    query = "select version, from_ts, to_ts from privacy.suppression where device_hmac = %s and lifted_at is null"
    with transaction(settings) as connection:
        return [Entry(*row) for row in connection.execute(query, [_hash(settings, device_id)]).fetchall()]


def wholly_suppressed(settings: RegionSettings, device_ids: Iterable[str]) -> set[str]:
    """Those of the devices whose records are left out whenever they were made."""
    hashes = {_hash(settings, device): device for device in device_ids}
    query = """select device_hmac from privacy.suppression
        where device_hmac = any(%s) and lifted_at is null and from_ts is null and to_ts is null"""
    with transaction(settings) as connection:
        return {hashes[bytes(row[0])] for row in connection.execute(query, [list(hashes)]).fetchall()}


def version(settings: RegionSettings) -> int:
    """The list's version now; 0 where nobody was ever on it."""
    with transaction(settings) as connection:
        return _version(connection)


def _hash(settings: RegionSettings, device_id: str) -> bytes:
    return keyed_hash(key_for(settings.release_key, SUPPRESSION), device_id)


def _digest(settings: RegionSettings, rows: Iterable[Any]) -> str:
    text = json.dumps([row[:3] for row in rows])
    return keyed_hash(key_for(settings.release_key, AUDIT), text).hex()


def _version(connection: Connection) -> int:
    row = connection.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0
