"""Hostile records by the ten thousand: no crash, no stall, and every one in landing or rejected."""

import json
import os
import resource
import time
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.kpl import BadAggregate, deaggregate, is_aggregate
from contracts.ledger import LANDED
from contracts.record import RejectReason
from ingest.kinesis.memory import MemoryStream
from ingest.live.resp import Writer, encode
from ingest.live.selection import select_newest
from tests.builders.consumer import World, broken_chains
from tests.builders.hostile import hostile
from tests.builders.ingest import ARRIVAL_MS
from tests.builders.virtual_time import run_virtually

RECORDS = int(os.environ.get("FLEETLAKE_HOSTILE_RECORDS", "20000"))
A_ROUND = 10_000

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from(["device_id", "ts", "event_id", "lat", "lon", "engine_on", "fault_codes", "signals", "x"])


def _user_records(datas: list[bytes]) -> int:
    """Counted without the consumer's own code, as the contract says: an aggregate that does not decode is one."""
    count = 0
    for data in datas:
        try:
            count += len(deaggregate(data)) if is_aggregate(data) else 1
        except BadAggregate:
            count += 1
    return count


async def _consumed(datas: list[bytes]) -> tuple[Counter[str], int]:
    """Through a worker into stores in memory; counts by what became of them, and live state's frames of what landed."""
    world = World(shards=2)
    world.stream = MemoryStream(2, now_ms=lambda: ARRIVAL_MS)
    for number, data in enumerate(datas):
        world.stream.put(f"k{number}", data)
    report = await world.read_all()
    entries = await world.entries()
    landed = [item for entry in entries for item in entry.objects if item.kind == LANDED]
    rejected = [item for entry in entries for item in entry.objects if item.kind != LANDED]
    assert broken_chains(await world.leases.rows(), entries) == []
    assert report.read == _user_records(datas)
    assert report.landed + sum(report.rejected.values()) == report.read
    assert sum(_rows(world, item.key) for item in rejected) == sum(report.rejected.values())
    found = Counter({"landed": report.landed, **report.rejected})
    return found, sum(_live_bytes(pq.read_table(pa.BufferReader(world.store.objects[item.key]))) for item in landed)


def _rows(world: World, key: str) -> int:
    return int(pq.read_metadata(pa.BufferReader(world.store.objects[key])).num_rows)


def _live_bytes(table: pa.Table) -> int:
    """What live state would be told about these rows."""
    rows = table.combine_chunks().to_batches()[0]
    ready = encode("eu", rows, select_newest(rows, 100), 100)
    return sum(len(part) for each in ready.transactions(b"0" * 40, Writer("hostile")) for part in each.buffers)


def test_every_hostile_record_lands_or_is_rejected() -> None:
    counts: Counter[str] = Counter()
    live_bytes, started_s = 0, time.monotonic()

    async def story(seed: int, count: int) -> Any:
        return await _consumed(list(hostile(seed, count)))

    for start in range(0, RECORDS, A_ROUND):
        found, told = run_virtually(story(start + 1, min(A_ROUND, RECORDS - start)))
        counts += found
        live_bytes += told
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{RECORDS:,} hostile Kinesis records in {time.monotonic() - started_s:.0f} s, peak {peak_mib:,.0f} MiB:")
    for what, count in counts.most_common():
        print(f"  {what:15} {count:>10,}")
    assert set(counts) - {"landed"} == set(RejectReason) - {RejectReason.POISON, RejectReason.WRONG_REGION}
    assert counts["landed"] > RECORDS // 10
    assert live_bytes > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(_fields, _json, max_size=6), max_size=8), st.lists(st.binary(max_size=80), max_size=8))
def test_any_json_and_any_bytes_land_or_are_rejected(objects: list[Any], noise: list[bytes]) -> None:
    datas = [json.dumps(one).encode("utf-8", "surrogatepass") for one in objects] + noise
    if datas:
        counts, _ = run_virtually(_consumed(datas))
        assert counts.total() == _user_records(datas)
        assert counts["poison"] == 0
