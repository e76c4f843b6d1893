"""The producer's promises: nothing lost, a device's records in order in one shard, within Kinesis' limits."""

import json
import random
import socket
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Misuse, ServiceFailed, SinkUnavailable, StoreUnavailable
from producer import Limits, Producer, RetryRules
from producer.aggregator import Aggregator
from producer.shards import ShardMap
from tests.builders.devices import ANSWER_LOST, QUICK, even_shards, kinesis_client, scripted_kinesis, unpacked

SMALL = Limits(aggregate_records=7, aggregate_bytes=400, call_records=5, call_bytes=1500)


def numbered(devices: int, records: int) -> list[tuple[str, bytes]]:
    """Records of some devices, each device's numbered from 0."""
    return [
        (f"dev-{n % devices}", json.dumps({"device_id": f"dev-{n % devices}", "n": n // devices}).encode())
        for n in range(records)
    ]


def by_device(user_records: list[bytes]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for data in user_records:
        record = json.loads(data)
        found[record["device_id"]].append(record["n"])
    return found


def test_each_devices_records_arrive_once_and_in_order_in_one_shard() -> None:
    with scripted_kinesis(shards=4) as (kinesis, client):
        with Producer(client, "telemetry-eu", limits=SMALL, rules=QUICK) as producer:
            for start in range(0, 2000, 90):
                producer.put(numbered(17, 2000)[start : start + 90])
        assert by_device(kinesis.user_records()) == by_device([data for _, data in numbered(17, 2000)])
        homes = defaultdict(set)
        for shard, held in kinesis.accepted.items():
            for record in held:
                for data in unpacked(record):
                    homes[json.loads(data)["device_id"]].add(shard)
        assert {len(shards) for shards in homes.values()} == {1}
        assert len(kinesis.accepted) == 4
    assert producer.report.records == 2000
    assert producer.report.bytes == sum(len(data) for _, data in numbered(17, 2000))


@pytest.mark.parametrize(
    "refusal",
    [(400, "ProvisionedThroughputExceededException"), (500, "InternalFailure"), (503, "ServiceUnavailable")],
    ids=["throttled", "internal", "unavailable"],
)
def test_calls_that_are_refused_whole_keep_the_order(refusal: tuple[int, str]) -> None:
    def refuse(call: int, records: list[Any]) -> Any:
        return refusal if call % 3 else None

    with scripted_kinesis(refuse=refuse) as (kinesis, client):
        with Producer(client, "telemetry-eu", limits=SMALL, rules=QUICK) as producer:
            producer.put(numbered(5, 600))
        assert by_device(kinesis.user_records()) == by_device([data for _, data in numbered(5, 600)])
    assert producer.report.failed_calls > 0
    assert producer.report.calls == len(kinesis.calls)


def test_records_that_are_refused_singly_are_sent_again_and_none_twice() -> None:
    dice = random.Random(11)

    def refuse(call: int, records: list[Any]) -> Any:
        return {place for place in range(len(records)) if dice.random() < 0.4}

    with scripted_kinesis(refuse=refuse) as (kinesis, client):
        with Producer(client, "telemetry-eu", limits=SMALL, rules=QUICK) as producer:
            producer.put(numbered(5, 900))
        assert sorted(kinesis.user_records()) == sorted(data for _, data in numbered(5, 900))
    assert producer.report.throttled > 0


def test_a_call_whose_answer_is_lost_is_sent_again_and_nothing_is_lost() -> None:
    with scripted_kinesis(refuse=lambda call, records: ANSWER_LOST if call % 4 == 1 else None) as (kinesis, client):
        with Producer(client, "telemetry-eu", limits=SMALL, rules=QUICK) as producer:
            producer.put(numbered(5, 300))
        arrived = kinesis.user_records()
    assert set(arrived) == {data for _, data in numbered(5, 300)}
    assert len(arrived) > 300
    assert producer.report.failed_calls > 0


def test_a_call_starts_only_when_the_one_before_is_through() -> None:
    """So that a record refused in one call stays ahead of all records of later calls."""
    refused: list[str] = []

    def refuse(call: int, records: list[Any]) -> Any:
        if refused:
            return None
        refused.append(records[0]["Data"])
        return {0}

    with scripted_kinesis(shards=1, refuse=refuse) as (kinesis, client):
        with Producer(client, "telemetry-eu", limits=SMALL, rules=QUICK) as producer:
            producer.put(numbered(3, 400))
        order = [record["Data"] for record in kinesis.accepted["shardId-000000000000"]]
    assert order.index(refused[0]) == kinesis.calls[0] - 1


def test_it_gives_up_when_nothing_is_accepted_for_long() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    rules = RetryRules(give_up_s=30.0, sleep=sleep, clock=lambda: now[0])
    with (
        scripted_kinesis(refuse=lambda call, records: set(range(len(records)))) as (_, client),
        pytest.raises(StoreUnavailable, match="took none of 1 records of telemetry-eu for 30 s"),
        Producer(client, "telemetry-eu", rules=rules) as producer,
    ):
        producer.put([("dev-1", b"{}")])
    assert 30 <= now[0] < 40


def test_it_does_not_give_up_while_some_are_accepted() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 20.0

    rules = RetryRules(give_up_s=30.0, sleep=sleep, clock=lambda: now[0])
    all_but_one = scripted_kinesis(shards=1, refuse=lambda call, records: set(range(1, len(records))))
    with all_but_one as (kinesis, client), Producer(client, "s", aggregated=False, rules=rules) as producer:
        producer.put(numbered(1, 12))
        producer.flush()
        assert by_device(kinesis.user_records()) == {"dev-0": list(range(12))}
    assert now[0] > 200


def test_a_refusal_that_does_not_pass_is_said_at_once() -> None:
    refused = scripted_kinesis(refuse=lambda call, records: (400, "AccessDeniedException"))
    with refused as (kinesis, client):
        with (
            pytest.raises(SinkUnavailable, match="refuses records for telemetry-eu: AccessDeniedException"),
            Producer(client, "telemetry-eu", rules=QUICK) as producer,
        ):
            producer.put([("dev-1", b"{}")])
        assert len(kinesis.calls) == 1


def test_kinesis_down_is_said_at_the_start() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = kinesis_client(f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(StoreUnavailable, match="does not answer for telemetry-eu"):
        Producer(client, "telemetry-eu")


def test_a_resharded_stream_is_noticed() -> None:
    with scripted_kinesis(shards=2) as (kinesis, client):
        with Producer(client, "telemetry-eu", limits=SMALL, rules=QUICK) as producer:
            producer.put(numbered(9, 200))
            producer.flush()
            closed = {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"}
            kinesis.shards = [shard | {"SequenceNumberRange": closed} for shard in kinesis.shards] + even_shards(4, 2)
            for start in range(200, 900, 100):
                producer.put(numbered(9, 900)[start : start + 100])
        now = ShardMap(kinesis.shards)
        newest = [(shard, json.loads(data)) for shard, data in kinesis.routed() if json.loads(data)["n"] >= 80]
        assert {shard for shard, _ in newest} <= set(now.shard_ids)
        assert all(shard == now.shard_ids[now.index_of(record["device_id"])] for shard, record in newest)
        assert sorted(kinesis.user_records()) == sorted(data for _, data in numbered(9, 900))


def test_a_user_record_above_the_contract_is_sent_as_it_is() -> None:
    large = b'{"device_id":"dev-1","signals":"' + b"x" * 90_000 + b'"}'
    with scripted_kinesis() as (kinesis, client):
        with Producer(client, "telemetry-eu", rules=QUICK) as producer:
            producer.put([("dev-1", b"{}"), ("dev-1", large), ("dev-1", b"[]")])
        assert kinesis.user_records() == [b"{}", large, b"[]"]


def test_a_record_that_no_kinesis_record_holds_is_misuse() -> None:
    with (
        scripted_kinesis() as (_, client),
        pytest.raises(Misuse, match="1048576 bytes cannot be put"),
        Producer(client, "telemetry-eu", rules=QUICK) as producer,
    ):
        producer.put([("dev-1", b"x" * 1024 * 1024)])


def test_plain_mode_sends_one_kinesis_record_a_user_record() -> None:
    with scripted_kinesis() as (kinesis, client):
        with Producer(client, "telemetry-eu", aggregated=False, rules=QUICK) as producer:
            producer.put(numbered(4, 50))
        assert sum(len(held) for held in kinesis.accepted.values()) == 50
    assert producer.report.kinesis_records == 50


@given(
    sizes=st.lists(st.integers(0, 700), max_size=120),
    aggregated=st.booleans(),
    cuts=st.lists(st.integers(1, 40), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_aggregates_keep_every_record_in_order_within_the_limits(
    sizes: list[int], aggregated: bool, cuts: list[int]
) -> None:
    records = [(f"d{place % 5}", bytes([place % 250]) * size) for place, size in enumerate(sizes)]
    held, calls, left = Aggregator(SMALL, aggregated=aggregated), [], records
    for cut in cuts:
        calls += held.add(left[:cut])
        left = left[cut:]
    calls += held.add(left) + held.flush()
    entries = [entry for call in calls for entry in call]
    out = [data for entry in entries for data in _user_records(entry.data)]
    assert out == [data for _, data in records]
    assert held.flush() == []
    for call in calls:
        assert 1 <= len(call) <= SMALL.call_records
        assert len(call) == 1 or sum(entry.size for entry in call) <= SMALL.call_bytes
    for entry in entries:
        assert entry.user_records <= (SMALL.aggregate_records if aggregated else 1)


def _user_records(data: bytes) -> Any:
    from contracts import kpl

    return kpl.deaggregate(data) if kpl.is_aggregate(data) else [data]


@given(key=st.text(min_size=1, max_size=40), shards=st.integers(1, 37))
@settings(max_examples=100, deadline=None)
def test_a_keys_shard_is_the_one_whose_range_holds_its_hash(key: str, shards: int) -> None:
    from hashlib import md5

    listed = even_shards(shards)
    place = int(md5(key.encode()).hexdigest(), 16)
    expected = [
        shard["ShardId"]
        for shard in listed
        if int(shard["HashKeyRange"]["StartingHashKey"]) <= place <= int(shard["HashKeyRange"]["EndingHashKey"])
    ]
    found = ShardMap(list(reversed(listed)))
    assert [found.shard_ids[found.index_of(key)]] == expected


def test_shards_that_leave_a_gap_are_not_trusted() -> None:
    with pytest.raises(ServiceFailed, match="do not cover the hash keys"):
        ShardMap(even_shards(4)[:3])
