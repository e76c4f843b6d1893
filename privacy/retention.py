"""Retention over all stores of a region: looked at, or done, and written down (GDPR Art. 5(1)(e), 5(2))."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import structlog

from contracts.retention import Expiry, Retained, Standing, Standings
from contracts.settings import RegionSettings
from privacy import audit
from privacy.database import Connection, transaction

log = structlog.get_logger(__name__)
GRACE_DAYS = 1
"""A day that is past its time is removed by the next nightly run: until then it is not overdue."""
_READINGS = "privacy.past_read"
_MARKS = "privacy.release_cell"
_CONDITIONS = {
    _READINGS: "read_at < %(instant)s",
    _MARKS: "day < %(before)s and not (frozen and contributors = '{}' and coalesce(devices, '{}') = '{}')",
}
_DAYS = {_READINGS: "read_at::date", _MARKS: "day"}
_REMOVE = {
    _READINGS: "delete from privacy.past_read",
    # What was published stays: it names nobody. The marks of who contributed go, and so does every later version.
    _MARKS: "update privacy.release_cell set contributors = '{}', devices = '{}', frozen = true",
}


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What a look, or a run, found."""

    region: str
    today: date
    before: date
    """Nothing of an earlier business day may be there, where neither fleet nor device says otherwise."""
    dry_run: bool
    stores: Mapping[str, Standing]
    removed: Mapping[str, int]

    @property
    def overdue(self) -> int:
        """Rows, objects and keys past their time."""
        return sum(one.overdue for one in self.stores.values())

    def document(self) -> dict[str, Any]:
        """JSON-able; names nobody."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | {"overdue": self.overdue}


class PrivacyDatabase:
    """Readings of the past, and who contributed to releases, in privacy_R (contracts.retention.Retained)."""

    name = "privacy"

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, due: Expiry) -> Standings:
        """See Retained."""
        with transaction(self._settings) as connection:
            return {name: self._standing(connection, name, due) for name in _CONDITIONS}

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        with transaction(self._settings) as connection:
            return {
                name: connection.execute(f"{_REMOVE[name]} where {condition}".encode(), self._values(due)).rowcount
                for name, condition in _CONDITIONS.items()
            }

    def _standing(self, connection: Connection, name: str, due: Expiry) -> Standing:
        query = f"select count(*), count(*) filter (where {_CONDITIONS[name]}), min({_DAYS[name]}) from {name}"  # noqa: S608
        rows, overdue, oldest = connection.execute(query.encode(), self._values(due)).fetchone() or (0, 0, None)
        return Standing(rows=rows, overdue=overdue, oldest=oldest)

    def _values(self, due: Expiry) -> dict[str, Any]:
        return {"before": due.before, "instant": f"{due.before} 00:00:00 {self._settings.row.time_zone}"}


def look(settings: RegionSettings, stores: Sequence[Retained], due: Expiry) -> Retention:
    """What a run would remove: nothing is changed."""
    found = {name: one for store in stores for name, one in store.look(due).items()}
    return _result(settings, due, found, {name: one.overdue - one.waiting for name, one in found.items()}, dry_run=True)


def run(
    settings: RegionSettings,
    together: Sequence[Retained],
    others: Sequence[Retained],
    alone: AbstractContextManager[Any],
    due: Expiry,
    *,
    who: str,
) -> Retention:
    """Remove what is past its time from every store, look again, and write it down.

    together: stores that reconciliation compares: they are emptied within `alone`, which holds it up.
    """
    removed: dict[str, int] = {}
    with alone:
        for store in together:
            removed |= store.remove(due)
    for store in others:
        removed |= store.remove(due)
    left = {name: one for store in (*together, *others) for name, one in store.look(due).items()}
    result = _result(settings, due, left, removed, dry_run=False)
    _write_down(settings, result, who)
    return result


def latest_run(settings: RegionSettings) -> tuple[datetime, dict[str, int]] | None:
    """When retention ran last, and what it removed; None where it never did."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10) as connection:
        query = "select ended_at, removed from ops.retention_run order by ended_at desc limit 1"
        row = connection.execute(query).fetchone()
    return (row[0].astimezone(UTC), row[1]) if row else None


def a_day_before(due: date) -> date:
    """The day whose policy a check holds the stores to."""
    return due - timedelta(days=GRACE_DAYS)


def _result(
    settings: RegionSettings, due: Expiry, stores: Mapping[str, Standing], removed: Mapping[str, int], *, dry_run: bool
) -> Retention:
    return Retention(
        region=settings.region, today=due.today, before=due.before, dry_run=dry_run, stores=stores, removed=removed
    )


def _write_down(settings: RegionSettings, result: Retention, who: str) -> None:
    said = {name: rows for name, rows in result.removed.items() if rows}
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), connect_timeout=10) as connection:
        insert = "insert into ops.retention_run (ended_at, today, removed) values (clock_timestamp(), %s, %s)"
        connection.execute(insert, [result.today, json.dumps(dict(result.removed))])
    if said:
        with transaction(settings) as connection:
            audit.append(connection, settings, "retention.run", who=who, detail={"today": str(result.today), **said})
    log.info("retention", region=settings.region, today=str(result.today), left=result.overdue, **said)
