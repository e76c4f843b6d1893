"""Names looked for in all that a region keeps, without asking which store would have them: every object of the bucket
decoded, every row of both databases, and the files below a folder. It shares no code with the adapters that erase.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
from psycopg import sql

from contracts.erasable import Needles
from contracts.settings import RegionSettings
from privacy.search.decoding import decoded

_TABLES = """
    select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
    order by 1, 2
"""
_STATISTICS = """
    select schemaname || '.' || tablename || '.' || attname,
        coalesce(most_common_vals::text, '') || coalesce(histogram_bounds::text, '')
    from pg_stats where schemaname not like 'pg\\_%'
"""
_CHUNK, _OVERLAP = 16 * 2**20, 256
OUTLIVING = ("pg_wal", "kinesis", "volumes")
"""Files that keep what was deleted, or what cannot be, until they are written over; counted apart."""


def in_bucket(settings: RegionSettings, needles: Needles) -> Counter[str]:
    """Hits by the first part of the objects' keys; a key that names somebody is a hit as well."""
    client: Any = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    found: Counter[str] = Counter()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket):
        for item in page.get("Contents", ()):
            key = item["Key"]
            data = client.get_object(Bucket=settings.bucket, Key=key)["Body"].read()
            hits = needles.found_in(key) + sum(needles.found_in(part) for part in decoded(key, data))
            found[f"s3:{key.partition('/')[0]}/"] += hits
    return found


def in_databases(settings: RegionSettings, needles: Needles) -> Counter[str]:
    """Rows that name somebody, by table, in fleet_R and privacy_R; and what Postgres keeps as statistics."""
    found: Counter[str] = Counter()
    for dsn in (settings.postgres_dsn, settings.privacy_dsn):
        with psycopg.connect(dsn.get_secret_value()) as connection:
            for schema, table in connection.execute(_TABLES.encode()).fetchall():
                found[f"{schema}.{table}"] += sum(needles.found_in(row) > 0 for row in _rows(connection, schema, table))
            for name, values in connection.execute(_STATISTICS.encode()).fetchall():
                if values and needles.found_in(values):
                    found[f"statistics of {name}"] += 1
    return found


def in_files(root: Path, needles: Needles) -> Counter[str]:
    """Hits in files below a folder, by its first sub-folder: heap files, logs, Redis' files, Dagster's.

    Those that outlive what they hold (OUTLIVING) have names of their own.
    """
    found: Counter[str] = Counter()
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        parts = path.relative_to(root).parts
        kept = next((name for name in OUTLIVING if name in parts), "volumes" if path.suffix == ".dat" else None)
        found[f"files:{parts[0]}{f'/{kept}' if kept else ''}"] += _in_file(path, needles)
    return found


def _rows(connection: "psycopg.Connection[Any]", schema: str, table: str) -> Iterator[str]:
    query = sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
    with connection.cursor(name="search") as cursor:
        cursor.itersize = 5_000
        yield from (row[0] for row in cursor.execute(query))


def _in_file(path: Path, needles: Needles) -> int:
    """Raw, in pieces that overlap; in binary files no letter ends a name."""
    hits, before = 0, b""
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                hits += needles.found_in(before + piece, anywhere=True)
                hits -= needles.found_in(before, anywhere=True)
                before = piece[-_OVERLAP:]
    except OSError:
        return hits
    return hits
