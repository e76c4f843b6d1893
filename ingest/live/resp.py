"""Encodes commands for many devices in RESP, Redis' wire format: columns of arguments become one buffer, cut into
transactions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.names import (
    redis_changed,
    redis_epoch,
    redis_geo,
    redis_latest,
    redis_rebuilds,
    redis_seen,
    redis_trail,
    redis_writes,
)
from ingest.live.places import geo_scores
from ingest.live.points import point_frames
from ingest.live.selection import Selection
from ingest.live.timetext import MS_DIGITS, fixed_texts, ms_digits
from ingest.live.values import latest_values

MAX_ITEMS = 500
"""Devices and points in one transaction: it blocks the server, so it should take a few milliseconds at most."""
_FIXED_ARGUMENTS = 4
_ARGUMENTS_A_DEVICE = 2
_BEGIN, _COMMIT = b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n"
_END = pa.scalar(b"\r\n")
_NOTHING = pa.scalar(b"")
_OWN, _OTHER = ord("1"), ord("0")
_COMMANDS_A_TRAIL = 2
_ADD = pa.scalar(b"$4\r\nZADD\r\n")
_TRIM = pa.scalar(b"*4\r\n$15\r\nZREMRANGEBYRANK\r\n")


@dataclass(slots=True)
class Writer:
    """A client that writes, and how many of its transactions the server has acknowledged."""

    name: str
    acknowledged: int = 0
    changes: int = 0
    """Entries that the stream of changes keeps; 0 does not write it."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One MULTI ... EXEC block, with write.lua as its last command."""

    buffers: list[bytes | memoryview]
    """Bytes to send, in this order."""
    queued: int
    """Commands between MULTI and EXEC."""


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """All devices' arguments in RESP; columns have one element per device unless noted otherwise."""

    region: str
    key: pa.BinaryArray
    """Key of the newest record."""
    arguments: tuple[pa.BinaryArray, ...]
    """Columns of write.lua's per-device arguments, in its order."""
    own: bytes
    """One byte per device: "1" if the newest record is also the newest position."""
    seen: pa.BinaryArray
    """Latest arrival and id: what ZADD takes."""
    trails: pa.BinaryArray
    """Commands that add points to a trail and trim it: one element per device that has points."""
    point_counts: np.ndarray

    def transactions(self, sha: bytes, writer: Writer) -> Iterator[Transaction]:
        """Transactions that together write each device once."""
        trail_ends = np.cumsum(self.point_counts > 0)
        for start, stop in _transaction_bounds(self.point_counts):
            first_trail, last_trail = int(trail_ends[start - 1]) if start else 0, int(trail_ends[stop - 1])
            script: list[bytes | memoryview] = [
                self._head(sha, writer.name, stop - start),
                _bytes_of(self.key, start, stop),
                _bulk(b"%d" % len(redis_latest(self.region, ""))),
                _bulk(b"%d" % writer.acknowledged),
                _bulk(self.own[start:stop]),
                _bulk(b"%d" % writer.changes),
                *(_bytes_of(column, start, stop) for column in self.arguments),
            ]
            trails = _bytes_of(self.trails, first_trail, last_trail)
            seen: list[bytes | memoryview] = [self._seen_head(stop - start), _bytes_of(self.seen, start, stop)]
            queued = _COMMANDS_A_TRAIL * (last_trail - first_trail) + 2
            yield Transaction([_BEGIN, trails, *seen, *script, _COMMIT], queued)

    def _seen_head(self, devices: int) -> bytes:
        words = b"ZADD", redis_seen(self.region).encode(), b"GT"
        return b"*%d\r\n" % (len(words) + 2 * devices) + b"".join(map(_bulk, words))

    def _head(self, sha: bytes, writer: str, devices: int) -> bytes:
        region = self.region
        keys = [redis_geo(region), redis_epoch(region), redis_rebuilds(region)]
        keys += [redis_writes(region, writer), redis_changed(region)]
        key_count = len(keys) + devices
        parts = 3 + key_count + _FIXED_ARGUMENTS + _ARGUMENTS_A_DEVICE * devices
        fixed = b"".join(_bulk(key.encode()) for key in keys)
        return b"*%d\r\n" % parts + _bulk(b"EVALSHA") + _bulk(sha) + _bulk(b"%d" % key_count) + fixed


