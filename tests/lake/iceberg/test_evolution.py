"""Tables follow the contract where nothing can be lost, and refuse where something could."""

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from contracts.errors import SchemaMismatch
from contracts.record import LANDING_SCHEMA
from lake.iceberg.evolution import Kind, differences, is_wider
from lake.iceberg.tables import ensure_tables, history, iceberg_schema, schema_differences
from lake.trail.spot_query import trail
from tests.builders.lake import NOON, landing_row, landing_table


def schema(**columns: tuple[IcebergType, bool]) -> Schema:
    """Columns with their types, and whether they are required."""
    fields = enumerate(columns.items(), 1)
    return Schema(*(NestedField(number, name, kind, required) for number, (name, (kind, required)) in fields))


@pytest.mark.parametrize(
    ("found", "wanted", "kind"),
    [
        ((StringType(), False), (StringType(), False), None),
        ((StringType(), True), (StringType(), False), Kind.OPTIONAL),
        ((StringType(), False), (StringType(), True), None),
        ((FloatType(), False), (DoubleType(), False), Kind.WIDEN),
        ((IntegerType(), True), (LongType(), True), Kind.WIDEN),
        ((DecimalType(9, 2), False), (DecimalType(12, 2), False), Kind.WIDEN),
        ((DecimalType(9, 2), False), (DecimalType(12, 3), False), Kind.REFUSED),
        ((DoubleType(), False), (FloatType(), False), Kind.REFUSED),
        ((LongType(), False), (IntegerType(), False), Kind.REFUSED),
        ((LongType(), False), (DoubleType(), False), Kind.REFUSED),
        ((StringType(), False), (DoubleType(), False), Kind.REFUSED),
        ((TimestamptzType(), False), (DateType(), False), Kind.REFUSED),
    ],
)
def test_what_is_to_be_done_about_a_column(found, wanted, kind):
    seen = differences("t", schema(a=found), schema(a=wanted))
    assert [one.kind for one in seen] == ([] if kind is None else [kind])


def test_columns_of_one_side_alone_are_added_or_kept():
    seen = differences("t", schema(a=(LongType(), False)), schema(b=(StringType(), True)))
    assert [(one.column, one.kind) for one in seen] == [("b", Kind.ADD), ("a", Kind.KEPT)]


def test_a_wider_type_reads_back_every_value_of_the_narrower_one():
    assert not is_wider(LongType(), DoubleType())
    edges = {IntegerType: (pa.int32(), [-(2**31), 2**31 - 1]), FloatType: (pa.float32(), [1e-45, 3.4e38, 0.1])}
    for narrow, (arrow, values) in edges.items():
        column = pa.array(values, arrow)
        assert column.cast(pa.int64() if narrow is IntegerType else pa.float64()).cast(arrow).equals(column)


def without(landing, *names: str) -> None:
    """Make history the table of a contract that lacked these columns."""
    ensure_tables(landing.settings)
    with history(landing.settings).update_schema(allow_incompatible_changes=True) as change:
        for name in names:
            change.delete_column(name)


def told(landing, *, apply: bool = False) -> set[tuple[str, str]]:
    return {(one.column, one.kind.value) for one in schema_differences(landing.settings, apply=apply)}


def test_the_contract_s_new_columns_are_shown_and_added(landing):
    without(landing, "fuel_used_l", "driver_id", "fault_lamps")
    new = {("fuel_used_l", "add"), ("driver_id", "add"), ("fault_lamps", "add")}
    assert told(landing) == new
    assert told(landing, apply=True) == new
    assert told(landing) == set()
    found = {field.name: field for field in history(landing.settings).schema().fields}
    wanted = {field.name: field for field in iceberg_schema(LANDING_SCHEMA).fields}
    assert {name: str(field.field_type) for name, field in found.items()} == {
        name: str(field.field_type) for name, field in wanted.items()
    }
    assert found["driver_id"].doc == wanted["driver_id"].doc


def other_type(landing, name: str, kind: IcebergType) -> None:
    without(landing, name)
    with history(landing.settings).update_schema() as change:
        change.add_column(name, kind)


def test_a_wider_type_waits_for_the_command(landing):
    other_type(landing, "fuel_used_l", FloatType())
    with pytest.raises(SchemaMismatch, match=r"fuel_used_l of history.telemetry is float.*fleetlake schema --apply"):
        ensure_tables(landing.settings)
    assert told(landing, apply=True) == {("fuel_used_l", "widen")}
    ensure_tables(landing.settings)
    assert str(history(landing.settings).schema().find_field("fuel_used_l").field_type) == "double"


def test_a_type_that_could_lose_values_is_refused_and_nothing_is_changed(landing):
    without(landing, "driver_id", "fuel_used_l")
    with history(landing.settings).update_schema() as change:
        change.add_column("fuel_used_l", StringType())
    for attempt in (ensure_tables, lambda settings: schema_differences(settings, apply=True)):
        with pytest.raises(SchemaMismatch, match=r"fuel_used_l .* is string, the contract says double, which cannot"):
            attempt(landing.settings)
    assert told(landing) == {("fuel_used_l", "refused"), ("driver_id", "add")}


def test_rows_of_an_older_contract_have_nulls_and_a_newer_one_s_columns_stay(landing):
    """Version 1 wrote a file; version 3, which has one column more, another; this version reads both and keeps all."""
    names = ["driver_id", "fault_lamps", "engine_hours_h"]
    without(landing, *names)
    table = history(landing.settings)
    table.append(landing_table([landing_row("a", NOON, "1")]).drop_columns(names).cast(table.schema().as_arrow()))
    ensure_tables(landing.settings)
    with history(landing.settings).update_schema() as change:
        change.add_column("of_version_3", StringType())
    rows = landing_table([landing_row("a", NOON.replace(hour=13), "2", driver_id="D", fault_lamps=["red_stop"])])
    table = history(landing.settings)
    newer = rows.append_column("of_version_3", pa.array(["kept"]))
    wanted = table.schema().as_arrow()
    table.append(newer.select(wanted.names).cast(wanted))
    assert told(landing, apply=True) == {("of_version_3", "kept")}
    found = trail(landing.settings, "a", NOON.replace(hour=0), NOON.replace(hour=23))
    assert found.records.select(names).to_pylist() == [
        {"driver_id": None, "fault_lamps": None, "engine_hours_h": None},
        {"driver_id": "D", "fault_lamps": ["red_stop"], "engine_hours_h": None},
    ]
    kept = history(landing.settings).scan().to_arrow()["of_version_3"].to_pylist()
    assert sorted(kept, key=str) == [None, "kept"]
