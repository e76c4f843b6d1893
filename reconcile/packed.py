"""How many user records a Kinesis record holds where settings have more unpacked than KPL aggregates.

Written apart from contracts.packing on purpose, as reconcile.aggregate is from contracts.kpl.
"""

import gzip
import io
import re
import zlib
from collections.abc import Collection

import pyarrow as pa

from reconcile.aggregate import parts_of

_MOST_RECORDS = 100_000
_MOST_BYTES = 32 << 20
_GROWTH, _ALWAYS = 64, 64 << 10
_SEVERAL = re.compile(rb"\}[ \t\r\n]*\{")
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_OPEN, _CLOSE, _BLANK = b"{[", b"}]", b" \t\r\n"


class _Whole(ValueError):
    """The record is rejected whole."""


def user_records(data: bytes, unpack: Collection[str]) -> int:
    """User records in a Kinesis record: 1 for one that does not unpack or exceeds a bound."""
    try:
        count = sum(_in_part(part, unpack) for part in parts_of(data))
    except (_Whole, OSError, EOFError, zlib.error):
        return 1
    return count if count <= _MOST_RECORDS else 1


def _in_part(part: bytes, unpack: Collection[str]) -> int:
    limit = min(_MOST_BYTES, max(_ALWAYS, _GROWTH * len(part)))
    if "gzip" in unpack and part[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(part)) as file:
            part = file.read(limit + 1)
    elif "zstd" in unpack and part[:4] == b"\x28\xb5\x2f\xfd":
        with pa.input_stream(pa.py_buffer(part), compression="zstd") as stream:
            part = stream.read(limit + 1)
    if len(part) > limit:
        raise _Whole
    return _objects(part) if "documents" in unpack and _SEVERAL.search(part) else 1


def _objects(data: bytes) -> int:
    """Objects one after the other, by their brackets; 1 where there is anything else or they do not close."""
    count = depth = 0
    text = escaped = False
    for byte in data:
        if text:
            text = escaped or byte != _QUOTE
            escaped = byte == _BACKSLASH and not escaped
        elif byte == _QUOTE:
            text = True
            if depth == 0:
                return 1
        elif byte in _OPEN:
            if depth == 0 and byte != _OPEN[0]:
                return 1
            depth += 1
        elif byte in _CLOSE:
            depth -= 1
            if depth < 0:
                return 1
            count += depth == 0
        elif depth == 0 and byte not in _BLANK:
            return 1
    return count if depth == 0 and not text else 1
