"""The region's stores as reconciliation opens them, apart from the lake: its Iceberg catalog and its object store."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict
from pyarrow import fs
from pyiceberg.catalog import Catalog, load_catalog

from contracts.settings import CATALOG_SCHEMA, RegionSettings


class Listed(msgspec.Struct, frozen=True):
    """An object as the store lists it. Its ETag changes with its bytes."""

    size: int
    etag: str


@contextmanager
def iceberg_catalog(settings: RegionSettings) -> Iterator[Catalog | None]:
    """The region's Iceberg catalog, to read; None where no table was ever made. Creates nothing."""
    dsn = settings.postgres_dsn.get_secret_value()
    if settings.catalog == "sql" and not _has_catalog(dsn):
        yield None
        return
    properties = settings.catalog_properties(conninfo_to_dict(dsn))
    opened = load_catalog(settings.region, **properties)
    try:
        yield opened
    finally:
        opened.close()


def object_store(settings: RegionSettings) -> fs.S3FileSystem:
    """The region's object store, to read."""
    return fs.S3FileSystem(**settings.s3.filesystem_kwargs(settings.row.aws_region))


def listing(settings: RegionSettings, bucket: str, prefix: str) -> dict[str, Listed]:
    """The objects below a prefix, by key."""
    client = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        item["Key"]: Listed(item["Size"], item.get("ETag", "").strip('"'))
        for page in pages
        for item in page.get("Contents", ())
        if not item["Key"].endswith("/")
    }


def _has_catalog(dsn: str) -> bool:
    with psycopg.connect(dsn) as postgres:
        row = postgres.execute("select to_regclass(%s)", [f"{CATALOG_SCHEMA}.iceberg_tables"]).fetchone()
    return row is not None and row[0] is not None
