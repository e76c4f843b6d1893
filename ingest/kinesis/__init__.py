"""Reading a Kinesis stream: the client, an in-memory stream that behaves as Kinesis does, and a paced cursor."""

from ingest.kinesis.cursor import ReadLimits, ShardCursor
from ingest.kinesis.protocol import (
    AnswerTooLarge,
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
    "AnswerTooLarge",
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
