"""Builders of the consumer's tests: payloads, Kinesis records, landing rows."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.identity import record_id
from contracts.kpl import aggregate
from contracts.record import LANDING_SCHEMA
from ingest.batch import KinesisRecord
from ingest.records import PackedRecords, Payloads

ARRIVAL_MS = 1_795_420_800_000
"""2026-11-23T08:00:00Z"""
FIRST_SEQUENCE = 49_598_630_142_999_655_949_899_443_842_509_554_952_738_656_579_378_741_250
SHARD = "shardId-000000000001"


def payload(**fields: Any) -> bytes:
    """JSON of one record; device_id and ts have defaults, a field given as None is left out."""
    whole = {"device_id": "d-1", "ts": ARRIVAL_MS - 1000, **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def kinesis(
    datas: Iterable[bytes], *, arrival_ms: int = ARRIVAL_MS, first: int = 0, arrivals: Sequence[int] | None = None
) -> list[KinesisRecord]:
    """Consecutive Kinesis records of these bytes."""
    return [
        KinesisRecord.at(arrivals[i] if arrivals else arrival_ms, str(FIRST_SEQUENCE + first + i), f"key-{i % 7}", data)
        for i, data in enumerate(datas)
    ]


def packed(records: Sequence[KinesisRecord]) -> PackedRecords:
    """The same records side by side, as an answer gives them."""
    data = [record.data for record in records]
    return PackedRecords(
        Payloads.of(data),
        pa.array([record.sequence_number for record in records], pa.string()),
        pa.array([record.partition_key for record in records], pa.string()),
        np.array([record.approximate_arrival_timestamp for record in records]),
    )


def aggregated(datas: Sequence[bytes], size: int) -> list[bytes]:
    """The same user records in KPL aggregates of `size`."""
    return [
        aggregate([(f"key-{i}", data) for i, data in enumerate(datas[start : start + size])])
        for start in range(0, len(datas), size)
    ]


def telemetry(seed: int, count: int, devices: int = 50) -> list[bytes]:
    """Plausible payloads of a fleet, about 220 bytes each."""
    chance = random.Random(seed)
    out = []
    for _ in range(count):
        at = ARRIVAL_MS - chance.randrange(3_600_000)
        record: dict[str, Any] = {
            "device_id": f"veh-{chance.randrange(devices):05d}",
            "ts": at if chance.random() < 0.5 else _text(at),
            "lat": round(48 + chance.random(), 6),
            "lon": round(11 + chance.random(), 6),
            "speed_kmh": round(chance.random() * 120, 1),
            "heading_deg": chance.randrange(360),
            "odometer_km": round(chance.random() * 1e5, 1),
            "engine_rpm": chance.randrange(4000),
            "fuel_pct": round(chance.random() * 100, 1),
            "engine_on": chance.random() < 0.9,
        }
        if chance.random() < 0.3:
            record["signals"] = {"oil_kpa": chance.randrange(500), "axle.1": chance.random()}
        if chance.random() < 0.3:
            record["attributes"] = {"route": f"R{chance.randrange(9)}", "fahrer": "Jürgen"}
        if chance.random() < 0.1:
            record["fault_codes"] = ["P0420", "SPN 100/FMI 3"]
            record |= {"fault_lamps": ["amber_warning"], "driver_id": "DE-7", "engine_hours_h": 8123.05}
        if chance.random() < 0.3:
            record["event_id"] = f"{chance.getrandbits(64):016x}"
        if chance.random() < 0.1:
            record["firmware"] = "1.2.3"
        out.append(json.dumps(record, ensure_ascii=chance.random() < 0.5).encode())
    return out


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Bytes with one to three small faults: what a bad radio, a bad encoder or an attacker makes of them."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(out) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del out[place:]
        elif kind == 1 and out:
            out[min(place, len(out) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 2:
            out[place:place] = chance.choice(_SPLICES)
        elif kind == 3:
            del out[place : place + chance.randint(1, 8)]
        elif kind == 4:
            out[place:place] = bytes(chance.randrange(256) for _ in range(3))
        else:
            _swap_value(chance, out)
    return bytes(out)


def landing_rows(records: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Landing rows from few fields: device_id, ts_ms, arrival_ms; optional seq (int), sub and contract fields."""
    rows = []
    for record in records:
        fields = dict(record)
        ts_ms, arrival_ms = fields.pop("ts_ms"), fields.pop("arrival_ms")
        sequence = str(FIRST_SEQUENCE + fields.pop("seq", 0))
        row = dict.fromkeys(LANDING_SCHEMA.names) | {
            "ts": ts_ms * 1000,
            "arrival_ts": arrival_ms * 1000,
            "shard_id": SHARD,
            "sequence_number": sequence,
            "sub_sequence": fields.pop("sub", 0),
            "flags": 0,
            "record_id": record_id(fields.get("event_id"), sequence.encode()),
        }
        rows.append(row | fields)
    return pa.RecordBatch.from_pylist(rows, schema=LANDING_SCHEMA)


_SPLICES = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"1e999", b"-", b"\\ud800", b"\xff\xfe", b"\x00",
    b'"lat":"x",', b'"ts":1.5,', b'"lat":true,', b'"x":[[[[]]]],', b'"event_id":"' + b"e" * 65 + b'",', b"[" * 100,
    b'"speed_kmh":1e400,', b'"attributes":{"a":1},', b'"signals":{"a":"b"},', b'"lat":0,"lon":0,', b'"\xc3\xa4":1,',
)  # fmt: skip
_VALUES = (b"null", b"true", b'"x"', b"[]", b"{}", b"-1", b"1e308", b"1E999", b"12345678901234567890123", b"0.0")


def _swap_value(chance: random.Random, out: bytearray) -> None:
    colons = [place for place, byte in enumerate(out) if byte == ord(":")]
    if colons:
        start = chance.choice(colons) + 1
        stop = min((p for p in (out.find(b",", start), out.find(b"}", start)) if p >= 0), default=len(out))
        out[start:stop] = chance.choice(_VALUES)


def _text(ms: int) -> str:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
