"""Landing objects for benchmarks of the lake, as the consumer lands them, and generated rows to put into them."""

import io
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.ledger import ON_TIME_AFTER_S, ON_TIME_BEFORE_S
from contracts.names import landing_key, padded_sequence
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.database import transaction

SHARD = "shardId-000000000000"


def land(settings: RegionSettings, rows: pa.Table, hour: datetime, place: int) -> str:
    """Put one object of these rows under arrival hour `hour`, and into ops.landing_object. Returns its key.

    place: a number that no other object of the benchmark has, in order of arrival.
    """
    key = landing_key(hour, SHARD, str(place), str(place), 1)
    body = io.BytesIO()
    pq.write_table(rows, body, compression="zstd")
    store = boto3.client("s3", **settings.s3.client_kwargs(settings.row.aws_region))
    store.put_object(Bucket=settings.bucket, Key=key, Body=body.getvalue())
    stragglers = _stragglers(rows["ts"], hour)
    values = [key, SHARD, padded_sequence(str(place)), hour, rows.num_rows, len(body.getvalue()), stragglers]
    values += [pc.min(rows["ts"]).as_py(), pc.max(rows["ts"]).as_py()]
    done = [stragglers == rows.num_rows, stragglers == 0]
    with transaction(settings) as connection:
        connection.execute(
            "insert into ops.landing_object (key, shard_id, last_seq, hour, rows, bytes, stragglers, min_ts, max_ts,"
            " committed_at, on_time_merged, stragglers_merged) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, now(),"
            " case when %s then now() end, case when %s then now() end)",
            [*values, *done],
        )
    return key


def _stragglers(ts: pa.ChunkedArray, hour: datetime) -> int:
    low = pa.scalar(hour - timedelta(seconds=ON_TIME_BEFORE_S), ts.type)
    high = pa.scalar(hour + timedelta(seconds=3600 + ON_TIME_AFTER_S), ts.type)
    on_time = pc.and_(pc.greater_equal(ts, low), pc.less(ts, high))
    return len(ts) - int(pc.sum(on_time).as_py() or 0)


def telemetry(
    devices: range, start: datetime, records: int, step: timedelta, *, arrival: datetime | None = None
) -> pa.Table:
    """`records` records of each device, one each `step` from `start` on: drives of forty minutes, stops of twenty.

    In order of device and time. arrival: when all of them arrived; two seconds after each event unless given.
    """
    size, count = len(devices) * records, len(devices)
    rng = np.random.default_rng([devices.start, int(start.timestamp())])
    place = np.tile(np.arange(records), count)
    device = np.repeat(np.arange(devices.start, devices.stop), records)
    offset_s = place * step.total_seconds()
    ts_us = int(start.timestamp() * 1e6) + (offset_s * 1e6).astype(np.int64) + device % 997 * 1000
    phase = (ts_us // 1_000_000 + device * 61) % 3600
    driving = phase < 2400
    speed = np.where(driving, 40 + 20 * np.sin(phase / 300), 0.0).round(1)
    km = (speed * step.total_seconds() / 3600).reshape(count, records).cumsum(axis=1).ravel()
    arrived = ts_us + 2_000_000 if arrival is None else np.full(size, int(arrival.timestamp() * 1e6))
    made = {
        "device_id": [f"veh-{number:05d}" for number in device.tolist()],
        "ts": pa.array(ts_us).cast(LANDING_SCHEMA.field("ts").type),
        "lat": (48 + device % 100 * 0.01 + km / 111.195).round(6),
        "lon": (11 + device % 77 * 0.01 + rng.normal(0, 1e-5, size)).round(6),
        "speed_kmh": speed,
        "heading_deg": np.zeros(size),
        "odometer_km": (10_000 + device + km).round(3),
        "engine_rpm": (700 + speed * 30).round(),
        "fuel_rate_lph": np.where(driving, 8.0, 0.0),
        "engine_on": driving,
        "record_id": [f"b:{one:08x}{two:016x}" for one, two in zip(device.tolist(), ts_us.tolist(), strict=True)],
        "arrival_ts": pa.array(arrived).cast(LANDING_SCHEMA.field("arrival_ts").type),
        "shard_id": [SHARD] * size,
        "sequence_number": [str(10**20 + number) for number in range(size)],
        "sub_sequence": pa.array(np.zeros(size), pa.int32()),
        "flags": pa.array(np.zeros(size), pa.int32()),
    }
    return landing_table(made, size)


def landing_table(made: Mapping[str, Any], size: int) -> pa.Table:
    """A table of landing of `size` rows: the columns in `made`, the others null."""
    columns = [
        pa.array(made[field.name], field.type) if field.name in made else pa.nulls(size, field.type)
        for field in LANDING_SCHEMA
    ]
    return pa.table(columns, schema=LANDING_SCHEMA)
