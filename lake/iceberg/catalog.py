"""The region's Iceberg catalog through pyiceberg: small reads and writes without Spark.

Spark's catalog of the same name (lake.spark.session) sees the same tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.catalog import Catalog, load_catalog
from sqlalchemy.engine import URL

from contracts.settings import RegionSettings
from lake.database import dsn_parts, transaction

_SCHEMA = "iceberg"
_open: dict[tuple[str, ...], Catalog] = {}


def catalog(settings: RegionSettings) -> Catalog:
    """The catalog named after the region. One a process and target, with its own connection pool."""
    properties = _properties(settings)
    key = (settings.region, *(f"{name}={value}" for name, value in sorted(properties.items())))
    if key not in _open:
        with creating(settings):
            _open[key] = load_catalog(settings.region, **properties)
    return _open[key]


@contextmanager
def creating(settings: RegionSettings) -> Iterator[None]:
    """Held by whoever creates what may be missing: the SQL catalog's own tables, a namespace, a table.

    Glue refuses the second creator by itself; the SQL catalog's database answers a lost race with errors of its own.
    """
    if settings.catalog == "glue":
        yield
        return
    with transaction(settings) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.iceberg.create'))")
        yield


def _properties(settings: RegionSettings) -> dict[str, str]:
    properties = {"warehouse": settings.warehouse, **file_properties(settings)}
    if settings.catalog == "glue":
        return {"type": "glue", "glue.region": settings.row.aws_region, **properties}
    parts = dsn_parts(settings)
    uri = URL.create(
        "postgresql+psycopg",
        username=parts.get("user"),
        password=parts.get("password"),
        host=parts.get("host"),
        port=int(parts.get("port", "5432")),
        database=parts["dbname"],
        query={"options": f"-csearch_path={_SCHEMA}"},
    )
    return {
        "type": "sql",
        "uri": uri.render_as_string(hide_password=False),
        "pool_pre_ping": "true",
        "schema_version": "v1",
        **properties,
    }


def file_properties(settings: RegionSettings) -> dict[str, str]:
    """pyiceberg's properties for the region's S3."""
    properties = {"s3.region": settings.row.aws_region}
    if settings.s3.endpoint:
        properties["s3.endpoint"] = settings.s3.endpoint
    if settings.s3.access_key and settings.s3.secret_key:
        properties["s3.access-key-id"] = settings.s3.access_key.get_secret_value()
        properties["s3.secret-access-key"] = settings.s3.secret_key.get_secret_value()
    return properties
