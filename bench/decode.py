"""CPU time a record of each stage of the consumer's own work, on one core: `python -m bench.decode [rows]`.

CPU seconds, not wall: the best of several rounds, so that a busy machine counts little. The floor printed first is
msgspec decoding each record into a struct and nothing else.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import polars
import pyarrow as pa
import pyarrow.json

from contracts.kpl import aggregate
from contracts.record import Record
from ingest.batch import Batch, KinesisRecord
from ingest.decode import JsonDecoder
from ingest.kinesis.response import decode_response
from ingest.landing import ShardBuffer
from ingest.live.resp import Writer, encode
from ingest.live.selection import select_newest

ARRIVAL_MS = 1_795_420_800_000
READ = 10_000
"""Records of one GetRecords."""
ROUNDS = 5
SHARD = "shardId-000000000001"
_SEQUENCE = 49_598_630_142_999_655_949_899_443_842_509_554_952_738_656_579_378_741_250


def payloads(
    count: int, devices: int = 5000, *, event_id: bool = False, maps: bool = False, unknown: bool = False
) -> list[bytes]:
    """JSON records of about 218 bytes (more with event ids, maps or unknown fields)."""
    chance = random.Random(1)
    out = []
    for number in range(count):
        second, ms = divmod(number % 3_600_000, 1000)
        record: dict[str, Any] = {
            "device_id": f"veh-{chance.randrange(devices):05d}",
            "ts": f"2026-11-23T07:{second // 60 % 60:02d}:{second % 60:02d}.{ms:03d}Z",
            "lat": round(48 + chance.random(), 6),
            "lon": round(11 + chance.random(), 6),
            "speed_kmh": round(chance.random() * 120, 1),
            "heading_deg": chance.randrange(360),
            "odometer_km": round(chance.random() * 1e5, 1),
            "engine_rpm": chance.randrange(4000),
            "fuel_pct": round(chance.random() * 100, 1),
            "coolant_c": chance.randrange(100),
            "engine_on": True,
        }
        if event_id:
            record["event_id"] = f"{chance.getrandbits(64):016x}"
        if maps:
            record["signals"] = {"oil_kpa": chance.randrange(500), "axle_1_t": chance.random()}
            record["attributes"] = {"route": f"R{chance.randrange(90)}"}
        if unknown:
            record["firmware"] = "1.2.3"
        out.append(json.dumps(record, separators=(",", ":")).encode())
    return out


def records(datas: list[bytes], per_record: int = 1) -> list[KinesisRecord]:
    """Kinesis records of these user records, aggregated where per_record is more than one."""
    if per_record > 1:
        datas = [
            aggregate([("key", data) for data in datas[start : start + per_record]])
            for start in range(0, len(datas), per_record)
        ]
    return [KinesisRecord.at(ARRIVAL_MS + i // 100, str(_SEQUENCE + i), "key", data) for i, data in enumerate(datas)]


def decoded(decoder: JsonDecoder, read: list[KinesisRecord], per_read: int) -> list[Batch]:
    """All batches of a stream read in steps of `per_read`."""
    return [decoder.decode(SHARD, read[i : i + per_read]) for i in range(0, len(read), per_read)]


def cpu_us(rows: int, work: Callable[[], Any]) -> float:
    """CPU microseconds a row, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best / rows * 1e6


def stages(count: int) -> dict[str, float]:
    """CPU microseconds a record by stage."""
    pa.set_cpu_count(1)
    plain = payloads(count)
    out: dict[str, float] = {}
    read = msgspec.json.Decoder(Record).decode
    out["floor: msgspec structs, kept"] = cpu_us(
        count, lambda: [list(map(read, plain[i : i + READ])) for i in range(0, count, READ)]
    )
    out["instead: join, pyarrow read_json, unchecked"] = cpu_us(count, lambda: _joined(plain, _pyarrow))
    out["instead: join, polars read_ndjson, unchecked"] = cpu_us(count, lambda: _joined(plain, _polars))
    cases = {
        "decode": (plain, 1),
        "decode, event ids": (payloads(count, event_id=True), 1),
        "decode, signals and attributes": (payloads(count, maps=True), 1),
        "decode, an unknown field in each": (payloads(count, unknown=True), 1),
        "decode, 1 % truncated": ([data[:99] if i % 100 == 0 else data for i, data in enumerate(plain)], 1),
        "decode, KPL of 50": (plain, 50),
    }
    for name, (datas, per_record) in cases.items():
        stream, decoder = records(datas, per_record), JsonDecoder()
        out[name] = cpu_us(count, lambda s=stream, d=decoder, n=READ // per_record: decoded(d, s, n))
    bodies, read_body = _bodies(records(cases["decode, event ids"][0])), msgspec.json.Decoder(GetRecordsRows).decode
    out["instead: an answer's JSON to records, msgspec"] = cpu_us(count, lambda: [read_body(b).records for b in bodies])
    out["fetch: an answer's JSON to records"] = cpu_us(
        count, lambda: [decode_response(b, read_body)[1] for b in bodies]
    )
    answers, decoder = [decode_response(body, read_body)[1] for body in bodies], JsonDecoder()
    out["decode, event ids, from an answer"] = cpu_us(count, lambda: [decoder.decode(SHARD, one) for one in answers])
    batches = decoded(JsonDecoder(), records(plain), READ)
    buffer = ShardBuffer(SHARD)
    out["landing: append"] = cpu_us(count, lambda: [ShardBuffer(buffer.shard_id).append(batch) for batch in batches])
    for batch in batches:
        buffer.append(batch)
    pending = buffer.take()
    out["landing: sort and Parquet"] = cpu_us(count, lambda: pending.encode(0, 1, "bench"))
    rows = pa.concat_batches([batch.rows for batch in batches]).slice(0, 50_000)
    out[f"live: choose and frame, {_devices(rows)} devices"] = cpu_us(rows.num_rows, lambda: _live(rows))
    many = pa.concat_batches([b.rows for b in decoded(JsonDecoder(), records(payloads(50_000, 50_000)), READ)])
    out[f"live: choose and frame, {_devices(many)} devices"] = cpu_us(many.num_rows, lambda: _live(many))
    return out


class GetRecordsRows(msgspec.Struct, rename="pascal"):
    """An answer of GetRecords, as far as it is records."""

    records: list[KinesisRecord]


def _bodies(read: list[KinesisRecord]) -> list[bytes]:
    """The answers of GetRecords that hold these records."""
    return [msgspec.json.encode(GetRecordsRows(read[i : i + READ])) for i in range(0, len(read), READ)]


def _joined(datas: list[bytes], read: Callable[[bytes], Any]) -> None:
    """What a reader of JSON Lines needs for its columns alone: no checks, no times, no identities."""
    for start in range(0, len(datas), READ):
        read(b"\n".join(datas[start : start + READ]))


def _pyarrow(lines: bytes) -> pa.Table:
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=1 << 26)
    return pyarrow.json.read_json(pa.BufferReader(lines), read_options=options)


def _polars(lines: bytes) -> Any:
    return polars.read_ndjson(lines)


def _live(rows: pa.RecordBatch) -> None:
    for _ in encode("eu", rows, select_newest(rows, 100), 100).transactions(b"0" * 40, Writer("bench")):
        pass


def _devices(rows: pa.RecordBatch) -> int:
    return len(rows.column("device_id").unique())


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    measured = stages(count)
    floor = next(iter(measured.values()))
    for name, us in measured.items():
        print(f"{name:45s} {us:7.3f} us a record {1 / us:7.2f} M/s {us / floor:6.2f} x the floor")


if __name__ == "__main__":
    main()
