"""The last proof that held: what it saw of landing and history, so that the next one proves what is new.

A proof is bound to what it saw: each landing object by its size and ETag, each event day of history by its files and a
sum over the digests of its rows. What is no longer as it was seen is proven anew (docs/adr/0118).
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from contracts.settings import RegionSettings

VERSION = 1
"""Of the digests and fingerprints below. A proof of another version is none."""
FINGERPRINT_BYTES = 16
_WRAP = 2**64
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """Records of one business day, by device: two sums that are equal where each device's counts are.

    by_device: each record adds the 64-bit hash of its device, modulo 2^64; flagged_by_device: each flagged one.
    """

    records: int = 0
    flagged: int = 0
    by_device: int = 0
    flagged_by_device: int = 0

    def plus(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(
            self.records + other.records,
            self.flagged + other.flagged,
            (self.by_device + other.by_device) % _WRAP,
            (self.flagged_by_device + other.flagged_by_device) % _WRAP,
        )


class Sums(msgspec.Struct, frozen=True):
    """Rows, and the sums of the two halves of their identities' digests, modulo 2^64."""

    rows: int = 0
    high: int = 0
    low: int = 0

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(self.rows + other.rows, (self.high + other.high) % _WRAP, (self.low + other.low) % _WRAP)


class ProvenDay(msgspec.Struct, frozen=True, kw_only=True):
    """A UTC event day whose rows in history were those of landing, each once."""

    files: frozenset[bytes]
    """Fingerprints of its files (reconcile.files)."""
    sums: Sums
    counted: dict[date, Counted]
    """Its records by business day."""


class SeenObject(msgspec.Struct, frozen=True):
    """An object whose rows are all in history, or that holds rejected records, as it was when it was read."""

    size: int
    etag: str
    rows: int
    first_day: date | None = None
    """Least and greatest UTC event day of its rows; none of rejected ones."""
    last_day: date | None = None


class Bound(msgspec.Struct, frozen=True):
    """What a proof as a whole depends on. Where one of these is another, everything is proven anew."""

    table_uuid: str
    time_zone: str
    losses: int
    """How many losses were accepted."""
    version: int = VERSION


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A reconciliation in which everything agreed."""

    bound: Bound
    whole_at: datetime
    """When all of landing and history was last read."""
    proven_at: datetime | None = None
    """When this was kept."""
    days: dict[date, ProvenDay]
    objects: dict[str, SeenObject]

    def same_object(self, key: str, size: int, etag: str, rows: int) -> bool:
        """Whether the object is as it was seen."""
        seen = self.objects.get(key)
        return seen is not None and (seen.size, seen.etag, seen.rows) == (size, etag, rows)


def read_proof(settings: RegionSettings) -> Proof | None:
    """The last one that held; None before any, and in a database whose schema is of an earlier version."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        postgres.read_only = True
        if not _has_tables(postgres):
            return None
        row = postgres.execute(
            "select table_uuid, time_zone, losses, version, whole_at, proven_at from ops.proof"
        ).fetchone()
        if row is None:
            return None
        days = postgres.execute("select day, files, rows, high, low, counted from ops.proven_day").fetchall()
        objects = postgres.execute("select key, size, etag, rows, first_day, last_day from ops.proven_object")
        return Proof(
            bound=Bound(*row[:4]),
            whole_at=row[4],
            proven_at=row[5],
            days={day: _day(*values) for day, *values in days},
            objects={key: SeenObject(*values) for key, *values in objects},
        )


def keep_proof(postgres: "psycopg.Connection[Any]", made: Proof, before: Proof | None) -> None:
    """Keep it in place of `before`, in the caller's transaction. Does nothing where another was kept since `before`."""
    if not _has_tables(postgres):
        return
    postgres.execute("lock table ops.proof in exclusive mode")
    kept = postgres.execute("select proven_at from ops.proof").fetchone()
    if (kept[0] if kept else None) != (before.proven_at if before else None):
        return
    old_days, old_objects = (before.days, before.objects) if before else ({}, {})
    _keep_days(postgres, _changed(made.days, old_days), old_days.keys() - made.days.keys())
    _keep_objects(postgres, _changed(made.objects, old_objects), old_objects.keys() - made.objects.keys())
    bound = made.bound
    postgres.execute("delete from ops.proof")
    postgres.execute(
        "insert into ops.proof (table_uuid, time_zone, losses, version, whole_at, proven_at) "
        "values (%s, %s, %s, %s, %s, clock_timestamp())",
        [bound.table_uuid, bound.time_zone, bound.losses, bound.version, made.whole_at],
    )


def _changed(now: Mapping[_Key, _Value], before: Mapping[_Key, _Value]) -> dict[_Key, _Value]:
    return {key: value for key, value in now.items() if before.get(key) != value}


def _keep_days(postgres: "psycopg.Connection[Any]", put: Mapping[date, ProvenDay], gone: Iterable[date]) -> None:
    postgres.execute("delete from ops.proven_day where day = any(%s)", [[*gone, *put]])
    with postgres.cursor() as cursor:
        cursor.executemany(
            "insert into ops.proven_day (day, files, rows, high, low, counted) values (%s, %s, %s, %s, %s, %s)",
            [
                (at, b"".join(sorted(day.files)), day.sums.rows, day.sums.high, day.sums.low, _jsonb(day.counted))
                for at, day in put.items()
            ],
        )


def _keep_objects(postgres: "psycopg.Connection[Any]", put: Mapping[str, SeenObject], gone: Iterable[str]) -> None:
    postgres.execute("delete from ops.proven_object where key = any(%s)", [[*gone, *put]])
    copy = "copy ops.proven_object (key, size, etag, rows, first_day, last_day) from stdin"
    with postgres.cursor() as cursor, cursor.copy(copy) as rows:
        for key, seen in put.items():
            rows.write_row((key, seen.size, seen.etag, seen.rows, seen.first_day, seen.last_day))


def _day(files: bytes, rows: int, high: Any, low: Any, counted: dict[str, list[int]]) -> ProvenDay:
    marks = (files[at : at + FINGERPRINT_BYTES] for at in range(0, len(files), FINGERPRINT_BYTES))
    of_day = {date.fromisoformat(day): Counted(*values) for day, values in counted.items()}
    return ProvenDay(files=frozenset(marks), sums=Sums(rows, int(high), int(low)), counted=of_day)


def _jsonb(counted: Mapping[date, Counted]) -> Jsonb:
    return Jsonb({str(day): list(msgspec.structs.astuple(one)) for day, one in counted.items()})


def _has_tables(postgres: "psycopg.Connection[Any]") -> bool:
    row = postgres.execute("select to_regclass('ops.proof')").fetchone()
    return row is not None and row[0] is not None
