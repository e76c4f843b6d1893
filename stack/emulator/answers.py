"""Answers of GetRecords that end at 10 MiB, as Kinesis' do.

ministack 1.5 gives as many records as it is asked for: 10,000 of 400 KB are 4 GB in one body, here and at the reader.
"""

from collections.abc import Sequence
from typing import Any

MOST_BYTES = 10 * 1024 * 1024
_MOST_RECORDS = 10_000


def cut_answers() -> None:
    """Have ministack's GetRecords asked for no more records than fit."""
    from ministack.services import kinesis

    ministacks_own = kinesis._get_records

    def get_records(data: dict[str, Any]) -> Any:
        limit = min(int(data.get("Limit", _MOST_RECORDS)), _MOST_RECORDS)
        state = kinesis._shard_iterators.get(data.get("ShardIterator"))
        stream = kinesis._streams.get(state["stream"]) if state else None
        shard = stream["shards"].get(state["shard_id"]) if stream else None
        if shard:
            limit = fitting(shard["records"][state["position"] : state["position"] + limit])
        return ministacks_own({**data, "Limit": max(1, limit)})

    kinesis._get_records = get_records


def fitting(records: Sequence[dict[str, Any]]) -> int:
    """How many of the first records are at most MOST_BYTES of data and keys; one at least, where there is one."""
    size = 0
    for count, record in enumerate(records):
        data = record["Data"]
        size += len(data) * 3 // 4 if isinstance(data, str) else len(data)
        size += len(record["PartitionKey"])
        if size > MOST_BYTES and count:
            return count
    return len(records)
