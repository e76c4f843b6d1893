"""Restriction, rectification and retention as the marts show them: hidden at once and back, put right, gone."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from contracts.errors import Misuse
from contracts.settings import RegionSettings
from lake.maintain.retention_policy import read_expiry
from marts.applied import due_loads, due_marts, mark_marts, staged_sequences
from marts.dbt import window_arguments
from marts.holds import lift as lift_hold
from marts.holds import place, refuse_held, set_days, standing
from marts.load import load_days
from marts.rectification import rectify
from marts.restriction import lift, restrict, restricted_since
from marts.retention import dated_marts, look, remove_overdue
from tests.builders.marts import connect, derive, device_day, empty, episode, fault_day, fetch, register, run_dbt, trip

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=age) for age in (70, 40, 31, 30, 5)]
OF_DEVICE = ("device_day", "device_hour", "device_month", "trip", "idling_event", "fault_episode", "dim_device")


@pytest.fixture(scope="module")
def region(stack, folder) -> Iterator[RegionSettings]:
    """Devices a and b of fleet f1, c of f2, each with a drive on five days."""
    settings = stack.settings("af")
    empty(settings)
    register(settings, "f1", {"a": "van", "b": "van"})
    register(settings, "f2", {"c": "car"})
    for day in DAYS:
        derive(
            settings,
            day,
            1,
            [device_day(device, day) for device in "abc"],
            [trip(device, day) for device in "abc"],
            [episode(device, day) for device in "abc"],
            [fault_day(device, day) for device in "abc"],
        )
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


def rows_of(settings: RegionSettings, device: str) -> dict[str, int]:
    query = "select count(*) from marts.{} where device_id = %s"
    return {mart: fetch(settings, query.format(mart), device)[0][0] for mart in OF_DEVICE}


def devices_on(settings: RegionSettings, fleet: str) -> list[int]:
    query = "select devices_reporting from marts.fleet_day where fleet_id = %s and day = any(%s) order by day"
    return [count for (count,) in fetch(settings, query, fleet, DAYS)]


def test_a_restricted_device_leaves_the_marts_at_once_its_sums_with_the_next_build_and_comes_back(
    region, folder
) -> None:
    before, others = rows_of(region, "a"), rows_of(region, "b")
    assert all(before.values()) and devices_on(region, "f1") == [2] * 5
    counts = restrict(region, ["a"])
    assert (counts["devices"], counts["marts.trip"], counts["days_due"]) == (1, 5, 5)
    assert set(rows_of(region, "a").values()) == {0}
    assert set(DAYS) <= set(due_marts(region))
    assert set(rows_of(region, "a").values()) == {0}
    # New data of it is stored, and not shown.
    derive(region, DAYS[-1], 2, [device_day(device, DAYS[-1], records=7) for device in "abc"])
    built(region, folder)
    assert set(rows_of(region, "a").values()) == {0}
    assert rows_of(region, "b")["device_day"] == others["device_day"]
    assert devices_on(region, "f1") == [1] * 5
    assert fetch(region, "select count(*) from staging.device_day where device_id = 'a'") == [(5,)]  # stored
    assert list(restricted_since(region)) == ["a"]
    assert restrict(region, ["a"])["devices"] == 0

    assert lift(region, ["a"])["days_due"] == 5
    built(region, folder)
    assert rows_of(region, "a")["device_day"] == 5
    assert devices_on(region, "f1") == [2] * 5
    assert lift(region, ["a"]) == {"devices": 0, "days_due": 0}


def test_a_fact_that_was_wrong_is_put_right_for_its_whole_period(region, folder) -> None:
    assert rectify(region, "c", {"make": "Right", "type": "bus"}) == ["make", "type"]
    periods = "select make, type, valid_to from registry.device_period where device_id = 'c'"
    assert fetch(region, periods) == [("Right", "bus", None)]
    assert set(DAYS) <= set(built(region, folder))
    assert fetch(region, "select distinct device_type from marts.device_day where device_id = 'c'") == [("bus",)]
    assert rectify(region, "c", {"make": "Right"}) == []
    assert rectify(region, "c", {}, add="p") == ["subject added"]
    assert rectify(region, "c", {}, drop="p") == ["subject dropped"]
    with pytest.raises(Misuse, match="no type"):
        rectify(region, "c", {"type": "boat"})
    with pytest.raises(Misuse, match="no such device"):
        rectify(region, "nobody", {"make": "x"})
    # An ordinary change still begins a period.
    with connect(region) as connection:
        connection.execute("update registry.device set make = 'Later' where device_id = 'c'")
    assert len(fetch(region, periods)) == 2


def test_every_mart_goes_by_a_day_or_is_a_dimension(region) -> None:
    with connect(region) as connection:
        dated, others = dated_marts(connection)
    assert len(dated) == 13
    assert {name for name in others if not name.startswith("marts.dim_")} == set()


def test_a_fleets_retention_reaches_back_through_staging_and_marts_and_a_hold_stops_it(region) -> None:
    set_days(region, "fleet", "f1", 30)
    number = place(region, "device", "b", "a claim", "tests")
    due = read_expiry(region, TODAY)
    assert due.held == {"b"}
    planned = {name: one.overdue for name, one in look(region, due).items()}
    assert (planned["marts.trip"], planned["staging.trip"]) == (3, 3)
    assert planned["marts.fleet_day"] >= 3
    whole = {
        name: fetch(region, f"select t::text from {name} t where device_id in ('b', 'c')")
        for name in of_devices(planned)
    }
    assert remove_overdue(region, due) == planned
    for name, rows in whole.items():
        assert sorted(fetch(region, f"select t::text from {name} t where device_id in ('b', 'c')")) == sorted(rows)
    assert fetch(region, "select min(day) from marts.device_day where device_id = 'a'") == [
        (TODAY - timedelta(days=30),)
    ]
    assert fetch(region, "select min(day) from marts.fleet_day where fleet_id = 'f1'") == [
        (TODAY - timedelta(days=30),)
    ]
    assert {one.overdue for one in look(region, due).values()} == {0}
    assert [row["hold_id"] for row in standing(region)] == [number]
    with pytest.raises(Misuse, match=f"legal hold {number} stands"):
        refuse_held(region, ["b"])
    refuse_held(region, ["a", "c"])
    lift_hold(region, number, "tests")
    assert look(region, read_expiry(region, TODAY))["marts.trip"].overdue == 3
    with pytest.raises(Misuse, match="no hold"):
        lift_hold(region, number, "tests")


def test_a_day_of_which_nothing_is_left_is_no_business_day_any_more(region, monkeypatch) -> None:
    shorter = msgspec.structs.replace(region.row, retention_days=35)
    monkeypatch.setattr(type(region), "row", property(lambda _: shorter))
    remove_overdue(region, read_expiry(region, TODAY))
    left = "select distinct day from ops.applied where target = 'staging' order by 1"
    assert [day for (day,) in fetch(region, left)] == DAYS[2:]
    assert fetch(region, "select count(*) from marts.fleet_day where day < %s", TODAY - timedelta(days=35)) == [(0,)]
    assert due_loads(region) == []


def of_devices(planned: dict[str, int]) -> list[str]:
    marts = ("device_day", "trip", "idling_event", "fuel_event", "fault_episode")
    return [name for name in planned if name.startswith("staging.") or name.removeprefix("marts.") in marts]
