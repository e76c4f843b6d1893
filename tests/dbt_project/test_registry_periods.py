"""What a device was and whose, day by day: a move changes the days from it on, and no other row of any mart."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from contracts.settings import RegionSettings
from marts.applied import due_loads, due_marts, mark_marts, staged_sequences
from marts.dbt import window_arguments
from marts.load import load_days
from tests.builders.marts import connect, derive, device_day, empty, fetch, register, run_dbt, trip

FIRST = date(2026, 1, 1)
SILENT = FIRST + timedelta(days=9)
TODAY = datetime.now(ZoneInfo("Africa/Johannesburg")).date()
"""Of region af: near midnight UTC has another date."""
DAYS = [day for n in range(20) if (day := FIRST + timedelta(days=n)) != SILENT]
BY_DAY = ("device_day", "trip", "fleet_day", "fleet_type_day", "data_completeness_day")


@pytest.fixture(scope="module")
def region(stack, folder) -> Iterator[RegionSettings]:
    """Two fleets of one device each, over three weeks of January with a silent day and over the running days."""
    settings = stack.settings("af")
    empty(settings)
    register(settings, "f1", {"a": "van"})
    register(settings, "f2", {"b": "van"})
    for day in [*DAYS, TODAY - timedelta(days=2), TODAY]:
        derive(settings, day, 1, [device_day("a", day), device_day("b", day)], [trip("a", day)])
    built(settings, folder)
    yield settings
    empty(settings)


def built(settings: RegionSettings, folder: Path) -> list[date]:
    """The days that were due, built."""
    time.sleep(2.1)  # what is built within two seconds of a change of the registry is built twice
    load_days(settings, due_loads(settings))
    due = due_marts(settings)
    sequences = staged_sequences(settings, due)
    run_dbt(settings, folder, "run", *window_arguments(due))
    mark_marts(settings, due, sequences)
    return due


def rows(settings: RegionSettings) -> dict[str, set[str]]:
    """Each mart's rows as text, with the time at which each was built."""
    return {mart: {row for (row,) in fetch(settings, f"select m::text from marts.{mart} m")} for mart in BY_DAY}


def test_a_day_without_a_record_has_its_rows(region) -> None:
    silent = """select day, fleet_id, devices_expected, devices_received, records_received
        from marts.data_completeness_day where devices_received = 0 order by 1, 2"""
    yesterday = TODAY - timedelta(days=1)
    told = fetch(region, silent)
    assert [row for row in told if row[0] == SILENT] == [(SILENT, "f1", 1, 0, 0), (SILENT, "f2", 1, 0, 0)]
    assert [row for row in told if row[0] == yesterday] == [(yesterday, "f1", 1, 0, 0), (yesterday, "f2", 1, 0, 0)]
    month_later = DAYS[-1] + timedelta(days=31)
    assert max(day for day, *_ in told if day < yesterday) == month_later
    assert due_marts(region) == []


def test_late_data_rewrites_the_days_that_it_is_of_and_no_day_between(region, folder) -> None:
    before = rows(region)
    late = [DAYS[0], DAYS[-1]]
    for day in late:
        derive(region, day, 2, [device_day("a", day, records=7), device_day("b", day)], [trip("a", day)])
    assert built(region, folder) == late
    after = rows(region)
    for mart in ("device_day", "fleet_day", "fleet_type_day", "data_completeness_day"):
        changed = before[mart] ^ after[mart]
        assert changed
        assert all(any(str(day) in row for day in late) for row in changed), mart


def test_a_move_changes_the_days_from_it_on_and_no_other_row(region, folder) -> None:
    before = rows(region)
    with connect(region) as connection:
        connection.execute("update registry.device set fleet_id = 'f2' where device_id = 'a'")
    assert due_marts(region) == [], "the running day is built again every 15 minutes at most"
    with connect(region) as connection:
        connection.execute(
            "update ops.applied set applied_at = applied_at - interval '15 minutes' where day = %s", [TODAY]
        )
    assert built(region, folder) == [TODAY]
    after = rows(region)
    for mart in BY_DAY:
        assert all(str(TODAY) in row for row in before[mart] ^ after[mart]), mart
    by_day = "select distinct fleet_id from marts.device_day where device_id = 'a' and day = %s"
    assert fetch(region, by_day, DAYS[3]) == [("f1",)]
    assert fetch(region, by_day, TODAY) == [("f2",)]
    periods = "select fleet_id, is_current from marts.dim_device where device_id = 'a' order by valid_from"
    assert fetch(region, periods) == [("f1", False), ("f2", True)]
    by_fact = "select fleet_id, sum(distance_gps_km) from marts.device_day group by 1 order by 1"
    by_fleet = "select fleet_id, sum(distance_gps_km) from marts.fleet_day group by 1 order by 1"
    assert fetch(region, by_fact) == fetch(region, by_fleet)
    # Late data for an old day is of the fleet that the device had then.
    derive(region, DAYS[2], 3, [device_day("a", DAYS[2]), device_day("b", DAYS[2])])
    assert built(region, folder) == [DAYS[2]]
    assert fetch(region, by_day, DAYS[2]) == [("f1",)]


def test_a_device_that_reported_before_it_was_registered_joins_its_fleet_from_its_first_day(region, folder) -> None:
    derive(region, DAYS[5], 4, [device_day("a", DAYS[5]), device_day("b", DAYS[5]), device_day("new", DAYS[5])])
    assert built(region, folder) == [DAYS[5]]
    by_day = "select fleet_id from marts.device_day where device_id = 'new' and day = %s"
    assert fetch(region, by_day, DAYS[5]) == [("unassigned",)]
    register(region, "f1", {"new": "bus"}, since=datetime.now(UTC))
    assert set(built(region, folder)) >= {DAYS[5]}
    assert set(due_marts(region)) == set()
    assert fetch(region, by_day, DAYS[5]) == [("f1",)]


def test_two_changes_at_once_are_one_period(region) -> None:
    with connect(region) as connection:
        connection.execute("update registry.device set model = 'x' where device_id = 'b'")
        connection.execute("update registry.device set model = 'y' where device_id = 'b'")
        connection.execute("update registry.device set model = 'y' where device_id = 'b'")
    query = "select model, valid_to is null from registry.device_period where device_id = 'b' order by valid_from"
    assert fetch(region, query) == [(None, False), ("y", True)]
