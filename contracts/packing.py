"""User records packed into a Kinesis record: KPL frames always, and, where settings say so, gzip, zstd and several JSON
documents in a row.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from contracts.kpl import MAX_USER_RECORDS, BadAggregate, deaggregate, is_aggregate
from contracts.names import DOCUMENTS, GZIP, ZSTD

MAGICS: dict[str, bytes] = {GZIP: b"\x1f\x8b", ZSTD: b"\x28\xb5\x2f\xfd"}
"""How compressed records begin; no JSON does, and no KPL frame."""
MAX_UNPACKED_BYTES = 32 * 1024 * 1024
MAX_GROWTH = 64
"""A record may not become larger, nor more times its size: what does is a bomb, and is rejected."""
_SMALL = 64 * 1024
"""What may come of any record, however small it is: a record's own bound."""
_SEAM = re.compile(rb"\}[ \t\r\n]*\{")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BLANKS = b" \t\r\n"


class BadPacking(BadAggregate):
    """A compressed record does not decompress, or becomes too large."""


class UnpackedTooLarge(BadPacking):
    """A compressed record becomes too large."""


def users_in(data: bytes, packings: Iterable[str] = ()) -> Sequence[bytes]:
    """The user records of a Kinesis record, in their order. Raises BadAggregate where it has to be taken whole."""
    parts = deaggregate(data) if is_aggregate(data) else [data]
    if not packings:
        return parts
    users: list[bytes] = []
    for part in parts:
        whole = decompressed(part, packings)
        users += (documents(whole) if DOCUMENTS in packings else None) or [whole]
    if len(users) > MAX_USER_RECORDS:
        raise BadPacking(f"{len(users)} user records exceed {MAX_USER_RECORDS}")
    return users


def decompressed(data: bytes, packings: Iterable[str], most: int = MAX_UNPACKED_BYTES) -> bytes:
    """The bytes within, where they are compressed in a way that is unpacked; else the bytes. Raises BadPacking.

    No more than `most` bytes are unpacked, whatever is within.
    """
    limit = min(most, max(_SMALL, MAX_GROWTH * len(data)))
    if GZIP in packings and data.startswith(MAGICS[GZIP]):
        return _gunzipped(data, limit)
    if ZSTD in packings and data.startswith(MAGICS[ZSTD]):
        try:
            with pa.CompressedInputStream(pa.BufferReader(data), ZSTD) as stream:
                return _bounded(stream.read(limit + 1), limit, ZSTD)
        except OSError:
            raise BadPacking("zstd: the data is broken") from None
    return data


def documents(data: bytes) -> list[bytes] | None:
    """The JSON objects of a record that holds several, one after the other or each on a line; None for any other."""
    if _SEAM.search(data) is None:
        return None
    # Strings lose their brackets and keep their length.
    masked = _STRING.sub(lambda found: b'"' * len(found.group()), data)
    buf = np.frombuffer(masked, np.uint8)
    opens, closes = (np.isin(buf, [ord(letter) for letter in pair]) for pair in ("{[", "}]"))
    depth = np.cumsum(opens.astype(np.int32) - closes)
    ends = np.flatnonzero(closes & (depth == 0)) + 1
    if len(ends) < 2 or depth[-1] or (depth < 0).any():  # noqa: PLR2004
        return None
    bounds = [0, *ends.tolist()]
    found = [data[start:end].strip(_BLANKS) for start, end in pairwise(bounds)]
    whole = all(document.startswith(b"{") for document in found) and not data[bounds[-1] :].strip(_BLANKS)
    return found if whole else None


def _gunzipped(data: bytes, limit: int) -> bytes:
    out, left = b"", data
    while left:
        unzip = zlib.decompressobj(31)
        try:
            out = _bounded(out + unzip.decompress(left, limit + 1 - len(out)), limit, GZIP)
        except zlib.error:
            raise BadPacking("gzip: the data is broken") from None
        if not unzip.eof:
            raise BadPacking("gzip: the data ends too soon")
        left = unzip.unused_data.lstrip(b"\0")  # files are padded so
    return out


def _bounded(out: bytes, limit: int, kind: str) -> bytes:
    if len(out) > limit:
        raise UnpackedTooLarge(f"{kind}: unpacked it exceeds {limit} bytes")
    return out
