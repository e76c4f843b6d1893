"""The ledger and the leases as the lake reads them: the entries of each shard, and the region's watermark."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.ledger import LeaseRow, LedgerEntry, lease_rows, ledger_entry, region_watermark_ms
from contracts.names import SEQUENCE_DIGITS, leases_table, ledger_table, padded_sequence

_PAST_ALL = "9" * SEQUENCE_DIGITS


def ledger_shards(dynamodb: Any, region: str) -> list[str]:
    """Every shard that has an entry, whether it still has a lease or not.

    The leases do not name them all: an ended shard's lease goes once the stream has forgotten the shard. The scan
    reads one item of each shard: it then goes on behind the last key that the shard could have.
    """
    shards: list[str] = []
    start: dict[str, Any] = {}
    while True:
        answer = dynamodb.scan(
            TableName=ledger_table(region), ConsistentRead=True, Limit=1, ProjectionExpression="shard_id", **start
        )
        shards += [item["shard_id"]["S"] for item in answer["Items"]]
        reached = answer.get("LastEvaluatedKey")
        if not reached:
            return shards
        start = {"ExclusiveStartKey": {"shard_id": reached["shard_id"], "last_seq": {"S": _PAST_ALL}}}


def entries_after(dynamodb: Any, region: str, shard_id: str, last_seq: str) -> Iterator[LedgerEntry]:
    """The shard's entries that end after `last_seq` (all of them where it is empty), in their order."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=ledger_table(region),
        ConsistentRead=True,
        KeyConditionExpression="shard_id = :shard and last_seq > :last",
        ExpressionAttributeValues={":shard": {"S": shard_id}, ":last": {"S": padded_sequence(last_seq)}},
    )
    for page in pages:
        yield from map(ledger_entry, page["Items"])


def leases(dynamodb: Any, region: str) -> list[LeaseRow]:
    """The leases as they are now."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=leases_table(region), ConsistentRead=True)
    return lease_rows(item for page in pages for item in page["Items"])


def leases_watermark(dynamodb: Any, region: str) -> datetime | None:
    """The region's watermark as the leases have it now: every record that arrived before it has landed.

    None while nothing was consumed.
    """
    reached_ms = region_watermark_ms(leases(dynamodb, region))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=reached_ms) if reached_ms else None
