"""The log of privacy acts: append-only, each row chained to the one before by a keyed hash (GDPR Art. 5(2), 24(1)).

The database refuses to change or remove a row. Its owner could still do so past the trigger, and an older backup could
be restored: the chain then breaks, or ends before a head that was noted elsewhere. Rows name no device and no person.
"""

import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from contracts.errors import FleetlakeError, Misuse
from contracts.pseudonyms import AUDIT, key_for
from contracts.settings import RegionSettings
from privacy.database import Connection, transaction

BEGINNING = bytes(32)
"""What the first row is chained to."""
_LOCK = "select pg_advisory_xact_lock(hashtext('fleetlake.privacy.audit'))"
_COLUMNS = "id, at, who, act, request_id, detail, previous, hash"
_INSERT = f"insert into privacy.audit ({_COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608 - constants
_PAGE = f"select {_COLUMNS} from privacy.audit where id > %s order by id limit 10000"  # noqa: S608 - constants


class AuditBroken(FleetlakeError):
    """The log of privacy acts is not what was written: a row was changed, removed or added."""


@dataclass(frozen=True, slots=True)
class Act:
    """A row of the log."""

    id: int
    at: datetime
    who: str
    act: str
    request_id: UUID | None
    detail: str
    previous: bytes
    hash: bytes

    @property
    def content(self) -> bytes:
        """What the hash is over: the hash before, and all that the row says."""
        request = str(self.request_id) if self.request_id else ""
        said = [self.id, self.at.astimezone(UTC).isoformat(), self.who, self.act, request, self.detail]
        return self.previous + json.dumps(said, ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True)
class Verified:
    """The log as `verify` found it. broken: the first row that does not fit, and why; None where all do."""

    rows: int
    head: str
    broken: int | None = None
    why: str = ""


def append(
    connection: Connection,
    settings: RegionSettings,
    act: str,
    *,
    who: str,
    request_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> bytes:
    """Write an act in the transaction that does it; the log's new head. `detail` must name nobody.

    Raises Misuse where nobody is said to act.
    """
    if not who.strip():
        raise Misuse("an act of privacy needs somebody who does it: --who NAME")
    connection.execute(_LOCK)
    last = connection.execute("select id, hash from privacy.audit order by id desc limit 1").fetchone()
    number, previous = (last[0] + 1, bytes(last[1])) if last else (1, BEGINNING)
    text = json.dumps(dict(detail or {}), sort_keys=True, default=str)
    row = Act(number, datetime.now(UTC), who, act, request_id, text, previous, b"")
    made = _hash(key_for(settings.release_key, AUDIT), row)
    values = [row.id, row.at, row.who, row.act, row.request_id, row.detail, row.previous, made]
    connection.execute(_INSERT, values)
    return made


def verify(settings: RegionSettings, *heads: str) -> Verified:
    """Read the whole log, and name the first row that does not fit.

    heads: heads (in hex) that were noted earlier, as evidence of a request has them; the log must still contain them.
    """
    key, previous, number = key_for(settings.release_key, AUDIT), BEGINNING, 0
    missing = {*heads} - {BEGINNING.hex()}
    with transaction(settings) as connection:
        for row in _rows(connection):
            if (why := _misfit(key, row, number, previous)) is not None:
                return Verified(number, previous.hex(), row.id, why)
            number, previous = row.id, row.hash
            missing.discard(previous.hex())
    if missing:
        why = "no row has the head that was noted: the log's end was removed, or an older one was restored"
        return Verified(number, previous.hex(), number + 1, why)
    return Verified(number, previous.hex())


def check(settings: RegionSettings, *heads: str) -> Verified:
    """As `verify`. Raises AuditBroken where a row does not fit."""
    found = verify(settings, *heads)
    if found.broken is not None:
        raise AuditBroken(
            f"row {found.broken} of privacy.audit of region {settings.region} does not fit: {found.why}; "
            "keep the database as it is and compare it with the last backup in which the log verifies"
        )
    return found


def acts(settings: RegionSettings, request_id: UUID | None = None, last: int | None = None) -> list[Act]:
    """Acts in order: all, those of one request, or the last so many."""
    with transaction(settings) as connection:
        found = [row for row in _rows(connection) if request_id in (None, row.request_id)]
    return found if last is None else found[-last:]


def _misfit(key: bytes, row: Act, number: int, previous: bytes) -> str | None:
    if row.id != number + 1:
        return f"row {number + 1} is missing"
    if row.previous != previous:
        return "it is not chained to the row before"
    if not hmac.compare_digest(row.hash, _hash(key, row)):
        return "its content is not what was hashed"
    return None


def _hash(key: bytes, row: Act) -> bytes:
    return hmac.digest(key, row.content, sha256)


def _rows(connection: Connection) -> Iterator[Act]:
    after = -(2**63)  # no row of ours has such a number: one that somebody put before the first is found
    while page := connection.execute(_PAGE, [after]).fetchall():
        for number, at, who, act, request_id, detail, previous, made in page:
            yield Act(number, at, who, act, request_id, detail, bytes(previous), bytes(made))
        after = page[-1][0]
