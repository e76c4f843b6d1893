"""Reading a Kinesis stream: the client, an in-memory stream that behaves as Kinesis does, and a paced cursor."""

from ingest.kinesis.cursor import ReadLimits, ShardCursor
from ingest.kinesis.protocol import (
    IteratorExpired,
    Records,
    Shard,
    ShardGone,
    Start,
    StreamClient,
    StreamDescription,
    StreamUnavailable,
    Throttled,
)

__all__ = [
    "IteratorExpired",
    "ReadLimits",
    "Records",
    "Shard",
    "ShardCursor",
    "ShardGone",
    "Start",
    "StreamClient",
    "StreamDescription",
    "StreamUnavailable",
    "Throttled",
]
