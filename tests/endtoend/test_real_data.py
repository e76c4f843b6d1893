"""Real telemetry through the whole system: every row accounted for, by counts that the product did not make."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import psycopg
import pytest
import redis

from contracts.regions import find_region
from marts.metrics import metrics_of
from tests.builders.command import docs_of, fleetlake, reported
from tests.builders.odbc import odbc_connection
from tests.builders.real_data import BUS, ENVIROCAR, KIT, PLACEABLE, RAIL, RealFile
from tests.builders.source_answers import ANSWERS, SHOWN, SourceAnswers

MEAN_RADIUS_KM = 6371.0088
ALL_FILES = [ENVIROCAR, *(pytest.param(file, marks=pytest.mark.long) for file in (BUS, RAIL, KIT))]
"""The marked ones have 0.6 to 2.4 million rows and take minutes each."""

pytestmark = [pytest.mark.real_data, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module", params=ALL_FILES, ids=lambda file: file.name)
def replayed(request: pytest.FixtureRequest, stack) -> tuple[RealFile, Path, dict]:
    """A file that was replayed, consumed, processed and reconciled in its region of the stack."""
    file: RealFile = request.param
    path = file.path
    before = reported(stack.state, "reconcile", "--region", file.region)["stages"]
    sent = reported(stack.state, "replay", str(path), "--region", file.region, "--mapping", file.name, "--rate", "max")
    assert sent["records"] == file.rows()
    reported(stack.state, "consume", "--region", file.region, "--until-idle")
    reported(stack.state, "process", "--region", file.region)
    after = reported(stack.state, "reconcile", "--region", file.region)
    assert after["ok"], after["differences"]
    added = {stage: after["stages"][stage] - before[stage] for stage in after["stages"]}
    return file, stack.state, added


def test_every_row_is_accounted_for(replayed: tuple[RealFile, Path, dict]) -> None:
    file, _, added = replayed
    assert added["stream"] == file.rows()
    assert added["landed"] == file.rows(PLACEABLE)
    assert added["rejected"] == file.rows() - file.rows(PLACEABLE)


def test_history_holds_each_distinct_record_once(replayed: tuple[RealFile, Path, dict]) -> None:
    file, _, added = replayed
    assert added["history"] == file.distinct(PLACEABLE)
    assert added["duplicates"] == file.rows(PLACEABLE) - file.distinct(PLACEABLE)


def test_latest_is_each_devices_newest_record(replayed: tuple[RealFile, Path, dict]) -> None:
    file, state, _ = replayed
    service = reported(state, "status", "--secrets")["regions"][file.region]["redis"]
    newest = file.newest(PLACEABLE)
    with redis.Redis.from_url(service["url"]) as client:
        kept = client.mget([f"{file.region}:latest:{file.prefix}{device}" for device in newest])
    seen = {device: _ms(json.loads(value)["ts"]) for device, value in zip(newest, kept, strict=True) if value}
    assert seen == newest


def test_ten_device_days_agree_with_an_independent_haversine(replayed: tuple[RealFile, Path, dict]) -> None:
    file, state, _ = replayed
    if not file.has_positions:
        pytest.skip(f"{file.name} has no positions")
    expected = _independent_days(file)
    dsn = reported(state, "status", "--secrets")["regions"][file.region]["postgres"]["bi_dsn"]
    with psycopg.connect(dsn) as connection:
        found = {of: _mart_distance_km(connection, file.prefix + of[0], of[1]) for of in expected}
    assert len(expected) == 10
    for of, distance_km in expected.items():
        assert found[of] == pytest.approx(distance_km, rel=1e-3), of


def test_a_second_replay_adds_nothing_to_history(replayed: tuple[RealFile, Path, dict]) -> None:
    file, state, _ = replayed
    words = ("--region", file.region)
    before = reported(state, "reconcile", *words)["stages"]
    reported(state, "replay", str(file.path), *words, "--mapping", file.name, "--rate", "max")
    reported(state, "consume", *words, "--until-idle")
    reported(state, "process", *words)
    after = reported(state, "reconcile", *words)
    assert after["ok"], after["differences"]
    assert after["stages"]["history"] == before["history"]
    assert after["stages"]["landed"] == before["landed"] + file.rows(PLACEABLE)


def test_bi_reader_reads_marts_and_is_refused_staging(replayed: tuple[RealFile, Path, dict]) -> None:
    file, state, _ = replayed
    dsn = reported(state, "status", "--secrets")["regions"][file.region]["postgres"]["bi_dsn"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("select count(*) from marts.device_day").fetchone()[0] > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select count(*) from staging.device_day")


@pytest.fixture(scope="module")
def marts(replayed: tuple[RealFile, Path, dict]) -> Iterator[tuple[SourceAnswers, str]]:
    """What the cars' file says by itself, and the DSN by which BI tools read the marts that were made of it."""
    file, state, _ = replayed
    if file is not ENVIROCAR:
        pytest.skip("only the cars' file has positions, speed, engine and fuel without a receiver's outliers")
    dsn = reported(state, "status", "--secrets")["regions"][file.region]["postgres"]["bi_dsn"]
    yield SourceAnswers(file), dsn


