"""The world's side of the exchange: every region's releases into fleet_world, and which days its marts wait for.

An object that is no longer in the exchange is a release that was withdrawn: its rows leave staging, and GONE stands in
its etags, so that the marts of its day are built once more, without it.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import boto3
import msgspec
import psycopg
import structlog
from psycopg import sql

from contracts.errors import ReleaseRefused
from contracts.settings import WorldSettings
from marts.copy import copy_rows, lock
from release.exchange import (
    ReleaseKey,
    checked,
    decode,
    parse_key,
)

GONE = ""
"""The etag of an object that is not there."""
_log = structlog.get_logger(__name__)
_DUE = """
    select key from ops.exchange_object
    where etag is distinct from loaded_etag and etag is distinct from refused_etag
    order by key
"""


class WorldReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one load did."""

    loaded: list[str]
    """Keys whose rows are in staging now."""
    days: list[date]
    """Business days that they are of."""
    rows: int
    refused: dict[str, str]
    """Keys that broke the release's contract, with why; each version of an object is refused once."""

    def metadata(self) -> dict[str, Any]:
        """JSON-able values for the asset's metadata."""
        return {"objects": len(self.loaded), "rows": self.rows, "days": len(self.days), "refused": self.refused}

    def raise_for_refused(self) -> None:
        """Raises ReleaseRefused where an object was refused; the others are loaded by then."""
        if self.refused:
            raise ReleaseRefused("; ".join(self.refused.values()))


def due_objects(settings: WorldSettings) -> list[str]:
    """Keys of the exchange whose content is not what staging has, in order.

    Reads the exchange's listing, and takes out of staging what is not listed any more.
    """
    with _connect(settings) as connection:
        # One listing at a time: one that is older than what was taken in would withdraw what is new.
        lock(connection, "world/listing")
        _take_in_listing(settings, connection)
        return [key for (key,) in connection.execute(_DUE)]


def load_world(settings: WorldSettings) -> WorldReport:
    """Load every due object, each replacing its region and day in staging.utilisation_day in one transaction.

    An object that is no release, or holds anything but a release's columns and words, is logged as an error and
    reported in `refused`; nothing of it is loaded, and the others are. One that is gone by now is withdrawn.
    May be repeated, killed, and run twice at once.
    """
    s3 = _s3(settings)
    loaded: list[ReleaseKey] = []
    refused: dict[str, str] = {}
    rows = 0
    for key in due_objects(settings):
        try:
            answer = s3.get_object(Bucket=settings.exchange_bucket, Key=key)
        except s3.exceptions.NoSuchKey:
            with _connect(settings) as connection:
                _withdraw(connection, [key])
            continue
        data, etag = answer["Body"].read(), answer["ETag"]
        try:
            rows += _load(settings, key, data, etag)
            loaded.append(parse_key(key))
        except ReleaseRefused as error:
            refused[key] = str(error)
            _refuse(settings, key, etag, str(error))
    days = sorted({of.day for of in loaded})
    _log.info("world_loaded", objects=len(loaded), rows=rows, refused=len(refused))
    return WorldReport(loaded=[of.key for of in loaded], days=days, rows=rows, refused=refused)


def due_marts(settings: WorldSettings) -> list[date]:
    """Days of which staging has something that the world's marts were not built from, in order."""
    query = "select distinct day from ops.exchange_object where loaded_etag is distinct from mart_etag order by day"
    with _connect(settings) as connection:
        return [day for (day,) in connection.execute(query)]


def loaded_etags(settings: WorldSettings, days: Sequence[date]) -> dict[str, str]:
    """What staging has of `days`, by object. Read it before dbt runs and give it to `mark_marts` after."""
    query = "select key, loaded_etag from ops.exchange_object where loaded_etag is not null and day = any(%s)"
    with _connect(settings) as connection:
        return dict(connection.execute(query, [list(days)]).fetchall())


def mark_marts(settings: WorldSettings, etags: dict[str, str]) -> None:
    """Record that the world's marts were built from these versions of the objects."""
    with _connect(settings) as connection, connection.cursor() as cursor:
        statement = "update ops.exchange_object set mart_etag = %s where key = %s"
        cursor.executemany(statement, [(etag, key) for key, etag in etags.items()])


def _connect(settings: WorldSettings) -> psycopg.Connection:
    return psycopg.connect(settings.postgres_dsn.get_secret_value())


def _s3(settings: WorldSettings) -> Any:
    return boto3.client("s3", **settings.s3.client_kwargs(settings.aws_region))


def _take_in_listing(settings: WorldSettings, connection: psycopg.Connection) -> None:
    pages = _s3(settings).get_paginator("list_objects_v2").paginate(Bucket=settings.exchange_bucket)
    listed = [(item["Key"], item["ETag"]) for page in pages for item in page.get("Contents", [])]
    with connection.cursor() as cursor:
        cursor.executemany(
            """insert into ops.exchange_object as o (key, region, release, day, etag) values (%s, %s, %s, %s, %s)
            on conflict (key) do update set etag = excluded.etag where o.etag <> excluded.etag""",
            [(key, *_filed(key), etag) for key, etag in listed],
        )
    unlisted = "select key from ops.exchange_object where key <> all(%s) and loaded_etag is distinct from %s"
    _withdraw(connection, [key for (key,) in connection.execute(unlisted, [[key for key, _ in listed], GONE])])


def _withdraw(connection: psycopg.Connection, keys: list[str]) -> None:
    """Take the objects' rows out of staging; one that was never loaded is forgotten."""
    for key in keys:
        lock(connection, f"world/{key}")
        connection.execute("delete from ops.exchange_object where key = %s and loaded_etag is null", [key])
        connection.execute(
            "delete from staging.utilisation_day s using ops.exchange_object o"
            " where o.key = %s and s.region = o.region and s.day = o.day",
            [key],
        )
        connection.execute(
            "update ops.exchange_object set etag = %(gone)s, loaded_etag = %(gone)s, rows = 0 where key = %(key)s",
            {"gone": GONE, "key": key},
        )
        _log.info("release_withdrawn", key=key)


def _filed(key: str) -> tuple[str, str, date]:
    """Region, release and day to file an object under; one whose key says none is refused when it is loaded."""
    try:
        of = parse_key(key)
    except ReleaseRefused:
        region = re.match(r"region=([^/]*)/", key)
        return region[1] if region else "", "", date.min
    return of.region, of.release, of.day


def _load(settings: WorldSettings, key: str, data: bytes, etag: str) -> int:
    of = parse_key(key)
    table = checked(decode(data, key), of)
    with _connect(settings) as connection:
        lock(connection, f"world/{key}")
        connection.execute("delete from staging.utilisation_day where region = %s and day = %s", [of.region, of.day])
        copy_rows(connection, sql.Identifier("staging", "utilisation_day"), table)
        connection.execute(
            "update ops.exchange_object set loaded_etag = %s, rows = %s, loaded_at = now() where key = %s",
            [etag, table.num_rows, key],
        )
    return int(table.num_rows)


def _refuse(settings: WorldSettings, key: str, etag: str, reason: str) -> None:
    _log.error("release_refused", key=key, reason=reason)
    with _connect(settings) as connection:
        connection.execute(
            "update ops.exchange_object set refused_etag = %s, refused_reason = %s where key = %s",
            [etag, reason, key],
        )
