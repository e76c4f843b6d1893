"""Marts of a fleet: device days of many devices over a month, built whole, then one day again while people read.

FLEETLAKE_BENCH_MARTS_DEVICES (400000) devices in fleets of a thousand, FLEETLAKE_BENCH_MARTS_DAYS (30) days. Loading is
measured on one day's rows by each way that Postgres takes them: text from Arrow, which `load_days` uses, binary rows by
psycopg, and INSERT. Readers ask what BI asks, as bi_reader, and look at each answer about the day that is being
replaced: it is the old one or the new one, never a part of both. A million rows are kept with and without partitions.
"""

import io
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv

import stack
from bench import month_partitions
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.team import quantile
from contracts.derived import DEVICE_DAY_SCHEMA
from contracts.names import DEVICE_DAY_TABLE
from contracts.settings import RegionSettings
from lake.iceberg.tables import ensure_tables, table
from marts.applied import due_marts, mark_marts, staged_sequences
from marts.dbt import EXECUTABLE, PROJECT, dbt_environment, target, window_arguments
from marts.load import load_days
from stack.environments import bi_dsn

DEVICES = int(os.environ.get("FLEETLAKE_BENCH_MARTS_DEVICES", "400000"))
DAYS = int(os.environ.get("FLEETLAKE_BENCH_MARTS_DAYS", "30"))
_A_FLEET = 1000
_FIRST = date(2026, 3, 1)
_INSERTED = 20_000
"""Rows that INSERT is measured on: it is the slowest way."""
_READERS = 2
_IDLE_S = 20.0
_NUMBERS = ("engine_s", "moving_s", "idle_s", "off_s", "unknown_s", "distance_gps_km", "distance_odometer_km")


def run() -> list[Row]:
    """Figures of one region; raises where a reader sees a part of a day."""
    with stack_of_one_region() as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION))
        ensure_tables(settings)
        _fill(settings)
        built_s = _timed(lambda: _build(settings))
        last = _FIRST + timedelta(days=DAYS - 1)
        rows = _device_days(last)
        ways = [*_ways_to_load(settings, rows), *month_partitions.compare(settings.postgres_dsn.get_secret_value())]
        _derive_again(settings, last, rows)
        with _reading(bi_dsn(stack.running_site(state), REGION), last) as idle:
            time.sleep(_IDLE_S)
        with _reading(bi_dsn(stack.running_site(state), REGION), last) as loaded:
            load_s = _timed(lambda: load_days(settings, [last]))
            build_s = _timed(lambda: _build(settings))
        return [*_built(settings, built_s, load_s, build_s), *ways, *_read(idle, loaded)]


def _built(settings: RegionSettings, built_s: float, load_s: float, build_s: float) -> list[Row]:
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        row = postgres.execute("select count(*) from marts.device_day").fetchone()
    if row is None or row[0] != DEVICES * DAYS:
        raise AssertionError(f"marts.device_day has {row} rows, {DEVICES * DAYS:,} were staged")
    return [
        Row(id="build_400k_rows_s", what=f"all marts of {DAYS} days x {DEVICES:,} devices: device days a second",
            value=DEVICES * DAYS / built_s, unit="rows/s"),
        Row(id="reload_day_s", what=f"one of these days again: load {load_s:.1f} s and build {build_s:.1f} s",
            value=load_s + build_s, unit="s"),
    ]  # fmt: skip


def _read(idle: "_Answers", loaded: "_Answers") -> list[Row]:
    calm, busy = (1000 * quantile(sorted(answers.times_s), 0.95) for answers in (idle, loaded))
    return [
        Row(id="reader_p95_vs_idle", what=f"a reader's question while the day is replaced, p95 ({len(loaded.times_s)})",
            value=busy, unit="ms", peer=f"while nothing is ({len(idle.times_s)})", peer_value=calm, ratio=busy / calm),
        Row(id="partial_days_seen", what="answers about a part of the day", value=idle.partial + loaded.partial,
            unit="answers"),
    ]  # fmt: skip


def _device_days(day: date) -> pa.Table:
    """A working day of every device."""
    random = np.random.default_rng(day.toordinal())
    start = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    values = {name: np.round(random.uniform(0, 20_000, DEVICES), 3) for name in _NUMBERS}
    whole = {
        "device_id": [f"d{number:07}" for number in range(DEVICES)],
        "day": [day] * DEVICES,
        "records": random.integers(1, 8640, DEVICES),
        "flagged": random.integers(0, 1, DEVICES),
        "late": random.integers(0, 1, DEVICES),
        "first_ts": [start] * DEVICES,
        "last_ts": [start + timedelta(hours=10)] * DEVICES,
        **values,
        "max_speed_kmh": np.round(random.uniform(0, 130, DEVICES), 1),
        "fuel_l": np.round(random.uniform(0, 60, DEVICES), 2),
        "trips": random.integers(0, 12, DEVICES).astype(np.int32),
    }
    return pa.table({name: whole[name] for name in DEVICE_DAY_SCHEMA.names}).cast(DEVICE_DAY_SCHEMA)


