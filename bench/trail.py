"""A device's day out of history, on a day of 100 devices and on one of 10,000, beside a scan of the whole day.

The days are landed as the consumer lands them and merged by Spark, so that files, buckets and row groups are those
that compaction makes. Times are of queries in a process that has its connections open.
"""

import io
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan, Reference

import stack
from bench.landed import landing_table
from bench.rows import Row
from contracts.names import arrival_hour, bucket, landing_key, padded_sequence
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.tables import ensure_tables, history
from lake.jobs import MergeLanding
from lake.run import run as run_job
from lake.spark.session import spark_session
from lake.trail import SpotQuery

REGION = "eu"
EACH = 288
"""Records of a device in a day: one in five minutes."""
OBJECT_DEVICES = 2_000
QUERIES = int(os.environ.get("FLEETLAKE_BENCH_QUERIES", "60"))
SMALL, LARGE = 100, 10_000
DAYS = {SMALL: datetime(2026, 10, 5, tzinfo=UTC), LARGE: datetime(2026, 10, 6, tzinfo=UTC)}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one day."""

    p50_ms: float
    p95_ms: float
    query_bytes: float
    """Median bytes that a query read."""
    scan_ms: float
    scan_bytes: int


def run() -> list[Row]:
    """Times in ms, sizes in bytes; ratio is the query's figure over the scan's, or the large day's over the small."""
    with tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder:
        state = Path(folder)
        stack.up(state)
        try:
            settings = RegionSettings.load(stack.region_environment(state, REGION))
            _fill(settings)
            return _rows({devices: _measure(settings, devices) for devices in DAYS})
        finally:
            stack.down(state)


def _rows(figures: dict[int, Figures]) -> list[Row]:
    rows = []
    for devices, found in figures.items():
        day = f"device's day of a {devices:,}-device day"
        scan = "scan of the whole day"
        rows += [
            _row(f"{day}, p50", found.p50_ms, "ms", scan, found.scan_ms),
            _row(f"{day}, p95", found.p95_ms, "ms", scan, found.scan_ms),
            _row(f"{day}, read", found.query_bytes, "bytes", scan, found.scan_bytes),
        ]
    small, large = figures[SMALL], figures[LARGE]
    peer = f"{SMALL}-device day"
    rows.append(_row("bytes read on the large day", large.query_bytes, "bytes", peer, small.query_bytes))
    return rows


