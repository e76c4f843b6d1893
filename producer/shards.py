"""The shard of a partition key, chosen as Kinesis does: the MD5 of the key in the shards' hash-key ranges."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from hashlib import md5
from typing import Any

from contracts.errors import ServiceFailed

HASH_KEYS = 1 << 128
MAX_KNOWN_KEYS = 1_000_000
"""Size of the cache of keys; the shard of any further key is computed each time."""


class ShardMap:
    """The open shards of a stream by hash-key range."""

    def __init__(self, shards: Sequence[Mapping[str, Any]]) -> None:
        """shards: as ListShards returns them; closed ones (with an ending sequence number) are ignored.

        Raises ServiceFailed where the open shards do not cover the hash keys, or overlap.
        """
        ranges = sorted(
            (
                int(shard["HashKeyRange"]["StartingHashKey"]),
                int(shard["HashKeyRange"]["EndingHashKey"]),
                shard["ShardId"],
            )
            for shard in shards
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        )
        ends = [0, *(end + 1 for _, end, _ in ranges)]
        if not ranges or [start for start, _, _ in ranges] != ends[:-1] or ends[-1] != HASH_KEYS:
            raise ServiceFailed(f"the stream's {len(ranges)} open shards do not cover the hash keys; try again")
        self.shard_ids: tuple[str, ...] = tuple(shard_id for _, _, shard_id in ranges)
        self._starts = [start for start, _, _ in ranges]
        self._known: dict[str, int] = {}

    def index_of(self, partition_key: str) -> int:
        """Index in shard_ids of the key's shard."""
        index = self._known.get(partition_key)
        if index is None:
            digest = md5(partition_key.encode(), usedforsecurity=False).digest()
            index = bisect_right(self._starts, int.from_bytes(digest)) - 1
            if len(self._known) < MAX_KNOWN_KEYS:
                self._known[partition_key] = index
        return index


def list_shards(client: Any, stream: str) -> ShardMap:
    """The stream's open shards. Raises botocore's errors."""
    shards: list[Mapping[str, Any]] = []
    answer = client.list_shards(StreamName=stream)
    shards.extend(answer["Shards"])
    while token := answer.get("NextToken"):
        answer = client.list_shards(NextToken=token)
        shards.extend(answer["Shards"])
    return ShardMap(shards)
