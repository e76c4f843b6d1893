"""Fleets have trip rules of their own; days derived in parts equal those derived at once, before and after a change."""

import psycopg
import pytest

from contracts.errors import BadSettings
from contracts.settings import RegionSettings
from lake.derive.changed_days import harvest
from lake.derive.fleet_rules import fleet_rules, set_rules, with_fleets
from lake.derive.job import derive_days
from lake.derive.motion.rules import FleetRules, trip_rules
from lake.derive.progress import due_days
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from tests.builders.journeys import DAY, RULES, at, derived, track

SHORT = [36, 0, 0, 0, 0, 0]
"""600 m, then standing for five minutes."""
PAUSED = [36, 0, 0, 0, 36, 0]
"""600 m, three minutes of standing, 600 m."""


def own(**rules: float) -> object:
    return RULES.of_fleet(FleetRules("f", **rules))


def trips_of(rows: list[dict], **of_devices: object) -> dict[str, int]:
    rules = type(RULES)(**{name: getattr(RULES, name) for name in RULES.__slots__} | {"of_devices": of_devices})
    trips, _ = derived(rows, rules=rules)
    return {device: sum(trip["device_id"] == device for trip in trips) for device in ("a", "b")}


def test_a_fleets_least_distance_makes_trips_of_its_devices_alone():
    rows = track("a", at(8), SHORT) + track("b", at(8), SHORT)
    assert trips_of(rows) == {"a": 1, "b": 1}
    assert trips_of(rows, a=own(least_m=700.0)) == {"a": 0, "b": 1}


def test_a_fleets_stop_cuts_its_trips_alone():
    rows = track("a", at(8), PAUSED) + track("b", at(8), PAUSED)
    assert trips_of(rows) == {"a": 1, "b": 1}
    assert trips_of(rows, b=own(stop_s=120)) == {"a": 1, "b": 2}


def test_a_fleets_gap_cuts_its_trips_alone():
    rows = [row for device in "ab" for row in track(device, at(8), [36, 36, 36, 36], step_s=900)]
    assert trips_of(rows) == {"a": 1, "b": 1}
    assert trips_of(rows, b=own(gap_s=600))["a"] == 1
    assert trips_of(rows, b=own(gap_s=600))["b"] != 1


def test_rules_that_reach_back_further_than_the_regions_are_refused():
    assert RULES.of_fleet(FleetRules("f", stop_s=600, gap_s=3300)).stop_us == 600_000_000
    with pytest.raises(BadSettings, match="fleet f: stop_s=600 and gap_s=3600 are together longer"):
        RULES.of_fleet(FleetRules("f", stop_s=600))


@pytest.fixture
def fleets(landing):
    """Device a is of fleet north, b of fleet south."""
    dsn = landing.settings.postgres_dsn.get_secret_value()
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into registry.fleet (fleet_id, name) values ('north', 'n'), ('south', 's')")
        for device, fleet in (("a", "north"), ("b", "south")):
            connection.execute(
                "insert into registry.device (device_id, fleet_id, type) values (%s, %s, 'bus')", [device, fleet]
            )
    yield landing.settings
    with psycopg.connect(dsn) as connection:
        connection.execute("delete from registry.device where device_id in ('a', 'b')")
        connection.execute("delete from registry.fleet where fleet_id in ('north', 'south')")


def test_rules_are_kept_in_the_registry_and_given_back_to_the_region(fleets: RegionSettings):
    region = trip_rules(fleets)
    assert with_fleets(fleets, region).of_devices == {}
    set_rules(fleets, "north", {"least_m": 700.0, "stop_s": 120}, None)
    assert fleet_rules(fleets) == [FleetRules("north", stop_s=120, least_m=700.0)]
    rules = with_fleets(fleets, region)
    assert rules.limits_of("a").least_km == pytest.approx(0.7)
    assert rules.limits_of("b") == region.limits
    set_rules(fleets, "north", {"least_m": None, "stop_s": None}, None)
    assert fleet_rules(fleets) == []


def test_a_fleet_that_is_not_there_and_rules_that_do_not_fit_change_nothing(fleets: RegionSettings):
    with pytest.raises(BadSettings, match="has no fleet 'nord'"):
        set_rules(fleets, "nord", {"least_m": 700.0}, None)
    with pytest.raises(BadSettings, match="fleet north"):
        set_rules(fleets, "north", {"gap_s": 7200}, None)
    assert fleet_rules(fleets) == []


def test_days_are_derived_again_by_the_new_rules_and_equal_a_full_rebuild(spark, landing, fleets: RegionSettings):
    def trips() -> list[str]:
        rows = spark.table(f"{fleets.region}.history.trip").collect()
        return sorted(f"{row.device_id} {row.start_ts} {row.distance_km}" for row in rows)

    rows = [row for n in range(2) for device in "ab" for row in track(device, at(8 + 24 * n), SHORT)]
    landing.land(rows, hour=at(10))
    intake(fleets)
    merge_landing(spark, fleets, due_merges(fleets, open_hours=True).hours, stragglers=True)
    harvest(fleets)
    derive_days(spark, fleets, due_days(fleets))
    assert [trip[0] for trip in trips()] == ["a", "a", "b", "b"]

    second = DAY.replace(day=DAY.day + 1)
    assert set_rules(fleets, "north", {"least_m": 700.0}, since=second) == 1
    assert due_days(fleets) == [second]
    derive_days(spark, fleets, due_days(fleets))
    assert [trip[0] for trip in trips()] == ["a", "b", "b"], "the first day has the rules that it was derived with"

    before = DAY.replace(day=DAY.day - 1)
    assert set_rules(fleets, "north", {"least_m": 700.0}, since=None) == 3
    assert due_days(fleets) == [before, DAY, second], "a morning's records change the day before too"
    derive_days(spark, fleets, due_days(fleets))
    incremental = trips()
    assert [trip[0] for trip in incremental] == ["b", "b"]
    derive_days(spark, fleets, [DAY, second], again=True)
    assert trips() == incremental
