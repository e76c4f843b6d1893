"""The world's side of the exchange: every region's releases into fleet_world, and which days its marts wait for.

An object that is no longer in the exchange is a release that was withdrawn: its rows leave staging, and GONE stands in
its etags, so that the marts of its day are built once more, without it.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import boto3
import msgspec
import psycopg
import pyarrow as pa
import structlog
from psycopg import sql

from contracts.errors import ReleaseRefused
from contracts.regions import load_regions
from contracts.settings import WorldSettings
from release.database import lock, transaction
from release.exchange import RELEASES, ReleaseKey, checked, decode, parse_key

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


def due_objects(settings: WorldSettings) -> list[str]:
    """Keys of the exchange whose content is not what staging has, in order.

    Reads the exchange's listing, and takes out of staging what is not listed any more.
    """
    with transaction(settings.postgres_dsn) as connection:
        # One listing at a time: one that is older than what was taken in would withdraw what is new.
        lock(connection, "world/listing")
        _take_in_regions(settings, connection)
        _take_in_listing(settings, connection)
        return [key for (key,) in connection.execute(_DUE)]


def due_loads(settings: WorldSettings) -> list[date]:
    """Days of the due objects, in order. Reads the exchange's listing.

    An object whose key names no day is due today: loading refuses it and says why.
    """
    today = datetime.now(UTC).date()
    days = {_filed(key)[2] for key in due_objects(settings)}
    return sorted({today if day == date.min else day for day in days})


def refused_objects(settings: WorldSettings) -> int:
    """Objects in the exchange whose present version was refused."""
    query = "select count(*) from ops.exchange_object where refused_etag = etag"
    with transaction(settings.postgres_dsn) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def late_releases(settings: WorldSettings) -> dict[str, int]:
    """Releases that should be there and are not, by region: late and missing ones."""
    query = "select region, count(*) from marts.release_status where status in ('late', 'missing') group by region"
    with transaction(settings.postgres_dsn) as connection:
        return dict(connection.execute(query).fetchall())


def known_days(settings: WorldSettings) -> list[date]:
    """Days of which staging has, or had, a release, in order."""
    query = "select distinct day from ops.exchange_object where loaded_etag is not null order by day"
    with transaction(settings.postgres_dsn) as connection:
        return [day for (day,) in connection.execute(query)]


def load_world(settings: WorldSettings) -> WorldReport:
    """Load every due object, each replacing its region and day in staging's table of its release in one transaction.

    An object that is not a release, or holds anything but a release's columns and words, is logged as an error and
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
            with transaction(settings.postgres_dsn) as connection:
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
    with transaction(settings.postgres_dsn) as connection:
        return [day for (day,) in connection.execute(query)]


def loaded_etags(settings: WorldSettings, days: Sequence[date]) -> dict[str, str]:
    """What staging has of `days`, by object. Read it before dbt runs and give it to `mark_marts` after."""
    query = "select key, loaded_etag from ops.exchange_object where loaded_etag is not null and day = any(%s)"
    with transaction(settings.postgres_dsn) as connection:
        return dict(connection.execute(query, [list(days)]).fetchall())


def mark_marts(settings: WorldSettings, etags: dict[str, str]) -> None:
    """Record that the world's marts were built from these versions of the objects."""
    with transaction(settings.postgres_dsn) as connection, connection.cursor() as cursor:
        statement = "update ops.exchange_object set mart_etag = %s where key = %s"
        cursor.executemany(statement, [(etag, key) for key, etag in etags.items()])


def _s3(settings: WorldSettings) -> Any:
    return boto3.client("s3", **settings.s3.client_kwargs(settings.aws_region))


def _take_in_regions(settings: WorldSettings, connection: psycopg.Connection) -> None:
    regions = load_regions()
    with connection.cursor() as cursor:
        cursor.executemany(
            """insert into ops.region as r (region, time_zone, release_delay_days) values (%s, %s, %s)
            on conflict (region) do update set (time_zone, release_delay_days)
                = (excluded.time_zone, excluded.release_delay_days)
            where (r.time_zone, r.release_delay_days) <> (excluded.time_zone, excluded.release_delay_days)""",
            [(name, region.time_zone, settings.release_delay_days) for name, region in regions.items()],
        )
    connection.execute("delete from ops.region where region <> all(%s)", [list(regions)])


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
        region, release, day = _filed(key)
        if release in RELEASES:
            _empty_day(connection, ReleaseKey(region, release, day))
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
    with transaction(settings.postgres_dsn) as connection:
        lock(connection, f"world/{key}")
        _empty_day(connection, of)
        _copy_rows(connection, of.release, table)
        connection.execute(
            "update ops.exchange_object set loaded_etag = %s, rows = %s, loaded_at = now() where key = %s",
            [etag, table.num_rows, key],
        )
    return int(table.num_rows)


def _empty_day(connection: psycopg.Connection, of: ReleaseKey) -> None:
    statement = sql.SQL("delete from {} where region = %s and day = %s")
    connection.execute(statement.format(sql.Identifier("staging", of.release)), [of.region, of.day])


def _copy_rows(connection: psycopg.Connection, release: str, table: pa.Table) -> None:
    """Append the release's rows to staging, row by row: a release has a few hundred."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.schema.names))
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier("staging", release), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in table.to_pylist():
            copy.write_row(list(row.values()))


def _refuse(settings: WorldSettings, key: str, etag: str, reason: str) -> None:
    _log.error("release_refused", key=key, reason=reason)
    with transaction(settings.postgres_dsn) as connection:
        connection.execute(
            "update ops.exchange_object set refused_etag = %s, refused_reason = %s where key = %s",
            [etag, reason, key],
        )
