"""Derived days in Iceberg, registered devices, and dbt runs, for tests of what comes after the derivations."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, EqualTo

from contracts import names
from contracts.derived import DEVICE_DAY_SCHEMA, EPISODE_SCHEMA, FAULT_DAY_SCHEMA, TRIP_SCHEMA
from contracts.settings import RegionSettings, WorldSettings
from lake.iceberg.tables import table
from marts import dbt
from marts.applied import mark_applied
from stack import running_site
from stack.clients import s3_client

SCHEMAS = {
    names.TRIP_TABLE: TRIP_SCHEMA,
    names.DEVICE_DAY_TABLE: DEVICE_DAY_SCHEMA,
    names.EPISODE_TABLE: EPISODE_SCHEMA,
    names.FAULT_DAY_TABLE: FAULT_DAY_SCHEMA,
}


def noon(day: date) -> datetime:
    """Noon UTC: within the business day of the same date in all regions of the tests."""
    return datetime.combine(day, time(12), UTC)


def device_day(device_id: str, day: date, **values: Any) -> dict[str, Any]:
    """One device day; `values` replace the defaults of an hour's drive."""
    row = {
        "device_id": device_id,
        "day": day,
        "records": 100,
        "flagged": 1,
        "late": 2,
        "first_ts": noon(day),
        "last_ts": noon(day) + timedelta(hours=2),
        "engine_s": 3600.0,
        "moving_s": 3000.0,
        "idle_s": 600.0,
        "off_s": 3600.0,
        "unknown_s": 0.0,
        "distance_gps_km": 50.0,
        "distance_odometer_km": 50.5,
        "max_speed_kmh": 80.0,
        "fuel_l": 4.2,
        "trips": 1,
    }
    return row | values


def trip(device_id: str, day: date, **values: Any) -> dict[str, Any]:
    """One trip at noon; `values` replace the defaults of an hour's drive."""
    row = {
        "trip_id": f"{device_id}/{day}",
        "device_id": device_id,
        "day": day,
        "start_ts": noon(day),
        "end_ts": noon(day) + timedelta(hours=1),
        "start_lat": -26.2,
        "start_lon": 28.0,
        "end_lat": -26.1,
        "end_lon": 28.1,
        "distance_km": 50.0,
        "moving_s": 3000.0,
        "idle_s": 600.0,
        "max_speed_kmh": 80.0,
        "fuel_l": 4.2,
        "records": 60,
    }
    return row | values


def episode(device_id: str, day: date, kind: str = "idle", **values: Any) -> dict[str, Any]:
    """One episode of ten minutes at noon."""
    row = {
        "episode_id": f"{device_id}-{kind}-{day}",
        "device_id": device_id,
        "day": day,
        "kind": kind,
        "start_ts": noon(day),
        "end_ts": noon(day) + timedelta(minutes=10),
        "ended": True,
        "lat": -26.2,
        "lon": 28.0,
        "duration_s": 600.0,
        "fuel_l": 0.3,
        "value": None,
    }
    return row | values


def fault_day(device_id: str, day: date, code: str = "P0217", **values: Any) -> dict[str, Any]:
    """A code that a device reported for an hour from noon on."""
    row = {
        "device_id": device_id,
        "day": day,
        "code": code,
        "first_ts": noon(day),
        "last_ts": noon(day) + timedelta(hours=1),
        "records": 60,
    }
    return row | values


def derive(
    settings: RegionSettings,
    day: date,
    sequence: int,
    device_days: Sequence[dict[str, Any]],
    trips: Sequence[dict[str, Any]] = (),
    episodes: Sequence[dict[str, Any]] = (),
    faults: Sequence[dict[str, Any]] = (),
) -> None:
    """Leave behind what a derivation of `day` at `sequence` leaves: the day's rows in Iceberg, and ops.derived."""
    made = {
        names.DEVICE_DAY_TABLE: device_days,
        names.TRIP_TABLE: trips,
        names.EPISODE_TABLE: episodes,
        names.FAULT_DAY_TABLE: faults,
    }
    for name, rows in made.items():
        frame = pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])
        table(settings, name).overwrite(frame, overwrite_filter=EqualTo("day", day.isoformat()))
    with connect(settings) as connection:
        connection.execute(
            """insert into ops.derived (day, sequence, rows_sequence) values (%s, %s, %s) on conflict (day)
            do update set sequence = excluded.sequence, rows_sequence = excluded.rows_sequence""",
            [day, sequence, sequence],
        )