def _row(what: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    ratio = round(value / peer_value, 4)
    return Row(what=what, value=round(value, 1), unit=unit, peer=peer, peer_value=round(peer_value, 1), ratio=ratio)


def _measure(settings: RegionSettings, devices: int) -> Figures:
    start, end = DAYS[devices], DAYS[devices] + timedelta(days=1)
    query = SpotQuery(settings)
    try:
        chosen = np.random.default_rng(7).integers(0, devices, QUERIES)
        query.trail(_name(int(chosen[0])), start, end)
        trails = [query.trail(_name(int(number)), start, end) for number in chosen]
    finally:
        query.close()
    short = [trail for trail in trails if trail.records.num_rows != EACH]
    if short:
        raise AssertionError(f"{len(short)} of {QUERIES} queries did not find the {EACH} records of their device")
    times_ms = sorted(trail.seconds * 1000 for trail in trails)
    scan_ms, scan_bytes = _scan(settings, _name(int(chosen[0])), start, end)
    return Figures(
        p50_ms=statistics.median(times_ms),
        p95_ms=times_ms[int(len(times_ms) * 0.95)],
        query_bytes=statistics.median(trail.bytes_read for trail in trails),
        scan_ms=scan_ms,
        scan_bytes=scan_bytes,
    )


def _scan(settings: RegionSettings, device: str, start: datetime, end: datetime) -> tuple[float, int]:
    """The same question without bucket and statistics: read the day, then look for the device."""
    began = time.perf_counter()
    day = And(
        GreaterThanOrEqual(term=Reference("ts"), value=start.isoformat()),
        LessThan(term=Reference("ts"), value=end.isoformat()),
    )
    scan = history(settings).scan(row_filter=day)
    found = sum(
        pc.sum(pc.equal(batch.column("device_id"), device)).as_py() or 0 for batch in scan.to_arrow_batch_reader()
    )
    seconds = time.perf_counter() - began
    if found != EACH:
        raise AssertionError(f"the scan found {found} records of a device that has {EACH}")
    return seconds * 1000, sum(task.file.file_size_in_bytes for task in scan.plan_files())


def _fill(settings: RegionSettings) -> None:
    """Both days into landing, then into history by the merge."""
    ensure_tables(settings)
    place = 0
    for devices, day in DAYS.items():
        for first in range(0, devices, OBJECT_DEVICES):
            place += 1
            _land(settings, _records(first, min(OBJECT_DEVICES, devices - first), day), day, place)
    spark = spark_session(settings)
    try:
        run_job(spark, settings, MergeLanding(region=REGION, hours=[], stragglers=True))
    finally:
        spark.stop()


def _land(settings: RegionSettings, rows: pa.Table, day: datetime, place: int) -> None:
    hour = arrival_hour(datetime.now(UTC))
    key = landing_key(hour, "shardId-000000000000", str(place), str(place), 1)
    body = io.BytesIO()
    pq.write_table(rows, body, compression="zstd")
    store = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    store.put_object(Bucket=bucket(REGION), Key=key, Body=body.getvalue())
    object_row = {
        "key": key,
        "seq": padded_sequence(str(place)),
        "hour": hour,
        "rows": rows.num_rows,
        "bytes": len(body.getvalue()),
        "min": day,
        "max": day + timedelta(days=1),
    }
    with transaction(settings) as connection:
        connection.execute(
            "insert into ops.landing_object values (%(key)s, 'shardId-000000000000', %(seq)s, %(hour)s, %(rows)s,"
            " %(bytes)s, %(rows)s, %(min)s, %(max)s, now(), now(), null)",
            object_row,
        )


def _records(first: int, devices: int, day: datetime) -> pa.Table:
    """EACH records of each device, sorted by device and time: positions that wander, speeds and a rising odometer."""
    rng = np.random.default_rng(first + devices)
    size = devices * EACH
    step = np.tile(np.arange(EACH), devices)
    device = np.repeat(np.arange(first, first + devices), EACH)
    ts_us = (int(day.timestamp() * 1000) + step * 300_000 + rng.integers(0, 999, size)) * 1000
    wander = rng.normal(0, 0.002, (devices, EACH)).cumsum(axis=1).ravel()
    speed = np.abs(rng.normal(45, 20, size)).round(1)
    made = {
        "device_id": [_name(int(number)) for number in device],
        "ts": pa.array(ts_us).cast(LANDING_SCHEMA.field("ts").type),
        "lat": (48 + wander).round(6),
        "lon": (11 + wander[::-1]).round(6),
        "speed_kmh": speed,
        "heading_deg": rng.uniform(0, 360, size).round(1),
        "odometer_km": (10_000 + step * 3.7 + device).round(2),
        "engine_rpm": (700 + speed * 30).round(),
        "fuel_pct": (90 - step * 0.2).round(1),
        "engine_on": speed > 5,
        "record_id": [f"b:{number:032x}" for number in rng.integers(0, 2**62, size).tolist()],
        "arrival_ts": pa.array(ts_us + 2_000_000).cast(LANDING_SCHEMA.field("arrival_ts").type),
        "shard_id": ["shardId-000000000000"] * size,
        "sequence_number": [str(10**20 + number) for number in range(size)],
        "sub_sequence": pa.array(np.zeros(size), pa.int32()),
        "flags": pa.array(np.zeros(size), pa.int32()),
    }
    return landing_table(made, size)


def _name(number: int) -> str:
    return f"veh-{number:05d}"
