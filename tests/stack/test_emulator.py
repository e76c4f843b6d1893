"""What the stack adds to the Kinesis emulator."""

import time

import pytest

from stack.emulator.answers import MOST_BYTES, fitting
from stack.emulator.expiry import Expiry
from stack.emulator.snapshots import _nothing_new


def stream_of(*ages_h, retention_h=24):
    now = time.time()
    records = [{"ApproximateArrivalTimestamp": now - age_h * 3600, "age_h": age_h} for age_h in ages_h]
    return {"StreamARN": "arn", "RetentionPeriodHours": retention_h, "shards": {"shardId-0": {"records": records}}}


@pytest.mark.parametrize(
    ("ages_h", "left"),
    [((), []), ((1, 0), [1, 0]), ((30, 25, 23, 0), [23, 0]), ((30, 25), [])],
)
def test_records_expire_after_the_retention_and_no_others(ages_h, left):
    stream = stream_of(*ages_h)
    Expiry({}).expire(stream)
    assert [record["age_h"] for record in stream["shards"]["shardId-0"]["records"]] == left


def test_a_stream_without_expired_records_is_not_copied():
    stream = stream_of(2, 1)
    before = stream["shards"]["shardId-0"]["records"]
    Expiry({}).expire(stream)
    assert stream["shards"]["shardId-0"]["records"] is before


def test_a_reader_misses_nothing_when_records_that_it_has_read_expire():
    """It has read the two that expire, and one of the two that stay."""
    stream = stream_of(30, 25, 2, 1)
    place = {"stream_arn": "arn", "shard_id": "shardId-0", "position": 3}
    behind, elsewhere = {**place, "position": 1}, {**place, "shard_id": "shardId-1"}
    Expiry({"a": place, "b": behind, "c": elsewhere}).expire(stream)
    records = stream["shards"]["shardId-0"]["records"]
    assert [record["age_h"] for record in records[place["position"] :]] == [1]
    assert (behind["position"], elsewhere["position"]) == (0, 3)


@pytest.mark.parametrize(
    ("target", "reads"),
    [
        ("Kinesis_20131202.GetRecords", True),
        ("Kinesis_20131202.PutRecords", True),
        ("Kinesis_20131202.SplitShard", False),
        ("DynamoDB_20120810.PutItem", False),
        ("DynamoDB_20120810.Query", True),
        ("DynamoDB_20120810.TransactGetItems", True),
        ("DynamoDB_20120810.TransactWriteItems", False),
        ("DynamoDB_20120810.BatchWriteItem", False),
        ("", False),
    ],
)
def test_only_what_can_change_something_asks_for_a_snapshot(target, reads):
    scope = {"method": "POST", "headers": [(b"x-amz-target", target.encode())]}
    assert _nothing_new(scope) is reads


@pytest.mark.parametrize(
    ("sizes", "fit"), [((), 0), ((1, 1), 2), ((MOST_BYTES // 4,) * 6, 3), ((2 * MOST_BYTES, 1), 1)]
)
def test_an_answer_ends_at_ten_mib_as_kinesis_does(sizes, fit):
    assert fitting([{"Data": b"x" * size, "PartitionKey": "k"} for size in sizes]) == fit
