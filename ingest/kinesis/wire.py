"""Shards in Kinesis' JSON, and as Shard."""

import msgspec

from ingest.kinesis.protocol import Shard


class HashRange(msgspec.Struct, rename="pascal"):
    """A shard's range of hash keys, inclusive."""

    starting_hash_key: str
    ending_hash_key: str


class ChildRow(msgspec.Struct, rename="pascal"):
    """A child of a split or merged shard."""

    shard_id: str
    parent_shards: list[str]
    hash_key_range: HashRange


def child_shard(row: ChildRow) -> Shard:
    """The row as a Shard."""
    keys = row.hash_key_range
    return Shard(row.shard_id, tuple(row.parent_shards), int(keys.starting_hash_key), int(keys.ending_hash_key))
