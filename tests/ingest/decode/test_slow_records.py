"""Records made to be slow cost no more than others: a few milliseconds a KiB, whatever their size."""

import json
import time

import pyarrow as pa
import pytest

from bench.slow_records import KINDS, costs
from contracts.kpl import aggregate
from contracts.record import RejectReason
from ingest.decode import JsonDecoder
from tests.builders.ingest import SHARD, kinesis, packed, payload

_MOST_MS_A_KIB = 5.0
_MOST_GROWTH = 3.0
"""Of the cost a KiB from 4 to 63 KiB: 16 where the cost is quadratic."""


@pytest.fixture(scope="module")
def found() -> dict[str, list[float]]:
    by_kind: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for cost in costs((20, 10, 5, 3)):
        by_kind[cost.kind].append(cost.ms_a_kib)
    return by_kind


def test_no_record_takes_more_than_five_milliseconds_a_kib(
    found: dict[str, list[float]], capfd: pytest.CaptureFixture[str]
) -> None:
    worst = max(found, key=lambda kind: max(found[kind][1:]))
    with capfd.disabled():
        print(f"\nworst of {len(KINDS)} kinds: {worst}, {max(found[worst][1:]):.2f} ms a KiB")
    assert max(found[worst][1:]) < _MOST_MS_A_KIB


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_grows_with_the_size_and_no_faster(found: dict[str, list[float]], kind: str) -> None:
    _, small, _, large = found[kind]
    assert large < _MOST_GROWTH * max(small, 0.1)


@pytest.mark.parametrize("plain", [True, False])
def test_json_encoded_twice_is_rejected_for_what_it_is_within_milliseconds(plain: bool) -> None:
    data = json.dumps(payload(stops=[{"a": "b"}] * 2_400).decode()).encode()
    decoder = JsonDecoder(plain=plain)
    decoder.decode(SHARD, kinesis([data]))
    started_s = time.thread_time()
    rejected = decoder.decode(SHARD, kinesis([data])).rejected
    assert time.thread_time() - started_s < 0.1
    assert rejected.column("reason").to_pylist() == [RejectReason.NOT_JSON.value]
    assert rejected.column("error").to_pylist() == ["not an object but a string; was the JSON encoded twice?"]
    assert rejected.column("data").to_pylist() == [data]


def test_an_aggregate_of_refused_records_is_not_copied_for_each_of_them() -> None:
    records = packed(kinesis([aggregate([(f"key-{n}", b"x" * 100) for n in range(5_000)])]))
    JsonDecoder().decode(SHARD, kinesis([b"x"]))
    before = pa.total_allocated_bytes()
    started_s = time.thread_time()
    rejected = JsonDecoder().decode(SHARD, records).rejected
    assert time.thread_time() - started_s < 1.0
    assert rejected.num_rows == 5_000
    assert rejected.column("sub_sequence").to_pylist() == list(range(5_000))
    assert set(rejected.column("partition_key").to_pylist()) == {"key-0"}
    assert pa.total_allocated_bytes() - before < 5 * 1024 * 1024
