"""The region's Iceberg tables: history.telemetry and what is derived from it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import pyarrow as pa
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, HourTransform, IdentityTransform, Transform
from pyiceberg.types import NestedField

from contracts.derived import (
    DEVICE_DAY_SCHEMA,
    EPISODE_SCHEMA,
    FAULT_DAY_SCHEMA,
    MOTION_HOUR_SCHEMA,
    TRIP_SCHEMA,
)
from contracts.names import (
    DEVICE_DAY_TABLE,
    EPISODE_TABLE,
    FAULT_DAY_TABLE,
    HISTORY_TABLE,
    MOTION_HOUR_TABLE,
    TRIP_TABLE,
)
from contracts.record import LANDING_SCHEMA
from contracts.settings import LakeSettings
from lake.iceberg.catalog import catalog, creating, load_own
from lake.iceberg.evolution import Difference, Kind, differences, evolve, refuse_other_types

_Partition = tuple[str, Transform[Any, Any], str]
"""Source column, transform and name of one partition field."""

_COMMON: Mapping[str, str] = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.distribution-mode": "hash",
    # Manifests must name no device and no place: erasure would leave them behind (docs/adr/0020).
    # Iceberg keeps bounds of columns that a table is sorted by whatever the default, unless they are named too.
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.device_id": "none",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.retry.num-retries": "10",
}
_HISTORY: Mapping[str, str] = {
    **_COMMON,
    "write.metadata.metrics.column.ts": "full",
    # A spot query fetches whole row groups: small ones keep a device's day one small read (docs/adr/0053).
    "write.parquet.row-group-size-bytes": str(2 * 2**20),
    "write.merge.mode": "merge-on-read",
    "write.merge.isolation-level": "serializable",
    "write.delete.mode": "copy-on-write",
    "write.delete.isolation-level": "serializable",
    "write.update.mode": "copy-on-write",
}
_DEVICE_DAY: Mapping[str, str] = {**_COMMON, "write.metadata.metrics.column.day": "full"}
_TRIP: Mapping[str, str] = {**_DEVICE_DAY, "write.metadata.metrics.column.start_ts": "none"}


class TableSpec(NamedTuple):
    """How one table is made."""

    name: str
    columns: pa.Schema
    partitions: Sequence[_Partition]
    order: tuple[str, ...]
    properties: Mapping[str, str]


def specs(settings: LakeSettings) -> list[TableSpec]:
    """The region's tables as the contract has them."""
    by_day: list[_Partition] = [("day", IdentityTransform(), "day")]
    by_day_and_device: list[_Partition] = [
        ("ts", DayTransform(), "ts_day"),
        ("device_id", BucketTransform(settings.row.history_buckets), "device_id_bucket"),
    ]
    by_hour_and_device: list[_Partition] = [("hour", HourTransform(), "hour_hour"), by_day_and_device[1]]
    return [
        TableSpec(HISTORY_TABLE, LANDING_SCHEMA, by_day_and_device, ("device_id", "ts"), _HISTORY),
        TableSpec(TRIP_TABLE, TRIP_SCHEMA, by_day, ("device_id", "start_ts"), _TRIP),
        TableSpec(EPISODE_TABLE, EPISODE_SCHEMA, by_day, ("device_id", "start_ts"), _TRIP),
        TableSpec(FAULT_DAY_TABLE, FAULT_DAY_SCHEMA, by_day, ("device_id", "code"), _DEVICE_DAY),
        TableSpec(DEVICE_DAY_TABLE, DEVICE_DAY_SCHEMA, by_day, ("device_id",), _DEVICE_DAY),
        TableSpec(MOTION_HOUR_TABLE, MOTION_HOUR_SCHEMA, by_hour_and_device, ("device_id",), _COMMON),
    ]


def ensure_tables(settings: LakeSettings) -> None:
    """Create the namespace `history` and its tables, and columns of theirs, where they are missing.

    Safe when two do it at once. A column that the contract has since is null in what was written before. Raises
    SchemaMismatch, and changes nothing, where the contract gives a column another type.
    """
    wanted = specs(settings)
    catalog(settings)  # Opening it takes the same lock, on a connection of its own.
    with creating(settings):
        _ensure_namespace(settings)
        found = own_tables(settings)
        changes = {name: table_differences(table, wanted) for name, table in found.items()}
        refuse_other_types([change for some in changes.values() for change in some])
        for spec in wanted:
            if spec.name in found:
                kinds = (Kind.ADD, Kind.OPTIONAL)
                evolve(found[spec.name], iceberg_schema(spec.columns), changes[spec.name], kinds)
            else:
                _create(settings, spec)


