"""The marts, built by dbt in the region's real Postgres: contracts, days, grants, words for BI."""

import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta

import psycopg
import pytest

import stack as embedded
from contracts.settings import RegionSettings
from marts.applied import due_loads, due_marts, mark_marts, staged_sequences
from marts.dbt import PROJECT, window_arguments
from marts.load import load_days
from reconcile.ops import read_ops
from stack.environments import bi_dsn
from tests.builders.marts import (
    derive,
    device_day,
    empty,
    episode,
    fault_day,
    fetch,
    register,
    run_dbt,
    start_dbt,
    trip,
)

DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(3)]
FACTS = ("device_day", "trip", "idling_event", "fuel_event")
SUMMED = (*FACTS, "fleet_day", "fleet_type_day", "data_completeness_day")
DAY_MARTS = (*SUMMED, "device_hour")
MARTS = (
    *DAY_MARTS,
    "device_month",
    "utilisation_month",
    "fault_episode",
    "dim_device",
    "dim_fleet",
    "dim_fault_code",
    "dim_calendar",
)
QUESTIONS = re.findall(r"```sql\n(.*?)```", (PROJECT.parent / "docs/how-to/ask-the-marts.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def region(stack, folder) -> Iterator[RegionSettings]:
    """Three days of three devices, one of them not registered, and one fleet member that never reports; all built."""
    settings = stack.settings("af")
    empty(settings)
    register(settings, "f1", {"a": "bus", "b": "car", "idle": "car"})
    for day in DAYS:
        rows = [device_day("a", day), device_day("b", day, engine_s=0.0, moving_s=0.0), device_day("stray", day)]
        trips = [trip("a", day), trip("stray", day, fuel_l=None)]
        happened = [episode("a", day), episode("a", day, "refuel", value=40.0), episode("b", day, "stop")]
        derive(settings, day, 1, rows, trips, happened, [fault_day("a", day)])
    load_days(settings, due_loads(settings))
    run_dbt(settings, folder, "build")
    yield settings
    empty(settings)


def rows_of(settings: RegionSettings, mart: str) -> list[tuple]:
    """Every row without the time it was built at."""
    query = """select string_agg(quote_ident(column_name), ', ' order by ordinal_position)
        from information_schema.columns where table_schema = 'marts' and table_name = %s
        and column_name <> 'refreshed_at'"""
    columns = fetch(settings, query, mart)[0][0]
    return sorted(fetch(settings, f"select {columns} from marts.{mart}"), key=repr)


def test_fleet_day_has_numerators_and_denominators(region):
    found = fetch(
        region,
        """select fleet_id, devices_available, devices_reporting, devices_active, utilisation_engine_s,
        utilisation_available_s, trips, fuel_l from marts.fleet_day where day = %s order by fleet_id""",
        DAYS[0],
    )
    assert found == [
        ("f1", 3, 2, 1, 3600.0, 3 * 86_400.0, 2, 8.4),
        ("unassigned", 1, 1, 1, 3600.0, 86_400.0, 1, 4.2),
    ]


def test_a_device_seen_but_not_registered_is_in_dim_device(region):
    found = fetch(region, "select device_id, fleet_id, device_type, is_final from marts.dim_device order by 1")
    assert found == [
        ("a", "f1", "bus", True),
        ("b", "f1", "car", True),
        ("idle", "f1", "car", True),
        ("stray", "unassigned", "unknown", False),
    ]


def test_completeness_counts_what_came_and_how(region):
    query = """select devices_expected, devices_received, records_received, records_late, records_flagged
        from marts.data_completeness_day where fleet_id = 'f1' and day = %s"""
    assert fetch(region, query, DAYS[0]) == [(3, 2, 200, 4, 2)]


def test_each_mart_adds_up_to_what_staging_has(region):
    """By the sums that `reconcile` compares."""
    sums = read_ops(region).sums
    for mart in SUMMED:
        source = {"trip": "trip", "idling_event": "episode", "fuel_event": "episode"}.get(mart, "device_day")
        staged, found = sums[f"staging.{source}"], sums[f"marts.{mart}"]
        assert found.keys() == staged.keys() == set(DAYS)
        assert all(found[day][name] == pytest.approx(staged[day][name]) for day in DAYS for name in found[day])


def test_months_and_hours_add_up_to_what_they_are_made_of(region):
    of_days = """select sum(records), sum(engine_s), sum(distance_gps_km), sum(trips), count(*)
        from marts.device_day where fleet_id = 'f1'"""
    of_month = """select sum(records), sum(engine_s), sum(distance_gps_km), sum(trips), sum(days_reported)
        from marts.device_month where fleet_id = 'f1'"""
    assert fetch(region, of_month) == fetch(region, of_days)
    by_month = "select sum(engine_s), sum(days_active) from marts.device_month"
    assert fetch(region, by_month) == fetch(
        region, "select sum(utilisation_engine_s), sum(device_days_active) from marts.utilisation_month"
    )
    of_trips = "select count(*), sum(extract(epoch from end_ts - start_ts)), sum(distance_km) from marts.trip"
    of_hours = "select sum(trips_started), sum(trip_s), sum(trip_distance_km) from marts.device_hour"
    assert fetch(region, of_hours)[0] == pytest.approx(tuple(map(float, fetch(region, of_trips)[0])))
    idling = "select sum(idling_s) from marts.device_hour"
    assert fetch(region, idling) == fetch(region, "select sum(duration_s) from marts.idling_event")


def test_twenty_questions_of_a_fleet_manager_are_answered_from_marts_alone(region, stack):
    assert len(QUESTIONS) == 20
    with psycopg.connect(bi_dsn(embedded.running_site(stack.state), region.region)) as connection:
        answers = [connection.execute(question).fetchall() for question in QUESTIONS]
    by_fleet = {row[0]: row for row in answers[9]}
    assert by_fleet["f1"][1:3] == (3, 50)
    assert [row[:2] for row in answers[13]] == [("a", "P0217")]
    assert [row[:3] for row in answers[14]] == [("P0217", "SAE J2012", "powertrain")]


def test_a_window_replaces_its_days_and_equals_a_full_build(region, folder):
    sequences = staged_sequences(region, DAYS)
    mark_marts(region, DAYS, sequences)
    assert due_marts(region) == []
    before = {
        mart: fetch(region, f"select * from marts.{mart} where day <> %s order by 1, 2", DAYS[1]) for mart in DAY_MARTS
    }
    derive(
        region,
        DAYS[1],
        2,
        [device_day("a", DAYS[1], records=7, engine_s=0.1), device_day("new", DAYS[1], engine_s=0.2)],
    )
    load_days(region, due_loads(region))
    assert due_marts(region) == [DAYS[1]]
    run_dbt(region, folder, "run", *window_arguments(due_marts(region)))
    after = {
        mart: fetch(region, f"select * from marts.{mart} where day <> %s order by 1, 2", DAYS[1]) for mart in DAY_MARTS
    }
    assert after == before  # refreshed_at too: no row of another day was written
    assert fetch(region, "select device_id, records from marts.device_day where day = %s order by 1", DAYS[1]) == [
        ("a", 7),
        ("new", 100),
    ]
    windowed = {mart: rows_of(region, mart) for mart in MARTS}
    run_dbt(region, folder, "run", "--full-refresh")
    assert {mart: rows_of(region, mart) for mart in MARTS} == windowed


def test_windows_built_at_once_leave_each_row_once(region, folder, tmp_path):
    before = rows_of(region, "device_day")
    for n in range(2):
        shutil.copytree(folder, tmp_path / str(n))  # what dbt made of the project: none needs to read it again
    build = ("run", "--select", "+device_day")
    runs = [start_dbt(region, tmp_path / str(n), *build, *window_arguments(DAYS[n:])) for n in range(2)]
    assert [(run.communicate()[0], run.returncode) for run in runs] == [("", 0)] * len(runs)
    assert rows_of(region, "device_day") == before


def test_a_day_that_became_empty_is_emptied(region, folder):
    derive(region, DAYS[2], 3, [])
    load_days(region, due_loads(region))
    run_dbt(region, folder, "run", *window_arguments([DAYS[2]]))
    emptied = (*FACTS, "device_hour")
    left = {mart: fetch(region, f"select count(*) from marts.{mart} where day = %s", DAYS[2])[0][0] for mart in emptied}
    assert left == dict.fromkeys(emptied, 0)
    told = "select fleet_id, devices_available, devices_reporting, trips from marts.fleet_day where day = %s"
    assert fetch(region, told, DAYS[2]) == [("f1", 3, 0, 0)]
    assert fetch(region, "select count(distinct day) from marts.device_day") == [(2,)]


def test_a_data_test_fails_on_bad_rows_of_its_window_only(region, folder):
    derive(region, DAYS[0], 4, [device_day("a", DAYS[0], flagged=101)])
    load_days(region, due_loads(region))
    with pytest.raises(AssertionError, match="at_most_device_day_flagged_records"):
        run_dbt(region, folder, "build", "--select", "+device_day", *window_arguments([DAYS[0]]))
    run_dbt(region, folder, "test", "--select", "device_day,test_type:data", *window_arguments([DAYS[1]]))


def test_bi_reader_reads_marts_and_nothing_else(region, stack):
    as_bi_reader = bi_dsn(embedded.running_site(stack.state), region.region)
    with psycopg.connect(as_bi_reader) as connection:
        assert connection.execute("select count(*) from marts.dim_device").fetchone()[0] >= 3
    for table in ("staging.trip", "staging.stg_device_day", "registry.device", "ops.applied"):
        with psycopg.connect(as_bi_reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select 1 from {table}")
    with psycopg.connect(as_bi_reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from marts.trip")


def test_every_column_of_every_mart_is_described_in_the_database(region):
    query = """select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'marts'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
        and col_description(c.oid, a.attnum) is null"""
    assert fetch(region, query) == []
    bare = """select relname from pg_class
        where relnamespace = 'marts'::regnamespace and relkind = 'r' and obj_description(oid) is null"""
    assert fetch(region, bare) == []
    assert {name for (name,) in fetch(region, "select tablename from pg_tables where schemaname = 'marts'")} >= set(
        MARTS
    )


def test_every_mart_says_when_it_was_refreshed_and_whether_it_is_final(region):
    query = """select table_name from information_schema.columns where table_schema = 'marts'
        and column_name in ('refreshed_at', 'is_final') and is_nullable = 'NO' group by 1 having count(*) = 2"""
    assert {name for (name,) in fetch(region, query)} >= set(MARTS)


def test_docs_are_generated(region, folder):
    run_dbt(region, folder, "docs", "generate")
    assert (folder / "catalog.json").exists()
    assert (folder / "manifest.json").exists()
