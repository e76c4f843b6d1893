"""The marts, built by dbt in the region's real Postgres: contracts, days, grants, words for BI."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

import stack as embedded
from contracts import ddl
from contracts.erasable import Portion, Scope
from contracts.settings import RegionSettings
from marts.applied import due_loads, due_marts, mark_marts, staged_sequences
from marts.dbt import PROJECT, window_arguments
from marts.driving import add_private_time, drop_private_time, set_work_hours, shifts
from marts.erasable import StagingAndMarts
from marts.load import load_days
from marts.portable import fleet_parts
from marts.services import Done, Plan, drop, due, enter
from reconcile.ops import read_ops
from stack.environments import bi_dsn
from tests.builders.marts import (
    connect,
    derive,
    device_day,
    empty,
    episode,
    fault_day,
    fetch,
    noon,
    register,
    run_dbt,
    start_dbt,
    trip,
)

DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(3)]
FACTS = ("device_day", "trip", "idling_event", "fuel_event")
SUMMED = (*FACTS, "fleet_day", "fleet_type_day", "data_completeness_day")
DAY_MARTS = (*SUMMED, "device_hour", "driver_day")
MARTS = (
    *DAY_MARTS,
    "device_month",
    "utilisation_month",
    "maintenance_due",
    "fault_episode",
    "dim_device",
    "dim_fleet",
    "dim_fault_code",
    "dim_calendar",
)
PRIVATE = (noon(DAYS[1]) + timedelta(minutes=30), noon(DAYS[1]) + timedelta(minutes=40))
QUESTIONS = re.findall(r"```sql\n(.*?)```", (PROJECT.parent / "docs/how-to/ask-the-marts.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def region(stack, folder) -> Iterator[RegionSettings]:
    """Three days of three devices, one of them not registered, and one fleet member that never reports; all built.

    Device a has a driver, who drove privately on the second day; its fleet works on the first two.
    """
    settings = stack.settings("af")
    empty(settings)
    register(settings, "f1", {"a": "bus", "b": "car", "idle": "car"})
    tie(settings, "a", "p1")
    set_work_hours(settings, "f1", shifts(["mon-tue 08:00-18:00"]))
    add_private_time(settings, "a", *PRIVATE, "tests")
    enter(settings, [Plan(plan_id="oil", task="Oil", fleet_id="f1", every_km=100, every_days=100_000)], "tests")
    for day in DAYS:
        rows = [device_day("a", day), device_day("b", day, engine_s=0.0, moving_s=0.0), device_day("stray", day)]
        trips = [trip("a", day), trip("stray", day, fuel_l=None)]
        happened = [episode("a", day), episode("a", day, "refuel", value=40.0), episode("b", day, "stop")]
        derive(settings, day, 1, rows, trips, happened, [fault_day("a", day)])
    load_days(settings, due_loads(settings))
    run_dbt(settings, folder, "build")
    yield settings
    empty(settings)


def tie(settings: RegionSettings, device_id: str, subject_id: str) -> None:
    with connect(settings) as connection:
        connection.execute("insert into registry.subject values (%s) on conflict do nothing", [subject_id])
        insert = "insert into registry.device_subject (device_id, subject_id, valid_from) values (%s, %s, %s)"
        connection.execute(insert, [device_id, subject_id, noon(DAYS[1])])


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


def test_private_and_after_hours_trips_of_a_driver_are_told_apart(region):
    query = """select subject_id, device_id, day, trips, private_trips, private_distance_km, after_hours_trips,
        start_ts is null from marts.driver_day order by day"""
    assert fetch(region, query) == [
        ("p1", "a", DAYS[0], 1, 0, 0.0, 0, False),
        ("p1", "a", DAYS[1], 1, 1, 50.0, 0, True),
        ("p1", "a", DAYS[2], 1, 0, 0.0, 1, False),
    ]


def test_a_private_trip_has_no_place(region):
    hidden = """select device_id, day from marts.trip
        where num_nulls(start_lat_deg, start_lon_deg, end_lat_deg, end_lon_deg) = 4"""
    assert fetch(region, hidden) == [("a", DAYS[1])]
    assert fetch(region, "select count(*) from marts.trip where start_lat_deg is not null") == [(5,)]


def test_a_service_is_due_after_its_distance(region):
    query = "select device_id, run_km, left_km, last_day, is_due from marts.maintenance_due order by 1"
    assert fetch(region, query) == [
        ("a", 151.5, -51.5, DAYS[2], True),
        ("b", 151.5, -51.5, DAYS[2], True),
        ("idle", 0.0, 100.0, None, False),
    ]
    assert [(row["device_id"], row["left_km"]) for row in due(region)] == [("a", -51.5), ("b", -51.5)]


def test_what_drivers_did_is_not_for_viewers(region, stack):
    with connect(region) as connection:
        connection.execute(ddl.fleet().encode())  # as `fleetlake up` does: it grants the marts to bi_reader again
    granted = "select has_table_privilege(%s, 'marts.driver_day', 'select')"
    readers = (region.region, "driver_reader", "bi_reader")
    assert [fetch(region, granted, reader) for reader in readers] == [[(True,)], [(True,)], [(False,)]]
    as_bi_reader = bi_dsn(embedded.running_site(stack.state), region.region)
    with psycopg.connect(as_bi_reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select 1 from marts.driver_day")


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


def test_what_is_said_of_a_device_makes_the_days_due_that_it_touches(region, folder):
    mark_marts(region, DAYS, staged_sequences(region, DAYS))
    assert due_marts(region) == []
    enter(region, [Done(device_id="a", plan_id="oil", done_on=DAYS[1])], "tests")
    assert due_marts(region) == [DAYS[2]]  # a build of any day tells what is due
    add_private_time(region, "a", noon(DAYS[0]), noon(DAYS[0]) + timedelta(minutes=5), "tests")
    assert due_marts(region) == [DAYS[0], DAYS[2]]
    drop_private_time(region, "a", noon(DAYS[0]))
    tie(region, "a", "p2")
    assert due_marts(region) == DAYS  # the first who has it reaches back
    run_dbt(region, folder, "run", *window_arguments(DAYS))
    told = "select distinct subject_id, trips, shared_trips from marts.driver_day where device_id = 'a' order by 1"
    assert fetch(region, told) == [("p1", 0, 1), ("p2", 0, 1)]
    assert fetch(region, "select run_km from marts.maintenance_due where device_id = 'a'") == [(50.5,)]
    drop(region, "oil")


def test_a_drivers_days_are_given_to_the_driver_alone_and_erased_with_them(region):
    def given(scope: Scope) -> int:
        part = next(part for part in fleet_parts(region, scope) if part.name == "marts_driver_day")
        return sum(rows.num_rows for rows in part.pages())

    assert given(Scope((Portion("a"),))) == 0  # a request about the device names nobody who drove it
    later = datetime(2030, 1, 1, tzinfo=UTC)
    mine = Scope((Portion("a", None, later),), "p1")
    assert given(mine) == fetch(region, "select count(*) from marts.driver_day where subject_id = 'p1'")[0][0] > 0
    brief = Scope((Portion("a", noon(DAYS[2]), later),), "p2")
    others = fetch(region, "select count(*) from marts.driver_day where subject_id = 'p1' and day <= %s", DAYS[2])
    adapter = StagingAndMarts(region)
    adapter.erase(brief)
    assert adapter.count(brief)["marts.driver_day"] == adapter.search(brief)["pg_statistic"] == 0
    assert fetch(region, "select distinct subject_id, count(*) from marts.driver_day group by 1") == [
        ("p1", *others[0])
    ]


def test_a_day_that_became_empty_is_emptied(region, folder):
    derive(region, DAYS[2], 3, [])
    load_days(region, due_loads(region))
    run_dbt(region, folder, "run", *window_arguments([DAYS[2]]))
    emptied = (*FACTS, "device_hour", "driver_day")
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
