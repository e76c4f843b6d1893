"""Derived days into staging: exactly the due days, one day at a time, twice at once without harm."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg
import pyarrow as pa
import pytest

from contracts import ddl
from contracts.columns import Column
from contracts.derived import DEVICE_DAY, TRIP, UTILISATION_DAY
from contracts.settings import RegionSettings, WorldSettings
from marts.applied import due_loads, due_marts, mark_applied, staged_sequences
from marts.lateness import late
from marts.load import load_days
from tests.builders.marts import connect, derive, device_day, empty, episode, fault_day, fetch, trip

DAY, NEXT = date(2026, 3, 2), date(2026, 3, 3)
TABLES = """select table_schema, table_name, column_name, data_type, is_nullable from information_schema.columns
    where table_schema in ('registry', 'staging', 'ops', 'privacy') order by 1, 2, ordinal_position"""


@pytest.fixture
def region(stack) -> Iterator[RegionSettings]:
    settings = stack.settings("af")
    empty(settings)
    yield settings
    empty(settings)


@pytest.fixture(scope="module")
def world(stack) -> WorldSettings:
    return stack.world_settings()


def test_days_are_due_until_loaded_and_again_when_their_rows_differ(region):
    derive(region, DAY, 7, [device_day("a", DAY)])
    derive(region, NEXT, 7, [device_day("a", NEXT)])
    assert due_loads(region) == [DAY, NEXT]
    load_days(region, [DAY])
    assert due_loads(region) == [NEXT]
    load_days(region, [NEXT])
    with connect(region) as connection:
        connection.execute("update ops.derived set sequence = 9")
    assert due_loads(region) == []  # derived again with equal rows
    derive(region, DAY, 10, [device_day("a", DAY, records=5)])
    assert due_loads(region) == [DAY]


def test_what_waits_too_long_is_late_at_its_stage(region):
    derive(region, DAY, 7, [device_day("a", DAY)])
    assert late(region, 1) == []
    with connect(region) as connection:
        connection.execute("update ops.derived set derived_at = now() - interval '2 hours'")
        connection.execute(
            "insert into ops.changed (day, sequence, changed_at) values (%s, 1, now() - interval '3 hours')", [NEXT]
        )
        connection.execute(
            "insert into ops.watermarks (shard_id, position, watermark, ended) values"
            " ('a', '1', now() - interval '4 hours', false), ('b', '1', now() - interval '4 days', true)"
        )
    try:
        assert [(one.stage, one.count) for one in late(region, 1)] == [("consumer", 1), ("derive", 1), ("marts", 1)]
        assert [one.stage for one in late(region, 3.5)] == ["consumer"]
    finally:
        with connect(region) as connection:
            connection.execute("delete from ops.watermarks where shard_id in ('a', 'b')")


def test_staging_holds_what_history_holds(region):
    rows = [device_day("a", DAY, max_speed_kmh=None, fuel_l=0.1 + 0.2), device_day('b"\n,c', DAY)]
    faults = [fault_day("a", DAY, "SPN 110/FMI 0")]
    derive(region, DAY, 1, rows, [trip("a", DAY, start_lat=None)], [episode("a", DAY)], faults)
    report = load_days(region, [DAY])
    names = [column.name for column in DEVICE_DAY]
    staged = fetch(region, f"select {', '.join(names)} from staging.device_day order by device_id")
    assert [dict(zip(names, row, strict=True)) for row in staged] == rows
    assert fetch(region, "select trip_id, start_lat, distance_km from staging.trip") == [(f"a/{DAY}", None, 50.0)]
    assert (report.days, report.skipped) == ([DAY], [])
    assert report.rows == {"device_day": 2, "trip": 1, "episode": 1, "fault_day": 1}
    assert fetch(region, "select episode_id, value from staging.episode") == [(f"a-idle-{DAY}", None)]
    assert fetch(region, "select code, records from staging.fault_day") == [("SPN 110/FMI 0", 60)]
    assert fetch(region, "select sequence, rows from ops.applied where target = 'staging'") == [(1, 2)]


def test_a_load_replaces_its_day_and_no_other(region):
    derive(region, DAY, 1, [device_day("a", DAY), device_day("b", DAY)])
    derive(region, NEXT, 1, [device_day("a", NEXT)])
    load_days(region, [DAY, NEXT])
    untouched = fetch(region, "select device_id, loaded_at from staging.device_day where day = %s", NEXT)
    derive(region, DAY, 2, [device_day("b", DAY)])
    load_days(region, due_loads(region))
    assert fetch(region, "select device_id from staging.device_day where day = %s", DAY) == [("b",)]
    assert fetch(region, "select device_id, loaded_at from staging.device_day where day = %s", NEXT) == untouched


def test_a_day_that_became_empty_is_emptied(region):
    derive(region, DAY, 1, [device_day("a", DAY)], [trip("a", DAY)])
    load_days(region, [DAY])
    derive(region, DAY, 2, [])
    load_days(region, due_loads(region))
    assert fetch(region, "select count(*) from staging.device_day") == [(0,)]
    assert fetch(region, "select count(*) from staging.trip") == [(0,)]
    assert due_loads(region) == []


def test_a_day_that_is_not_derived_is_skipped(region):
    report = load_days(region, [DAY])
    assert (report.days, report.skipped) == ([], [DAY])


def test_more_days_than_one_scan_reads(region):
    days = [DAY + timedelta(days=n) for n in range(9)]
    for day in days[::8]:
        derive(region, day, 1, [device_day("a", day)])
    report = load_days(region, days)
    assert (report.days, len(report.skipped)) == (days[::8], 7)


def test_two_loads_at_once_leave_one_copy(region):
    derive(region, DAY, 1, [device_day(f"d{n}", DAY) for n in range(200)])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: load_days(region, [DAY]), range(4)))
    assert fetch(region, "select count(*), count(distinct device_id) from staging.device_day") == [(200, 200)]


def test_a_slow_load_does_not_undo_a_newer_one(region):
    derive(region, DAY, 1, [device_day("old", DAY)])
    with connect(region) as connection:
        mark_applied(connection, "staging", DAY, 5, 0)
    report = load_days(region, [DAY])
    assert report.skipped == [DAY]
    assert staged_sequences(region, [DAY]) == {DAY: 5}


def test_a_failed_copy_leaves_the_old_day(region):
    derive(region, DAY, 1, [device_day("a", DAY)])
    load_days(region, [DAY])
    derive(region, DAY, 2, [device_day("b", DAY), device_day("b", DAY)])  # breaks the primary key
    with pytest.raises(psycopg.errors.UniqueViolation):
        load_days(region, [DAY])
    assert fetch(region, "select device_id from staging.device_day") == [("a",)]
    assert due_loads(region) == [DAY]


def test_marts_are_due_after_a_load_and_once_more_when_the_day_becomes_final(region):
    recent = datetime.now(UTC).date() + timedelta(days=2 - region.release_delay_days)
    with connect(region) as connection:
        mark_applied(connection, "staging", DAY, 3, 1)
        mark_applied(connection, "staging", recent, 3, 1)
    silent = [day for day in due_marts(region) if day not in (DAY, recent)]
    assert silent == [DAY + timedelta(days=n + 1) for n in range(31)] + [
        recent + timedelta(days=n + 1) for n in range((datetime.now(region.row.zone).date() - recent).days - 1)
    ]
    assert due_marts(region) == sorted([DAY, recent, *silent])
    with connect(region) as connection:
        for day, sequence in staged_sequences(region, [DAY, recent, *silent]).items():
            mark_applied(connection, "marts", day, sequence, 1)
    assert due_marts(region) == []
    with connect(region) as connection:  # as if the marts had been made on the day itself
        connection.execute("update ops.applied set applied_at = day + interval '12 hours' where target = 'marts'")
    assert [day for day in due_marts(region) if day not in silent] == [DAY]


_TYPES = {
    pa.string(): "text",
    pa.date32(): "date",
    pa.float64(): "double precision",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.timestamp("us", tz="UTC"): "timestamp with time zone",
}


@pytest.mark.parametrize(
    ("table", "columns", "of_world"),
    [("trip", TRIP, False), ("device_day", DEVICE_DAY, False), ("utilisation_day", UTILISATION_DAY, True)],
)
def test_staging_has_the_columns_of_the_contract(
    region, world, table: str, columns: tuple[Column, ...], of_world: bool
):
    found = fetch(
        world if of_world else region,
        """select column_name, data_type, is_nullable = 'NO' from information_schema.columns
        where table_schema = 'staging' and table_name = %s order by ordinal_position""",
        table,
    )
    expected = [(column.name, _TYPES[column.type], column.required) for column in columns]
    assert found == [*expected, ("loaded_at", "timestamp with time zone", True)]


def test_the_ddl_may_run_again(region, world):
    before = [fetch(database, TABLES) for database in (region, world)]
    with connect(region) as connection:
        connection.execute(ddl.fleet())
    with connect(world) as connection:
        connection.execute(ddl.world())
    assert [fetch(database, TABLES) for database in (region, world)] == before
    assert all(before)
