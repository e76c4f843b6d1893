"""A device's moments of one hour as one binary value, and back: what a day that fills up is derived from again."""

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts.derived import PACKED_FORM
from contracts.errors import SchemaMismatch
from lake.derive.motion.moments import Moments
from lake.derive.motion.readings import UNKNOWN

HOUR_US = 3_600_000_000
_HEADER = struct.Struct("<BHIq")
"""PACKED_FORM, which columns follow (a bit each), how many moments, the hour in epoch microseconds."""
_COLUMNS: tuple[tuple[str, str, float], ...] = (
    ("lat", "f8", np.nan),
    ("lon", "f8", np.nan),
    ("speed", "f8", np.nan),
    ("odometer", "f8", np.nan),
    ("engine", "i1", UNKNOWN),
    ("fuel", "f8", np.nan),
    ("fuel_level", "f8", np.nan),
    ("records", "u4", 1),
    ("flagged", "u4", 0),
    ("late", "u4", 0),
)
"""Column of Moments, type in the packed form, and the value that a column which is left out has everywhere."""
_IN_MEMORY = {"i1": np.int8, "u4": np.int64, "f8": np.float64}


def hours_of(moments: Moments) -> Iterator[tuple[int, Moments]]:
    """Each UTC hour in which there is a moment, in epoch microseconds, and its moments; in order."""
    hours = moments.ts // HOUR_US
    edges = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]
    for low, high in pairwise(edges):
        if high > low:
            yield int(hours[low]) * HOUR_US, Moments(*(column[low:high] for column in moments))


def pack(hour_us: int, moments: Moments) -> bytes:
    """These moments of one hour, columns without information left out, compressed with zstd."""
    parts, present = [(moments.ts - hour_us).astype("<u4").tobytes()], 0
    for place, (name, kind, nothing) in enumerate(_COLUMNS):
        values = getattr(moments, name)
        if not _says_nothing(values, nothing):
            present |= 1 << place
            parts.append(values.astype(f"<{kind}").tobytes())
    body: bytes = pa.compress(b"".join(parts), codec="zstd", asbytes=True)
    return _HEADER.pack(PACKED_FORM, present, len(moments.ts), hour_us) + body


def unpack(values: Iterable[bytes]) -> Moments:
    """The moments of several packed hours of one device, in the order given. Raises SchemaMismatch for another form."""
    hours = [_unpack_hour(value) for value in values]
    return Moments(*(np.concatenate(column) for column in zip(*hours, strict=True)))


def _unpack_hour(value: bytes) -> Moments:
    form, present, count, hour_us = _HEADER.unpack_from(value)
    if form != PACKED_FORM:
        raise SchemaMismatch(f"a packed hour has form {form}, this release reads {PACKED_FORM}: derive its day again")
    kinds = [kind for place, (_, kind, _) in enumerate(_COLUMNS) if present >> place & 1]
    size = count * (4 + sum(int(kind[1]) for kind in kinds))
    body = memoryview(pa.decompress(pa.py_buffer(value).slice(_HEADER.size), size, codec="zstd"))
    columns = {"ts": np.frombuffer(body, "<u4", count).astype(np.int64) + hour_us}
    at = 4 * count
    for place, (name, kind, nothing) in enumerate(_COLUMNS):
        if present >> place & 1:
            columns[name] = np.frombuffer(body, f"<{kind}", count, at).astype(_IN_MEMORY[kind])
            at += count * int(kind[1])
        else:
            columns[name] = np.full(count, nothing, _IN_MEMORY[kind])
    return Moments(*(columns[name] for name in Moments._fields))


def _says_nothing(values: npt.NDArray[np.float64], nothing: float) -> bool:
    return bool(np.isnan(values).all() if nothing != nothing else (values == nothing).all())  # noqa: PLR0124
