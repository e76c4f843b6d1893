"""The region's Iceberg catalog through pyiceberg: small reads and writes without Spark.

Spark's catalog of the same name (lake.spark.session) sees the same tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table

from contracts.errors import ForeignTable
from contracts.settings import LakeSettings
from lake.database import dsn_parts, transaction

_open: dict[tuple[str, ...], Catalog] = {}


def catalog(settings: LakeSettings) -> Catalog:
    """The catalog, named after the region. A process has one for each set of properties, with its own connections."""
    properties = settings.catalog_properties(dsn_parts(settings))
    key = (settings.region, *(f"{name}={value}" for name, value in sorted(properties.items())))
    if key not in _open:
        with creating(settings):
            _open[key] = load_catalog(settings.region, **properties)
    return _open[key]


def load_own(settings: LakeSettings, name: str) -> Table:
    """A table of contracts.names as it is now.

    Raises pyiceberg's NoSuchTableError, and ForeignTable where it lies outside the region's bucket: two regions that
    share a catalog by mistake would write each other's data.
    """
    table = catalog(settings).load_table(settings.identifier(name))
    for place in (table.location(), table.metadata_location):
        if place.partition("://")[2].partition("/")[0] != settings.bucket:
            raise ForeignTable(
                f"{settings.identifier(name)} in the catalog of region {settings.region} lies in {place}, not in"
                f" bucket {settings.bucket}; nothing is read or written: give the region a catalog of its own"
            )
    return table


@contextmanager
def creating(settings: LakeSettings) -> Iterator[None]:
    """A lock for whoever creates what may be missing: the SQL catalog's own tables, a namespace, a table.

    Glue refuses the second creator by itself and needs no lock. The SQL catalog's database would answer a lost race
    with errors of its own.
    """
    if settings.catalog == "glue":
        yield
        return
    with transaction(settings) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.iceberg.create'))")
        yield