@pytest.mark.parametrize("number", ANSWERS)
def test_a_question_of_a_fleet_manager_has_the_source_files_own_answer(marts, number: int) -> None:
    """Counts, days and devices are equal; figures agree to 0.1 %, or to the last digit that the query shows."""
    source, dsn = marts
    expected = source.answer(number)
    with psycopg.connect(dsn) as connection:
        found = connection.execute(source.question(number)).fetchall()
    assert expected
    assert len(found) == len(expected)
    for row, own in zip(found, expected, strict=True):
        shown = [row[at] for at in SHOWN.get(number, range(len(own)))]
        assert [float(one) if isinstance(one, Decimal) else one for one in shown] == [close_to(one) for one in own]


def close_to(value: object) -> object:
    """The value; of a figure with decimals anything within 0.1 %, or that rounds to a neighbour's last digit."""
    if not isinstance(value, float):
        return value
    digit = 1.0 if value == round(value) else 0.1
    return pytest.approx(value, rel=1e-3, abs=digit * 1.001)


def test_each_metric_has_a_value_and_sums_are_those_of_the_source_file(marts) -> None:
    source, dsn = marts
    with psycopg.connect(dsn) as connection:
        values = {metric.name: connection.execute(metric.sql).fetchone()[0] for metric in metrics_of("eu")}
    for name, sum_of_file in source.sums().items():
        exact = isinstance(sum_of_file, int)
        assert values[name] == (sum_of_file if exact else pytest.approx(sum_of_file, rel=1e-3)), name
    # The cars report no faults, and nobody entered a service plan.
    without = {"open_faults", "devices_with_open_faults", "fault_episodes", "services_due"}
    assert {name for name, value in values.items() if not value} <= {*without, "flagged_share", "unknown_hours"}
    shares = [values[metric.name] for metric in metrics_of("eu") if metric.unit == "ratio"]
    assert all(0 <= share <= 1 for share in shares)


def test_odbc_reads_the_marts_as_bi_reader_and_nothing_else(marts) -> None:
    _, dsn = marts
    connection = odbc_connection(dsn)
    cursor = connection.cursor()
    tables = {row.table_name for row in cursor.tables(schema="marts", tableType="TABLE")}
    assert {"device_day", "trip", "fleet_day", "dim_device", "dim_calendar"} <= tables
    types = {row.column_name: row.type_name for row in cursor.columns(schema="marts", table="device_day")}
    assert (types["day"], types["distance_gps_km"], types["records"]) == ("date", "float8", "int8")
    by_odbc = cursor.execute("select device_id, day, records from marts.device_day order by 1, 2").fetchall()
    with psycopg.connect(dsn) as postgres:
        assert [tuple(row) for row in by_odbc] == postgres.execute(
            "select device_id, day, records from marts.device_day order by 1, 2"
        ).fetchall()
    for refused in ("select * from staging.device_day", "delete from marts.trip"):
        with pytest.raises(Exception, match="permission denied"):
            cursor.execute(refused)
    connection.close()


