"""How many user records a Kinesis record holds, counted without decoding them.

Written apart from contracts.kpl and from the consumer on purpose: a reconciliation that shared their code would
share their mistakes. The format is the Kinesis Producer Library's: F3 89 9A C2, a protobuf message whose field 3
repeats once a user record (each with its key's index as field 1 and its bytes as field 3), and the message's MD5.
"""

from collections.abc import Iterator
from hashlib import md5

_MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST = 16
_MOST_RECORDS = 100_000
_MOST_BYTES = 10 << 20
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5
_RECORD_FIELD = 3
_TAGS_FIELD = 4
_TAG = b"\n\x03via\x12\x07gateway"
_MORE = 0x80
"""The bit of a varint's byte that says that another follows."""
_SMALL_INDEX_THEN_DATA = (0x08, 0x1A)
"""How nearly every record within an aggregate starts: tag of its index, the index in one byte, tag of its data."""


class _Malformed(ValueError):
    """No protobuf message."""


def user_records(data: bytes) -> int:
    """User records in a Kinesis record: 1 for a plain one, and 1 for an aggregate that is broken or over the caps."""
    places = _places(data)
    return 1 if places is None else len(places)


def from_gateway(data: bytes) -> int:
    """User records of a Kinesis record that carry the gateway's tag: its tags, field 4, have `via` with `gateway`."""
    if _TAG not in data:
        return 0
    body = data[len(_MAGIC) : -_DIGEST]
    return sum(
        any(field == _TAGS_FIELD and body[begin:stop] == _TAG for field, begin, stop in _fields(body, start, end))
        for start, end in _places(data) or ()
    )


def parts_of(data: bytes) -> list[bytes]:
    """The bytes of these user records."""
    places = _places(data)
    if places is None:
        return [data]
    body = data[len(_MAGIC) : -_DIGEST]
    return [_data_of(body, start, end) for start, end in places]


def _places(data: bytes) -> list[tuple[int, int]] | None:
    """Where each user record's message is in the body; None where the Kinesis record is one user record."""
    if not data.startswith(_MAGIC):
        return None
    body = data[len(_MAGIC) : -_DIGEST]
    if len(data) > _MOST_BYTES or md5(body, usedforsecurity=False).digest() != data[-_DIGEST:]:
        return None
    try:
        found = [
            (start, end) for field, start, end in _fields(body, 0, len(body)) if _is_record(body, field, start, end)
        ]
    except (_Malformed, IndexError):
        return None
    return found if len(found) <= _MOST_RECORDS else None


def _data_of(body: bytes, start: int, end: int) -> bytes:
    """A record's bytes: the last field 3 counts."""
    data = b""
    for field, begin, stop in _fields(body, start, end):
        if field == _RECORD_FIELD:
            data = body[begin:stop]
    return data


def _is_record(body: bytes, field: int, start: int, end: int) -> bool:
    if field != _RECORD_FIELD:
        return False
    if start + 2 < end and (body[start], body[start + 2]) == _SMALL_INDEX_THEN_DATA and body[start + 1] < _MORE:
        return True
    present = {field for field, _, _ in _fields(body, start, end)}
    if not present >= {1, _RECORD_FIELD}:
        raise _Malformed("a record without index or data")
    return True


def _fields(body: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start and end of its value) of each field of the message body[at:end]."""
    while at < end:
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == _SIZED:
            size, at = _varint(body, at)
            start, at = at, at + size
        elif wire == _VARINT:
            start = at
            _, at = _varint(body, at)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            start, at = at, at + (8 if wire == _EIGHT_BYTES else 4)
        else:
            raise _Malformed(f"wire type {wire}")
        if at > end:
            raise _Malformed("a field runs over the end")
        yield tag >> 3, start, at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    byte = body[at]
    if byte < _MORE:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = body[at]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, at + 1
        shift += 7
        if shift > 63:  # noqa: PLR2004 - a varint has at most ten bytes
            raise _Malformed("an endless number")