def _fill(settings: RegionSettings) -> None:
    """The registry, and staging with all days, as loads leave them."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as postgres:
        fleets = -(-DEVICES // _A_FLEET)
        postgres.execute(
            "insert into registry.fleet select 'f' || n, 'Fleet ' || n from generate_series(1, %s) n", [fleets]
        )
        postgres.execute(
            """insert into registry.device (device_id, fleet_id, type, valid_from)
            select 'd' || lpad(n::text, 7, '0'), 'f' || (n / %s + 1), 'van', '2020-01-01'
            from generate_series(0, %s) n""",
            [_A_FLEET, DEVICES - 1],
        )
        for number in range(DAYS):
            day = _FIRST + timedelta(days=number)
            _copy_text(postgres, "staging.device_day", _device_days(day))
            postgres.execute("select ops.mark_applied('staging', %s, 1, %s, null)", [day, DEVICES])
        postgres.execute("vacuum analyze")


def _derive_again(settings: RegionSettings, day: date, rows: pa.Table) -> None:
    """Leave behind what a derivation of the day leaves, at a later sequence."""
    table(settings, DEVICE_DAY_TABLE).append(rows)
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        postgres.execute("insert into ops.derived (day, sequence, rows_sequence) values (%s, 2, 2)", [day])


def _build(settings: RegionSettings) -> None:
    """dbt over the days that are due, in a process of its own, as Dagster runs it."""
    due = due_marts(settings)
    sequences = staged_sequences(settings, due)
    words = ["run", *window_arguments(due), "--target", target(REGION), "--quiet"]
    with TemporaryDirectory(prefix="fleetlake-bench-dbt-") as log:
        done = subprocess.run(
            [str(EXECUTABLE), *words, "--target-path", log, "--log-path", log],
            cwd=PROJECT, env=os.environ | dbt_environment(settings), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"dbt ended with {done.returncode}: {done.stdout[-2000:]}")
    mark_marts(settings, due, sequences)


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ways_to_load(settings: RegionSettings, rows: pa.Table) -> list[Row]:
    """Rows a second by each way, into an empty table like staging's."""
    few = rows.slice(0, min(_INSERTED, DEVICES))
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as postgres:
        speeds = {}
        for name, load, given in (("text", _copy_text, rows), ("binary", _copy_binary, rows), ("insert", _insert, few)):
            postgres.execute("create table staging.measured (like staging.device_day including all)")
            seconds = _timed(lambda load=load, given=given: load(postgres, "staging.measured", given))  # type: ignore[misc]
            speeds[name] = given.num_rows / seconds
            postgres.execute("drop table staging.measured")
    return [
        Row(id=f"copy_{name}_vs_insert", what=what, value=speeds[name], unit="rows/s", peer="INSERT",
            peer_value=speeds["insert"], ratio=speeds[name] / speeds["insert"])
        for name, what in (
            ("text", "COPY of text that Arrow writes, as load_days"),
            ("binary", "COPY of binary rows by psycopg"),
        )
    ]  # fmt: skip


def _columns(rows: pa.Table) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))


def _copy_text(postgres: psycopg.Connection[Any], into: str, rows: pa.Table) -> None:
    statement = sql.SQL("copy {} ({}) from stdin with (format csv)").format(sql.SQL(into), _columns(rows))
    with postgres.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in rows.to_batches():
            text = io.BytesIO()
            csv.write_csv(batch, text, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
            copy.write(text.getbuffer())


def _copy_binary(postgres: psycopg.Connection[Any], into: str, rows: pa.Table) -> None:
    types = {pa.string(): "text", pa.date32(): "date", pa.int64(): "int8", pa.int32(): "int4", pa.float64(): "float8"}
    named = [types.get(field.type, "timestamptz") for field in rows.schema]
    statement = sql.SQL("copy {} ({}) from stdin with (format binary)").format(sql.SQL(into), _columns(rows))
    with postgres.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(named)
        for batch in rows.to_batches(max_chunksize=20_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                copy.write_row(row)


def _insert(postgres: psycopg.Connection[Any], into: str, rows: pa.Table) -> None:
    places = sql.SQL(", ").join([sql.Placeholder()] * rows.num_columns)
    statement = sql.SQL("insert into {} ({}) values ({})").format(sql.SQL(into), _columns(rows), places)
    with postgres.transaction(), postgres.cursor() as cursor:
        cursor.executemany(statement, list(zip(*(column.to_pylist() for column in rows.columns), strict=True)))


@dataclass
class _Answers:
    """What readers saw."""

    times_s: list[float] = field(default_factory=list)
    partial: int = 0


_QUESTIONS = (
    # A fleet's week, a device's month, the idlest of a fleet, the fleet's completeness.
    "select day, trips, distance_gps_km from marts.fleet_day where fleet_id = 'f1' and day > %(day)s - 7",
    "select day, engine_s, distance_gps_km from marts.device_day where device_id = 'd0000007' order by day",
    """select device_id, idle_s from marts.device_day where day = %(day)s and fleet_id = 'f2'
    order by idle_s desc limit 10""",
    """select devices_expected, devices_received from marts.data_completeness_day
    where fleet_id = 'f1' and day = %(day)s""",
)
_WHOLE = "select count(*), count(distinct refreshed_at) from marts.device_day where day = %(day)s"


@contextmanager
def _reading(dsn: str, day: date) -> Iterator[_Answers]:
    """Readers ask while inside; one of them asks whether the day is whole."""
    answers, over = _Answers(), threading.Event()

    def ask(questions: tuple[str, ...]) -> None:
        with psycopg.connect(dsn, autocommit=True) as reader:
            while not over.is_set():
                for question in questions:
                    began = time.perf_counter()
                    found = reader.execute(question.encode(), {"day": day}).fetchall()
                    if question == _WHOLE:
                        answers.partial += found != [(DEVICES, 1)]
                    else:
                        answers.times_s.append(time.perf_counter() - began)
                time.sleep(0.05)

    threads = [threading.Thread(target=ask, args=[_QUESTIONS]) for _ in range(_READERS)]
    threads.append(threading.Thread(target=ask, args=[(_WHOLE,)]))
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()