def test_the_docs_of_the_marts_are_served_here_and_ask_no_other_host(replayed: tuple[RealFile, Path, dict]) -> None:
    file, state, _ = replayed
    with docs_of(state, file.region) as address:
        page = httpx.get(address)
        assert "default-src 'self'" in page.headers["content-security-policy"]
        manifest = httpx.get(f"{address}manifest.json").json()
        catalog = httpx.get(f"{address}catalog.json").json()
        assert httpx.get(f"{address}dbt.log").status_code == 404
    described = manifest["nodes"]["model.fleetlake.device_day"]["columns"]
    assert described["distance_gps_km"]["description"].endswith("km.")
    assert catalog["nodes"]["model.fleetlake.device_day"]["columns"]["distance_gps_km"]["type"] == "double precision"
    assert "exposure.fleetlake.fleet_utilisation" in manifest["exposures"]


def test_status_says_that_nothing_waits(replayed: tuple[RealFile, Path, dict]) -> None:
    file, state, _ = replayed
    assert reported(state, "status")["regions"][file.region]["backlog_records"] == 0
    assert fleetlake(state, "reconcile", "--region", file.region).returncode == 0


def _ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _independent_days(file: RealFile, count: int = 10) -> dict[tuple[str, str], float]:
    """Haversine sums of the busiest device-days, computed from the file alone.

    Steps at rest are left out, which are a receiver's noise: those under 100 m with at most 3 km/h at both ends (of
    more than a minute: those under 50 m, or as slow).
    """
    zone = find_region(file.region).time_zone
    speed, factor = file.speed
    points = (
        pl.read_parquet(file.path, columns=["device_id", "ts", "lat", "lon", speed])
        .with_columns(kmh=pl.col(speed).cast(pl.Float64).fill_null(0) * factor)
        .drop(speed)
        .filter(pl.col("device_id").str.contains(r"^[A-Za-z0-9._:-]+$"))
        .filter((pl.col("lat").abs() > 1e-6) | (pl.col("lon").abs() > 1e-6))
        .drop_nulls()
        .unique(["device_id", "ts"], keep="first", maintain_order=True)
        .with_columns(day=pl.col("ts").dt.convert_time_zone(zone).dt.date())
        .sort("device_id", "ts")
    )
    groups = points.group_by("device_id", "day").len().sort("len", "device_id", "day", descending=True)
    chosen: dict[tuple[str, str], float] = {}
    for device, day, _ in groups.iter_rows():
        one = points.filter((pl.col("device_id") == device) & (pl.col("day") == day))
        lat, lon = np.radians(one["lat"].to_numpy()), np.radians(one["lon"].to_numpy())
        half = np.sin(np.diff(lat) / 2) ** 2 + np.cos(lat[:-1]) * np.cos(lat[1:]) * np.sin(np.diff(lon) / 2) ** 2
        steps_km = 2 * MEAN_RADIUS_KM * np.arcsin(np.sqrt(half))
        seconds = np.diff(one["ts"].dt.epoch("ms").to_numpy()) / 1000
        if np.any(steps_km / seconds * 3600 > 300):  # a jump that no vehicle makes: the product leaves it out
            continue
        kmh = one["kmh"].to_numpy()
        faster = np.where(seconds <= 60, np.maximum(kmh[:-1], kmh[1:]) > 3, steps_km > 0.05)
        slow = (seconds > 60) & (steps_km / seconds * 3600 <= 3)
        chosen[(device, str(day))] = float(steps_km[((steps_km > 0.1) | faster) & ~(slow & (steps_km <= 0.1))].sum())
        if len(chosen) == count:
            break
    return chosen


def _mart_distance_km(connection: psycopg.Connection, device: str, day: str) -> float:
    row = connection.execute(
        "select distance_gps_km from marts.device_day where device_id = %s and day = %s", (device, day)
    ).fetchone()
    assert row is not None, f"no device day {device} {day}"
    return float(row[0])
