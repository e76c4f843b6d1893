"""How far a region's consumer is behind its stream, read with the region's own credentials.

Reading a stream uses part of its read limit (5 reads/s per shard on AWS), so this is for the embedded stack alone. In
production the consumer's metrics report the same.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts import kpl, names
from contracts.ledger import TRIM_HORIZON, LeaseRow, lease_rows, region_watermark_ms
from contracts.regions import Region
from stack.clients import aws_client
from stack.credentials import Keys

_PAGE_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records on the stream that no ledger entry covers yet.

    lag_ms: the age of the oldest of them by arrival time; 0 where there is none.
    records: user records (those within KPL aggregates counted); None where counting would take too long.
    watermark: the region's; None before anything is consumed.
    """

    lag_ms: int
    records: int | None
    watermark: datetime | None


def read_backlog(region: Region, port: int, keys: Keys, budget_s: float) -> Backlog:
    """The region's backlog now. After `budget_s` seconds at most one page of each shard is read.

    Raises botocore's errors where the stream or the leases cannot be read.
    """
    deadline = time.monotonic() + budget_s
    leases = _leases(region, aws_client("dynamodb", port, keys, region.aws_region))
    kinesis = aws_client("kinesis", port, keys, region.aws_region)
    lag_ms, records, counted = 0, 0, True
    for shard_id in _shards(kinesis, region):
        lease = leases.get(shard_id) or LeaseRow(shard_id=shard_id)
        for number, page in enumerate(_unread_pages(kinesis, region, lease)):
            if number == 0:
                lag_ms = max(lag_ms, _age_ms(page[0]))
            elif time.monotonic() > deadline:
                counted = False
                break
            records += sum(map(_user_records, page))
    return Backlog(lag_ms, records if counted else None, _watermark(list(leases.values())))


def _leases(region: Region, dynamodb: Any) -> dict[str, LeaseRow]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=names.leases_table(region.name), ConsistentRead=True)
    return {row.shard_id: row for row in lease_rows(item for page in pages for item in page["Items"])}


def _shards(kinesis: Any, region: Region) -> list[str]:
    pages = kinesis.get_paginator("list_shards").paginate(StreamName=names.stream(region.name))
    return [shard["ShardId"] for page in pages for shard in page["Shards"]]


def _unread_pages(kinesis: Any, region: Region, lease: LeaseRow) -> Iterator[list[dict[str, Any]]]:
    """Records after the lease's position, in pages that are not empty; none of a shard that has ended."""
    if lease.ended:
        return
    after: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
    if lease.read_position != TRIM_HORIZON:
        after = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": lease.position}
    elif lease.start_ms:
        start = datetime.fromtimestamp(lease.start_ms / 1000, UTC)
        after = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": start}
    where = {"StreamName": names.stream(region.name), "ShardId": lease.shard_id}
    iterator = kinesis.get_shard_iterator(**where, **after)["ShardIterator"]
    while iterator:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=_PAGE_RECORDS)
        if answer["Records"]:
            yield answer["Records"]
        if answer["MillisBehindLatest"] == 0:
            return
        iterator = answer.get("NextShardIterator")


def _user_records(record: dict[str, Any]) -> int:
    data = record["Data"]
    if not kpl.is_aggregate(data):
        return 1
    try:
        return len(kpl.deaggregate(data))
    except kpl.BadAggregate:
        return 1  # It is rejected whole, as one record.


def _age_ms(record: dict[str, Any]) -> int:
    age = datetime.now(UTC) - record["ApproximateArrivalTimestamp"]
    return max(0, int(age.total_seconds() * 1000))


def _watermark(leases: list[LeaseRow]) -> datetime | None:
    ms = region_watermark_ms(leases)
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None