def schema_differences(settings: LakeSettings, *, apply: bool = False) -> list[Difference]:
    """How the region's tables differ from the contract; where they are missing they are created.

    apply: make all changes but those that are refused. Raises SchemaMismatch, and changes nothing, for one that is.
    """
    wanted = specs(settings)
    if own_tables(settings).keys() < {spec.name for spec in wanted}:
        ensure_tables(settings)
    with creating(settings):
        found = own_tables(settings)
        changes = [change for table in found.values() for change in table_differences(table, wanted)]
        if apply:
            refuse_other_types([change for change in changes if change.kind is Kind.REFUSED])
            for spec in wanted:
                own = [change for change in changes if change.table == spec.name]
                evolve(found[spec.name], iceberg_schema(spec.columns), own, (Kind.ADD, Kind.OPTIONAL, Kind.WIDEN))
    return changes


def own_tables(settings: LakeSettings) -> dict[str, Table]:
    """The region's tables that exist, by the contract's name. Raises ForeignTable as load_own does."""
    found = {}
    for spec in specs(settings):
        with suppress(NoSuchTableError):
            found[spec.name] = load_own(settings, spec.name)
    return found


def table_differences(table: Table, wanted: Sequence[TableSpec]) -> list[Difference]:
    """How a table differs from its spec."""
    spec = next(spec for spec in wanted if spec.name.rpartition(".")[2] == table.name()[-1])
    return differences(spec.name, table.schema(), iceberg_schema(spec.columns))


def history(settings: LakeSettings) -> Table:
    """history.telemetry as it is now; created where missing."""
    return table(settings, HISTORY_TABLE)


def table(settings: LakeSettings, name: str) -> Table:
    """One of the region's tables as it is now; all are created where it is missing. Adds no columns."""
    try:
        return load_own(settings, name)
    except NoSuchTableError:
        ensure_tables(settings)
        return load_own(settings, name)


def evolve_buckets(settings: LakeSettings) -> bool:
    """Give history the number of device buckets that the region table says; whether that was another one.

    What is written from now on has the new layout. Older files stay readable, and maintenance rewrites them.
    """
    found, wanted = history(settings), settings.row.history_buckets
    bucket = found.spec().fields[1]
    if bucket.transform == BucketTransform(wanted):
        return False
    with found.update_spec() as change:
        change.remove_field(bucket.name)
        change.add_field("device_id", BucketTransform(wanted), f"device_id_bucket_{wanted}")
    return True


def _ensure_namespace(settings: LakeSettings) -> None:
    tables, namespace = catalog(settings), settings.identifier(HISTORY_TABLE).split(".", maxsplit=1)[0]
    if tables.namespace_exists(namespace):
        return
    with suppress(NamespaceAlreadyExistsError):
        tables.create_namespace(namespace)


def _create(settings: LakeSettings, table: TableSpec) -> None:
    schema = iceberg_schema(table.columns)
    spec = PartitionSpec(
        *(
            PartitionField(schema.find_field(source).field_id, 1000 + place, transform, label)
            for place, (source, transform, label) in enumerate(table.partitions)
        )
    )
    order = [SortField(schema.find_field(column).field_id, IdentityTransform()) for column in table.order]
    location = f"{settings.warehouse}/{table.name.replace('.', '/')}"
    with suppress(TableAlreadyExistsError):
        name = settings.identifier(table.name)
        catalog(settings).create_table(name, schema, location, spec, SortOrder(*order), dict(table.properties))


def iceberg_schema(arrow: pa.Schema) -> Schema:
    """The Iceberg schema of a contract schema: ids by position, docs and units as comments."""
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
    from pyiceberg.schema import assign_fresh_schema_ids

    bare = pa.schema([pa.field(field.name, field.type, field.nullable) for field in arrow])
    schema = assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(bare))
    return Schema(*(_documented(field, arrow.field(field.name)) for field in schema.fields))


def _documented(field: NestedField, source: pa.Field) -> NestedField:
    meaning = source.metadata or {}
    doc = meaning.get(b"doc", b"").decode()
    unit = meaning.get(b"unit", b"").decode()
    comment = f"{doc} [{unit}]" if unit else doc
    return NestedField(field.field_id, field.name, field.field_type, field.required, doc=comment)
