"""The origin of a record that was put back, in its partition key; the device's bytes stay unchanged.

`replayed:ROUTE:SHARD:SEQUENCE:SUB`: ROUTE is the hash key of the first partition key (32 hexadecimal digits), the rest
is the position at which the record was rejected. The decoder keeps partition keys of what it rejects, so a record that
is rejected again names its origin in rejected/ too.
"""

import re
from hashlib import md5
from typing import NamedTuple

_FORM = re.compile(r"replayed:(?P<route>[0-9a-f]{32}):(?P<shard>[^:]+):(?P<sequence>\d+):(?P<sub>\d+)")


class Position(NamedTuple):
    """The position of a user record on the stream."""

    shard_id: str
    sequence_number: str
    sub_sequence: int


def origin_key(partition_key: str | None, rejected_at: Position) -> str:
    """The partition key with which a record that was rejected at this position is put back."""
    return f"replayed:{route_of(partition_key):032x}:{':'.join(map(str, rejected_at))}"


def origin_of(partition_key: str | None) -> Position | None:
    """The position at which a record with this partition key was rejected; None for a device's own key."""
    found = _FORM.fullmatch(partition_key or "")
    return None if found is None else Position(found["shard"], found["sequence"], int(found["sub"]))


def route_of(partition_key: str | None) -> int:
    """The hash key that the record had at first, so that it goes to the shard of its device's other records.

    Kinesis hashes a partition key by MD5.
    """
    found = _FORM.fullmatch(partition_key or "")
    if found is not None:
        return int(found["route"], 16)
    return int.from_bytes(md5((partition_key or "").encode(), usedforsecurity=False).digest())
