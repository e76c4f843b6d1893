"""The ledger as the lake reads it: which shards have entries, and the entries of one shard after a position."""

from collections.abc import Iterator
from typing import Any

from contracts.ledger import LedgerEntry, ledger_entry
from contracts.names import SEQUENCE_DIGITS, ledger_table, padded_sequence

_PAST_ALL = "9" * SEQUENCE_DIGITS


def ledger_shards(dynamodb: Any, region: str) -> list[str]:
    """Every shard that has an entry, whether it still has a lease or not.

    The leases are no list of them: an ended shard's row goes once the stream has forgotten it. One item is read a
    shard: after each, the scan goes on behind the last key that the shard could have.
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