def encode(region: str, rows: pa.RecordBatch, selection: Selection, trail_points: int) -> EncodedRows:
    """Encode what a selection of these rows writes to Redis."""
    ids = selection.device_ids.cast(pa.binary())
    values = pa.array(latest_values(rows, selection.newest, selection.placed), pa.binary())
    return EncodedRows(
        region,
        _key(redis_latest(region, ""), ids),
        (_join(*_bulk_column(values)), _join(*_bulk_column(_scores(rows, selection.placed)))),
        np.where(selection.placed == selection.newest, _OWN, _OTHER).astype(np.uint8).tobytes(),
        _join(*_bulk_times(selection.arrival_ms), *_bulk_column(ids)),
        _trails(_key(redis_trail(region, ""), ids), rows, selection, trail_points),
        selection.point_counts,
    )


def _trails(key: pa.BinaryArray, rows: pa.RecordBatch, selection: Selection, kept: int) -> pa.BinaryArray:
    """ZADD of a device's points, then ZREMRANGEBYRANK down to `kept`, for each device that has points."""
    has = selection.point_counts > 0
    counts, key = selection.point_counts[has], key.filter(pa.array(has))
    points = point_frames(rows, selection.points, selection.ts_ms)
    ends = (np.append(0, np.cumsum(counts)) * points.shape[1]).astype(np.int32)
    pairs = pa.BinaryArray.from_buffers(pa.binary(), len(counts), [None, pa.py_buffer(ends), pa.py_buffer(points)])
    parts = pa.array(2 + 2 * counts).cast(pa.string()).cast(pa.binary())
    beyond = pa.scalar(_bulk(b"0") + _bulk(b"%d" % (-kept - 1)))
    return _join(pa.scalar(b"*"), parts, _END, _ADD, key, pairs, _TRIM, key, beyond)


def _key(prefix: str, ids: pa.BinaryArray) -> pa.BinaryArray:
    """Keys of devices as bulk strings."""
    return _join(*_bulk_column(_join(pa.scalar(prefix.encode()), ids)))


def _bulk_column(column: pa.BinaryArray) -> tuple[pa.Scalar | pa.Array, ...]:
    """A column as bulk strings, in pieces to be joined."""
    return pa.scalar(b"$"), pc.binary_length(column).cast(pa.string()).cast(pa.binary()), _END, column, _END


def _bulk_times(ms: np.ndarray) -> tuple[pa.Scalar | pa.Array, ...]:
    """A column of times as bulk strings of one width, in pieces to be joined."""
    return pa.scalar(b"$%d\r\n" % MS_DIGITS), fixed_texts(ms_digits(ms)).cast(pa.binary()), _END


def _scores(rows: pa.RecordBatch, places: np.ndarray) -> pa.BinaryArray:
    """Scores of these rows' places in the geo set, as text; empty where the row number is -1."""
    taken = np.maximum(places, 0)
    degrees = (rows.column(name).to_numpy(zero_copy_only=False)[taken] for name in ("lon", "lat"))
    with np.errstate(invalid="ignore"):
        scores = pa.array(geo_scores(*degrees), mask=places < 0)
    return pc.fill_null(scores.cast(pa.string()), "").cast(pa.binary())


def _join(*pieces: pa.Scalar | pa.Array) -> pa.BinaryArray:
    return pc.binary_join_element_wise(*pieces, _NOTHING)


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _bytes_of(column: pa.BinaryArray, start: int, stop: int) -> memoryview:
    """The bytes of elements [start, stop) of a column, without a copy."""
    _, offsets, data = column.buffers()
    if start == stop or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[column.offset :]
    return memoryview(data)[int(ends[start]) : int(ends[stop])]


def _transaction_bounds(point_counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of devices with at most MAX_ITEMS devices and points each, or of a single device with more."""
    ends = np.cumsum(point_counts + 1)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + MAX_ITEMS, side="right")))
        yield start, stop
        start = stop