def register(settings: RegionSettings, fleet_id: str, devices: dict[str, str], since: datetime | None = None) -> None:
    """Register devices (id to type) in a fleet."""
    since = since or datetime(2020, 1, 1, tzinfo=UTC)
    with connect(settings) as connection:
        connection.execute("insert into registry.fleet values (%s, %s) on conflict do nothing", [fleet_id, fleet_id])
        for device_id, device_type in devices.items():
            connection.execute(
                "insert into registry.device (device_id, fleet_id, type, valid_from) values (%s, %s, %s, %s)",
                [device_id, fleet_id, device_type, since],
            )


_OF_MART = {"flagged": "flagged_records", "late": "late_records"}


def build_mart(settings: RegionSettings, sequence: int, device_days: Sequence[dict[str, Any]]) -> None:
    """Leave behind what dbt leaves of device days in an existing marts.device_day, and ops.applied of their days."""
    with connect(settings) as connection:
        connection.execute("truncate marts.device_day")
        for row in device_days:
            values = {_OF_MART.get(name, name): value for name, value in row.items()}
            columns, places = ", ".join(values), ", ".join(["%s"] * len(values))
            connection.execute(
                f"insert into marts.device_day ({columns}, is_final, refreshed_at) values ({places}, true, now())",
                list(values.values()),
            )
        for day in {row["day"] for row in device_days}:
            mark_applied(connection, "marts", day, sequence, len(device_days))


def connect(settings: RegionSettings | WorldSettings) -> psycopg.Connection:
    """A connection with the region's role, which commits when its block ends."""
    return psycopg.connect(settings.postgres_dsn.get_secret_value())


def fetch(settings: RegionSettings | WorldSettings, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of one query."""
    with connect(settings) as connection:
        return connection.execute(query, values).fetchall()


_TABLES = """select format('%I.%I', schemaname, tablename) from pg_tables
    where schemaname in ('registry', 'staging', 'marts', 'ops', 'privacy')
    and tablename not in ('accepted_loss', 'access_audit', 'audit')"""
"""Accepted losses, acts on devices' access and acts of privacy stay on record: the database refuses to empty those."""


def empty(settings: RegionSettings | WorldSettings, *, history: bool = True) -> None:
    """Take every row out of the databases and of the derived Iceberg tables, so that a test starts from nothing."""
    dsns = [settings.postgres_dsn]
    if isinstance(settings, RegionSettings):
        dsns.append(settings.privacy_dsn)
        for name in SCHEMAS if history else ():
            table(settings, name).delete(AlwaysTrue())
    for dsn in dsns:
        with psycopg.connect(dsn.get_secret_value()) as connection:
            tables = [name for (name,) in connection.execute(_TABLES)]
            connection.execute(f"truncate {', '.join(tables)} cascade")


def clear_exchange(state: Path, region: str) -> None:
    """Delete what a region published, as the stack's administrator: no region and not the world may delete."""
    site = running_site(state)
    client = s3_client(site.ports["s3"], site.secrets.s3_admin)
    listing = client.list_objects_v2(Bucket=names.EXCHANGE_BUCKET, Prefix=names.exchange_prefix(region))
    for item in listing.get("Contents", []):
        client.delete_object(Bucket=names.EXCHANGE_BUCKET, Key=item["Key"])


def run_dbt(settings: RegionSettings | WorldSettings, folder: Path, *arguments: str) -> Any:
    """One dbt command in this process, against the settings' database; its artifacts go to `folder`.

    Raises AssertionError with what failed.
    """
    from dbt.cli.main import dbtRunner

    where = ["--target", dbt.target(settings.region), "--target-path", str(folder), "--log-path", str(folder)]
    with _environment(dbt.dbt_environment(settings)):
        outcome = dbtRunner().invoke([*arguments, "--quiet", *where])
    if not outcome.success:
        results = getattr(outcome.result, "results", [])
        failed = [f"{r.node.name}: {r.message}" for r in results if r.status not in ("success", "pass", "skipped")]
        raise AssertionError(f"dbt {arguments[0]} failed: {failed or outcome.exception}")
    return outcome.result


def start_dbt(settings: RegionSettings, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """One dbt command in a process of its own; the caller waits for it."""
    where = ["--target", dbt.target(settings.region), "--target-path", str(folder), "--log-path", str(folder)]
    return subprocess.Popen(
        [str(dbt.EXECUTABLE), *arguments, "--quiet", *where],
        env=os.environ | dbt.dbt_environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
