"""The region's Iceberg tables as they are created."""

from concurrent.futures import ThreadPoolExecutor

from pyiceberg.io.pyarrow import schema_to_pyarrow

from contracts.derived import (
    DEVICE_DAY_SCHEMA,
    EPISODE_SCHEMA,
    FAULT_DAY_SCHEMA,
    MOTION_HOUR_SCHEMA,
    TRIP_SCHEMA,
)
from contracts.record import LANDING_SCHEMA
from lake.iceberg import catalog as catalogs
from lake.iceberg.tables import ensure_tables, history, table


def test_two_creators_at_once_end_with_one_set_of_tables(landing):
    catalogs._open.clear()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ensure_tables, [landing.settings] * 4))
    ensure_tables(landing.settings)
    assert sorted(name for _, name in catalogs.catalog(landing.settings).list_tables("history")) == [
        "device_day",
        "episode",
        "fault_day",
        "motion_hour",
        "telemetry",
        "trip",
    ]


def test_tables_have_the_contracts_columns(landing):
    for name, schema in (
        ("history.telemetry", LANDING_SCHEMA),
        ("history.trip", TRIP_SCHEMA),
        ("history.episode", EPISODE_SCHEMA),
        ("history.fault_day", FAULT_DAY_SCHEMA),
        ("history.device_day", DEVICE_DAY_SCHEMA),
        ("history.motion_hour", MOTION_HOUR_SCHEMA),
    ):
        stored = schema_to_pyarrow(table(landing.settings, name).schema(), include_field_ids=False)
        assert [(f.name, f.nullable) for f in stored] == [(f.name, f.nullable) for f in schema]


def test_history_is_laid_out_by_event_day_and_device(landing):
    made = history(landing.settings)
    buckets = landing.settings.row.history_buckets
    assert [str(field.transform) for field in made.spec().fields] == ["day", f"bucket[{buckets}]"]
    assert [made.schema().find_column_name(field.source_id) for field in made.sort_order().fields] == [
        "device_id",
        "ts",
    ]


def test_history_merges_with_conflicts_detected_and_names_nobody_in_metadata(landing):
    properties = history(landing.settings).properties
    assert properties["write.merge.mode"] == "merge-on-read"
    assert properties["write.merge.isolation-level"] == "serializable"
    assert properties["write.delete.mode"] == "copy-on-write"
    assert properties["write.metadata.metrics.default"] == "none"
    shown = {name: value for name, value in properties.items() if name.startswith("write.metadata.metrics.column.")}
    assert shown == {"write.metadata.metrics.column.ts": "full", "write.metadata.metrics.column.device_id": "none"}
