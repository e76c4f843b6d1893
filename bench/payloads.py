"""Records for benchmarks: 218 bytes of JSON from moving vehicles, plain, KPL-aggregated or with signals."""

import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from contracts.kpl import aggregate

RECORD_BYTES = 218
DEVICES = 50_000
USER_RECORDS_AN_AGGREGATE = 100
_ENCODE = msgspec.json.Encoder().encode


class Payload(NamedTuple):
    """One Kinesis record to put: its partition key and bytes."""

    key: str
    data: bytes


def record(rng: random.Random, shard: int, number: int, now_ms: int) -> tuple[str, dict[str, object]]:
    """One record of a moving vehicle, event time within the ten minutes before `now_ms`."""
    device = f"bench-{shard:03d}-{number % (DEVICES // 48):05d}"
    return device, {
        "device_id": device,
        "ts": now_ms - 600_000 + number % 600_000,
        "lat": round(52.3 + rng.random() / 2, 6),
        "lon": round(13.1 + rng.random() / 2, 6),
        "speed_kmh": round(rng.random() * 120, 1),
        "heading_deg": rng.randrange(360),
        "odometer_km": round(12_000 + number / 100, 2),
        "engine_rpm": rng.randrange(800, 3_000),
        "fuel_pct": round(rng.random() * 100, 1),
        "engine_on": True,
    }


def plain(shard: int, count: int, now_ms: int) -> list[Payload]:
    """`count` records of RECORD_BYTES each, one a Kinesis record."""
    rng = random.Random(shard)
    return [Payload(device, padded(body)) for device, body in (record(rng, shard, n, now_ms) for n in range(count))]


def rich(shard: int, count: int, now_ms: int) -> list[Payload]:
    """Records with three signals and two attributes each."""
    rng = random.Random(shard)
    made = []
    for number in range(count):
        device, body = record(rng, shard, number, now_ms)
        body["signals"] = {"oil_c": 91.5, "boost_kpa": rng.randrange(100, 250), "axle_load_kg": 8_200.0}
        body["attributes"] = {"route": f"r{number % 40}", "driver_card": f"c{number % 900}"}
        made.append(Payload(device, _ENCODE(body)))
    return made


def aggregated(shard: int, count: int, now_ms: int) -> list[Payload]:
    """The plain records, USER_RECORDS_AN_AGGREGATE in a KPL aggregate."""
    single = plain(shard, count, now_ms)
    step = USER_RECORDS_AN_AGGREGATE
    return [Payload(single[i].key, aggregate(single[i : i + step])) for i in range(0, count, step)]


def padded(body: dict[str, object]) -> bytes:
    """The record as JSON, brought to RECORD_BYTES by an event id, as devices that number their messages send one."""
    bare = len(_ENCODE({**body, "event_id": ""}))
    width = max(1, RECORD_BYTES - bare)
    number = f"{body['device_id']}-{body['ts']}"
    return _ENCODE({**body, "event_id": number[-width:].rjust(width, "0")})


PAYLOADS: dict[str, Callable[[int, int, int], list[Payload]]] = {
    "plain": plain,
    "kpl": aggregated,
    "rich": rich,
}
