"""What the stack adds to the Kinesis emulator."""

import time

import pytest

from stack.emulator.answers import MOST_BYTES, fitting
from stack.emulator.expiry import _expire_records
from stack.emulator.snapshots import _only_reads


def stream_of(*ages_h, retention_h=24):
    now = time.time()
    records = [{"ApproximateArrivalTimestamp": now - age_h * 3600, "age_h": age_h} for age_h in ages_h]
    return {"RetentionPeriodHours": retention_h, "shards": {"shardId-0": {"records": records}}}


@pytest.mark.parametrize(
    ("ages_h", "left"),
    [((), []), ((1, 0), [1, 0]), ((30, 25, 23, 0), [23, 0]), ((30, 25), [])],
)
def test_records_expire_after_the_retention_and_no_others(ages_h, left):
    stream = stream_of(*ages_h)
    _expire_records(stream)
    assert [record["age_h"] for record in stream["shards"]["shardId-0"]["records"]] == left


def test_a_stream_without_expired_records_is_not_copied():
    stream = stream_of(2, 1)
    before = stream["shards"]["shardId-0"]["records"]
    _expire_records(stream)
    assert stream["shards"]["shardId-0"]["records"] is before


@pytest.mark.parametrize(
    ("target", "reads"),
    [
        ("Kinesis_20131202.GetRecords", True),
        ("Kinesis_20131202.PutRecords", False),
        ("DynamoDB_20120810.Query", True),
        ("DynamoDB_20120810.TransactGetItems", True),
        ("DynamoDB_20120810.TransactWriteItems", False),
        ("DynamoDB_20120810.BatchWriteItem", False),
        ("", False),
    ],
)
def test_only_what_can_change_something_asks_for_a_snapshot(target, reads):
    scope = {"method": "POST", "headers": [(b"x-amz-target", target.encode())]}
    assert _only_reads(scope) is reads


@pytest.mark.parametrize(
    ("sizes", "fit"), [((), 0), ((1, 1), 2), ((MOST_BYTES // 4,) * 6, 3), ((2 * MOST_BYTES, 1), 1)]
)
def test_an_answer_ends_at_ten_mib_as_kinesis_does(sizes, fit):
    assert fitting([{"Data": b"x" * size, "PartitionKey": "k"} for size in sizes]) == fit
