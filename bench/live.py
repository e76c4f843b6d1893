"""What a row costs Redis while trails grow: 400,000 devices, a record of each in turn, round after round.

FLEETLAKE_BENCH_LIVE_DEVICES (400,000) and FLEETLAKE_BENCH_LIVE_ROUNDS (9) make it smaller. The server's own CPU time
counts, as the embedded stack starts it, and beside it with the C library's own settings of its allocator.
"""

import asyncio
import os
import statistics

import numpy as np
import pyarrow as pa
import redis

from bench.rows import Row
from contracts.record import LANDING_SCHEMA
from ingest.live.redis import RedisLive
from stack.services.valkey import ALLOCATOR
from tests.builders.valkey_server import url_of, valkey

DEVICES = int(os.environ.get("FLEETLAKE_BENCH_LIVE_DEVICES", "400000"))
ROUNDS = int(os.environ.get("FLEETLAKE_BENCH_LIVE_ROUNDS", "9"))
A_WRITE = 6_000
"""Rows of one write: what 40,000 records/s are in the time between two."""
LAST = 3
"""Rounds at the end whose median counts."""
_SHARD = "shardId-000000000000"
_FIRST_MS = 1_796_000_000_000
_ROUND_MS = 10_000


def run() -> list[Row]:
    """CPU time of the server a row, in microseconds: in the second round, and at the end."""
    own, plain = _rounds({"GLIBC_TUNABLES": ALLOCATOR}), _rounds({})
    last, plain_last = (statistics.median(one[-LAST:]) for one in (own, plain))
    peer = "the C library's own settings"
    return [
        Row(id="redis_us_second", what="Redis, a row of the second round", value=own[1], unit="us", peer=peer,
            peer_value=plain[1], ratio=own[1] / plain[1]),
        Row(id="redis_us_last", what=f"Redis, a row of the last {LAST} of {ROUNDS} rounds, median", value=last,
            unit="us", peer=peer, peer_value=plain_last, ratio=last / plain_last),
    ]  # fmt: skip


def _rounds(environment: dict[str, str]) -> list[float]:
    """Microseconds a row in each round."""
    options = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--maxmemory", "6gb")
    with valkey(*options, environment=environment) as client:
        return asyncio.run(_written(client))


async def _written(client: redis.Redis) -> list[float]:
    live = RedisLive(url_of(client), "eu")
    found = []
    try:
        for number in range(ROUNDS):
            before_s = _cpu_s(client)
            for first in range(0, DEVICES, A_WRITE):
                await live.write(_rows(np.arange(first, min(first + A_WRITE, DEVICES)), number))
            found.append(1e6 * (_cpu_s(client) - before_s) / DEVICES)
    finally:
        await live.close()
    return found


def _rows(devices: np.ndarray, number: int) -> pa.RecordBatch:
    """A record of each of these devices, in the round of that number: each on a circle of its own."""
    ms = _FIRST_MS + _ROUND_MS * number + devices % _ROUND_MS
    count, times = len(devices), pa.array(1_000 * ms)
    columns = {
        "device_id": pa.array([f"w{device:06d}" for device in devices.tolist()]),
        "ts": times,
        "arrival_ts": times,
        "lat": pa.array(50 + devices % 997 / 1e3 + number / 1e4),
        "lon": pa.array(8 + devices % 991 / 1e3 + number / 1e4),
        "speed_kmh": pa.array(30.0 + devices % 50),
        "heading_deg": pa.array(devices % 360 + 0.0),
        "odometer_km": pa.array(1_000 + devices / 1e4),
        "engine_on": pa.array(np.ones(count, bool)),
        "shard_id": pa.array([_SHARD] * count),
        "sequence_number": pa.array([f"{49 * 10**54 + number * DEVICES + device}" for device in devices.tolist()]),
        "sub_sequence": pa.array(np.zeros(count, np.int64)),
        "flags": pa.array(np.zeros(count, np.int64)),
    }
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in LANDING_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=LANDING_SCHEMA)


def _cpu_s(client: redis.Redis) -> float:
    found = client.info("cpu")
    return float(found["used_cpu_user_main_thread"] + found["used_cpu_sys_main_thread"])
