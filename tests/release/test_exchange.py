"""What an object of the exchange may hold: the release's columns and words, and nothing else."""

from datetime import date

import pyarrow as pa
import pytest

from contracts.derived import CUSTOMER_DAY_SCHEMA, UTILISATION_DAY_SCHEMA
from contracts.errors import ReleaseRefused
from release.exchange import (
    ReleaseKey,
    checked,
    decode,
    encode,
    parse_key,
)

OF = ReleaseKey("eu", "utilisation_day", date(2026, 3, 2))
ROW = {
    "region": "eu",
    "day": OF.day,
    "device_type": "bus",
    "status": "published",
    "cohort": 15,
    "devices": 20,
    "records": 1230.0,
    "engine_h": 12.5,
    "moving_h": 10.0,
    "distance_km": 456.0,
}


def table(**values: object) -> pa.Table:
    return pa.Table.from_pylist([ROW | values], schema=UTILISATION_DAY_SCHEMA)


def test_a_release_passes_and_its_bytes_are_the_same_each_time():
    assert checked(decode(encode(table()), OF.key), OF).to_pylist() == [ROW]
    assert encode(table()) == encode(table())


def test_an_empty_release_passes():
    assert checked(UTILISATION_DAY_SCHEMA.empty_table(), OF).num_rows == 0


@pytest.mark.parametrize("name", ["device_id", "lat", "subject_id", "anything"])
def test_a_column_that_is_not_an_aggregate_is_refused(name):
    smuggled = table().append_column(name, pa.array(["value-of-a-person"]))
    with pytest.raises(ReleaseRefused, match=name) as refusal:
        checked(smuggled, OF)
    assert "value-of-a-person" not in str(refusal.value)


@pytest.mark.parametrize(
    "values",
    [
        {"region": "us"},
        {"day": date(2026, 3, 3)},
        {"device_type": "WVWZZZ1JZXW000001"},
        {"status": "perhaps"},
        {"cohort": 12},
        {"devices": -5},
        {"distance_km": float("nan")},
    ],
)
def test_a_value_outside_the_vocabulary_or_the_rounding_is_refused(values):
    with pytest.raises(ReleaseRefused, match=next(iter(values))):
        checked(table(**values), OF)


def test_a_missing_a_doubled_and_a_retyped_column_are_refused():
    doubled = table().append_column("cohort", pa.array([15]))
    retyped = table().set_column(4, "cohort", pa.array(["15"]))
    for broken in (table().drop_columns(["cohort"]), doubled, retyped):
        with pytest.raises(ReleaseRefused):
            checked(broken, OF)


def test_a_kind_that_stands_twice_is_refused():
    with pytest.raises(ReleaseRefused, match="twice"):
        checked(pa.concat_tables([table(), table()]), OF)


def test_a_withheld_cell_has_a_name_and_no_value():
    amounts = ("cohort", "devices", "records", "engine_h", "moving_h", "distance_km")
    withheld = {"status": "withheld", **dict.fromkeys(amounts)}
    assert checked(table(**withheld), OF).to_pylist() == [ROW | withheld]
    for name in amounts:
        with pytest.raises(ReleaseRefused, match=f"'{name}' holds a value of a withheld cell"):
            checked(table(**withheld | {name: 15}), OF)
        with pytest.raises(ReleaseRefused, match=name):
            checked(table(**{name: None}), OF)


def test_an_object_of_before_withheld_cells_were_named_holds_published_ones():
    assert checked(table().drop_columns(["status"]), OF).to_pylist() == [ROW]


def test_a_customer_is_named_by_an_id_and_by_nothing_else():
    of = ReleaseKey("eu", "customer_day", OF.day)
    row = {name: value for name, value in ROW.items() if name != "device_type"}

    def of_customer(name: str) -> pa.Table:
        return pa.Table.from_pylist([row | {"customer": name}], schema=CUSTOMER_DAY_SCHEMA)

    assert parse_key(of.key) == of
    assert checked(of_customer("meridian"), of).num_rows == 1
    with pytest.raises(ReleaseRefused, match="customer"):
        checked(of_customer("Erika Mustermann"), of)
    with pytest.raises(ReleaseRefused, match="device_type"):
        checked(table(), of)


def test_keys_are_parsed_as_they_are_made():
    assert parse_key(OF.key) == OF
    for other in (
        "region=eu/other/day=2026-03-02/data.parquet",
        "region=eu/utilisation_day/day=2026-13-02/data.parquet",
        "x",
    ):
        with pytest.raises(ReleaseRefused):
            parse_key(other)
