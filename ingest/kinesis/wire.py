"""Records and shards as Kinesis' JSON writes them, and as the consumer reads them."""

import msgspec
import numpy as np

from ingest.batch import KinesisRecord
from ingest.kinesis.protocol import Shard


class RecordRow(msgspec.Struct, rename="pascal", gc=False):
    """A record."""

    sequence_number: str
    approximate_arrival_timestamp: float
    data: bytes
    partition_key: str


class HashRange(msgspec.Struct, rename="pascal"):
    """A shard's range of hash keys, inclusive."""

    starting_hash_key: str
    ending_hash_key: str


class ChildRow(msgspec.Struct, rename="pascal"):
    """What a shard was split or merged into."""

    shard_id: str
    parent_shards: list[str]
    hash_key_range: HashRange


def kinesis_records(rows: list[RecordRow]) -> list[KinesisRecord]:
    """Records; arrival times to the millisecond."""
    if not rows:
        return []
    seconds = np.fromiter((row.approximate_arrival_timestamp for row in rows), np.float64, len(rows))
    arrivals = np.rint(seconds * 1000).astype(np.int64).tolist()
    return [
        KinesisRecord(row.sequence_number, arrival, row.partition_key, row.data)
        for row, arrival in zip(rows, arrivals, strict=True)
    ]


def child_shard(row: ChildRow) -> Shard:
    """A child shard."""
    keys = row.hash_key_range
    return Shard(row.shard_id, tuple(row.parent_shards), int(keys.starting_hash_key), int(keys.ending_hash_key))
