"""Records of history, landing and live state become one list, each identity once."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.record import LANDING_SCHEMA
from lake.trail.union import union
from tests.builders.query import Rows, again

NULLABLE = pa.schema([field.with_nullable(True) for field in LANDING_SCHEMA])
NONE = NULLABLE.empty_table()


def one_device(each: int) -> pa.Table:
    return Rows().make(devices=1, each=each).cast(NULLABLE)


def without_id(rows: pa.Table) -> pa.Table:
    at = LANDING_SCHEMA.get_field_index("record_id")
    return rows.set_column(at, NULLABLE.field(at), pa.nulls(rows.num_rows, pa.string()))


def test_a_record_in_all_three_stores_is_one_of_history() -> None:
    rows = one_device(5)
    records, sources = union(rows, rows, without_id(rows))
    assert records.num_rows == 5
    assert (sources.history, sources.landing, sources.live) == (5, 0, 0)


def test_each_store_adds_what_the_others_lack() -> None:
    rows = one_device(9)
    records, sources = union(rows.slice(0, 4), rows.slice(3, 4), without_id(rows.slice(6, 3)))
    assert records.column("ts").to_pylist() == rows.column("ts").to_pylist()
    assert (sources.history, sources.landing, sources.live) == (4, 3, 2)


def test_of_copies_the_one_that_arrived_first_stays() -> None:
    rows = one_device(3)
    records, _ = union(NONE, pa.concat_tables([again(rows).cast(NULLABLE), rows]), NONE)
    assert records.column("sequence_number").to_pylist() == rows.column("sequence_number").to_pylist()


def test_two_records_of_one_moment_are_two() -> None:
    rows = one_device(2)
    at = LANDING_SCHEMA.get_field_index("ts")
    same_ts = rows.set_column(
        at, NULLABLE.field(at), pa.array([rows.column("ts")[0].as_py()] * 2, NULLABLE.field(at).type)
    )
    records, sources = union(same_ts.slice(0, 1), same_ts.slice(1, 1), NONE)
    assert (records.num_rows, sources.landing) == (2, 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 1), st.integers(0, 3)), max_size=40))
def test_any_spread_of_copies_gives_each_identity_once(copies: list[tuple[int, int, int]]) -> None:
    rows = one_device(12)
    parts: list[list[pa.Table]] = [[], []]
    for index, store, delay in copies:
        copy = rows.slice(index, 1)
        parts[store].append(
            again(copy, timedelta(minutes=delay), 10**6 * (delay + 1)).cast(NULLABLE) if delay else copy
        )
    history, landing = (pa.concat_tables(part) if part else NONE for part in parts)
    records, sources = union(history, landing, NONE)
    assert records.num_rows == len({index for index, _, _ in copies}) == sources.history + sources.landing
    times = records.column("ts").to_pylist()
    assert times == sorted(times)
    earliest = {i: min(delay for at, _, delay in copies if at == i) for i, _, _ in copies}
    undelayed = sum(1 for delay in earliest.values() if delay == 0)
    assert pc.sum(pc.less(pc.cast(records.column("sequence_number"), pa.int64()), 10**6)).as_py() in (undelayed, None)
