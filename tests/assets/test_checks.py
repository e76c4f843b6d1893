"""Checks tell counts and never values; faults are told by kind and place."""

from datetime import timedelta

import pandas as pd
import psycopg
import pytest
from dagster import AssetKey, DagsterInstance, Definitions

from assets.checks import (
    HOUR,
    hour_complete,
    landing_is_readable,
    plausible_days,
    plausible_trips,
)
from assets.expectations import Expect, bounds_of, gx_check
from assets.redaction import StepFailed, safe_text, without_values
from assets.usual_days import days_are_usual, unusual_figures
from contracts.columns import Privacy
from contracts.derived import DEVICE_DAY, TRIP
from contracts.errors import NotReconciled
from contracts.record import LANDING, READINGS
from lake.merge.set_aside import SetAside
from tests.builders.orchestration import DAY, EU, MemoryWork
from tests.builders.orchestration import HOUR as FIVE

SECRET = "bus-4711"
EXPECTED = [
    Expect("ExpectColumnValuesToNotBeNull", {"column": "device_id"}, counted=False),
    Expect("ExpectCompoundColumnsToBeUnique", {"column_list": ["device_id", "ts"]}, counted=False),
    Expect("ExpectColumnValuesToBeBetween", {"column": "speed_kmh", "min_value": 0, "max_value": 300}),
]
GOOD = pd.DataFrame({"device_id": [SECRET, "b", "c"], "ts": [1, 2, 3], "speed_kmh": [1.0, 2.0, 3.0]})


def outcome(check, work):
    """What the check says."""
    made = Definitions(asset_checks=[check], resources=work.resources())
    with DagsterInstance.ephemeral() as instance:
        job = made.get_repository_def().get_job("__ASSET_JOB")
        chosen = job.get_subset(asset_check_selection=set(check.check_keys))
        (evaluation,) = chosen.execute_in_process(instance=instance).get_asset_check_evaluations()
    return evaluation


def validated(frame: pd.DataFrame):
    return outcome(gx_check("keeps", AssetKey(["eu", "history"]), lambda _: frame, EXPECTED, "Holds."), MemoryWork())


def test_rows_that_keep_their_contract_pass():
    told = validated(GOOD)

    assert told.passed
    assert told.metadata["expectations"].value == len(EXPECTED)


def test_a_check_that_reads_nothing_fails():
    told = validated(GOOD.iloc[:0])

    assert not told.passed
    assert told.metadata["rows"].value == 0
    assert "No row was read" in told.metadata["results"].value


DAY_ROW = {
    **{column.name: 1.0 for column in DEVICE_DAY if column.unit},
    "device_id": "a",
    "day": DAY,
    "records": 10,
    "trips": 1,
}
TRIP_ROW = {
    **{column.name: 1.0 for column in TRIP if column.unit},
    **{f"{end}_{axis}_deg": 1.0 for end in ("start", "end") for axis in ("lat", "lon")},
    "trip_id": "a/1",
    "device_id": "a",
    "records": 10,
}


BROKEN_DAYS = {
    "device_id": None,
    "max_speed_kmh": 110.0 * 3.6,
    "engine_s": 26 * 3600.0,
    "distance_gps_km": -1.0,
    "records": -1,
}
BROKEN_TRIPS = {
    "device_id": None,
    "start_lat_deg": 500.0,
    "end_lon_deg": -181.0,
    "max_speed_kmh": 90.0 * 3.6,
    "idle_s": 51 * 3600.0,
    "distance_km": -0.1,
}


def of_mart(expected, rows):
    check = gx_check("plausible", AssetKey(["eu", "marts", "trip"]), lambda _: pd.DataFrame(rows), expected(), "Holds.")
    return outcome(check, MemoryWork())


@pytest.mark.parametrize(
    ("expected", "row", "column", "value"),
    [(plausible_days, DAY_ROW, *broken) for broken in BROKEN_DAYS.items()]
    + [(plausible_trips, TRIP_ROW, *broken) for broken in BROKEN_TRIPS.items()],
    ids=[f"day-{column}" for column in BROKEN_DAYS] + [f"trip-{column}" for column in BROKEN_TRIPS],
)
def test_each_expectation_on_marts_fails_for_its_own_reason(expected, row, column, value):
    assert of_mart(expected, [row]).passed
    told = of_mart(expected, [row, row | {"device_id": "b", "trip_id": "b/1"} | {column: value}])
    assert not told.passed
    assert told.metadata["unmet"].value == 1
    (line,) = [line for line in told.metadata["results"].value.splitlines() if "**no**" in line]
    assert f"| {column} |" in line


@pytest.mark.parametrize(
    ("expected", "row"), [(plausible_days, DAY_ROW), (plausible_trips, TRIP_ROW)], ids=["day", "trip"]
)
def test_a_row_loaded_twice_is_found(expected, row):
    assert of_mart(expected, [row, row]).metadata["unmet"].value == 1


def usual(days: int, **last: float) -> pd.DataFrame:
    """Days that are alike, and a last one with these figures."""
    rows = [
        {"day": DAY + timedelta(days=n), "devices": 100, "max_speed_kmh": 80.0 + n % 3, "flagged_share": 0.0}
        for n in range(days)
    ]
    return pd.DataFrame([*rows, rows[-1] | {"day": DAY + timedelta(days=days)} | last])


@pytest.mark.parametrize(
    ("days", "figure"),
    [
        (usual(28), None),
        (usual(28, max_speed_kmh=81 * 3.6), "max_speed_kmh"),
        (usual(28, devices=30), "devices"),
        (usual(28, max_speed_kmh=float("nan")), "max_speed_kmh"),
    ],
    ids=["as ever", "a unit changed", "a fleet fell silent", "nothing said"],
)
def test_a_day_that_is_not_like_those_before_is_told(days, figure):
    work = MemoryWork(days_usual=days)
    told = outcome(days_are_usual(EU), work)
    assert told.passed is (figure is None)
    assert [one.figure for one in unusual_figures(days)] == ([figure] if figure else [])


@pytest.mark.parametrize("days", [usual(6), usual(28).iloc[:0]], ids=["six days", "none"])
def test_too_few_days_prove_nothing(days):
    assert not outcome(days_are_usual(EU), MemoryWork(days_usual=days)).passed


def test_a_breach_is_counted_and_none_of_its_values_is_told():
    bad = pd.concat([GOOD, GOOD.assign(speed_kmh=987.25)])

    told = validated(bad)

    assert not told.passed
    assert told.metadata["unmet"].value == 2
    text = told.metadata["results"].value
    assert "| ExpectColumnValuesToBeBetween | speed_kmh | **no** | 6 | 3 |" in text
    assert SECRET not in text
    assert "987" not in text


def test_expectations_on_history_come_from_the_contract():
    made = bounds_of(LANDING)

    between = {e.arguments["column"] for e in made if e.kind == "ExpectColumnValuesToBeBetween"}
    assert between == {column.name for column in READINGS}
    uncounted = {e.arguments["column"] for e in made if not e.counted}
    assert uncounted == {c.name for c in LANDING if c.privacy is Privacy.IDENTIFIER and c.required}


@pytest.mark.parametrize(("late_by", "complete"), [(HOUR, True), (HOUR - timedelta(seconds=1), False)])
def test_an_hour_is_complete_when_the_watermark_has_passed_its_end(late_by, complete):
    work = MemoryWork(landing={FIVE: 10}, watermark_is=FIVE + late_by)

    assert outcome(hour_complete(EU), work).passed is complete


def test_without_a_watermark_no_hour_is_complete():
    assert not outcome(hour_complete(EU), MemoryWork(landing={FIVE: 10})).passed
    assert outcome(hour_complete(EU), MemoryWork()).passed


def test_an_object_that_merges_leave_out_is_named_with_its_reason():
    damaged = SetAside("landing/telemetry/dt=2026-03-04/hour=05/x.parquet", "it has 19 rows", rows=20, since=FIVE)

    told = outcome(landing_is_readable(EU), MemoryWork(set_aside=[damaged]))

    assert not told.passed
    assert (told.metadata["objects"].value, told.metadata["rows_missing"].value) == (1, 20)
    assert "| landing/telemetry/dt=2026-03-04/hour=05/x.parquet | 20 | 2026-03-04 05:00 | it has 19 rows |" in (
        told.metadata["set_aside"].value
    )
    assert outcome(landing_is_readable(EU), MemoryWork()).passed


def test_a_fault_is_told_without_its_text():
    with pytest.raises(StepFailed) as told, without_values("load"):
        raise ValueError(f"row of {SECRET}")

    assert SECRET not in str(told.value)
    assert "builtins.ValueError" in str(told.value)
    assert "tests/assets/test_checks.py" in str(told.value)
    assert told.value.__suppress_context__


def test_postgres_says_its_state_and_constraint_and_not_the_row():
    error = psycopg.errors.UniqueViolation(f"Key (device_id)=({SECRET}) already exists.")

    assert safe_text(error).startswith("psycopg.errors.UniqueViolation")
    assert SECRET not in safe_text(error)


def test_fleetlake_s_own_errors_pass_as_they_are():
    with pytest.raises(NotReconciled, match="stages differ"), without_values("check"):
        raise NotReconciled("stages differ")
