"""Redis' wire format for many devices at once: columns of arguments become one buffer, cut into commands."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.names import redis_epoch, redis_geo, redis_latest, redis_rebuilds, redis_seen, redis_trail, redis_writes
from ingest.live.choice import Choice
from ingest.live.points import point_frames
from ingest.live.timetext import MS_DIGITS, fixed_texts, ms_digits
from ingest.live.values import latest_values

MOST_ITEMS = 500
"""Devices and points that one command takes in: the server does nothing else meanwhile, so a few milliseconds."""
_ARGUMENTS = 3
_ARGUMENTS_A_DEVICE = 6
_END = pa.scalar(b"\r\n")
_NOTHING = pa.scalar(b"")


@dataclass(slots=True)
class Writer:
    """Who writes, and how many of its commands it was told that the server took."""

    name: str
    told: int = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """What write.lua is told of all devices, as bulk strings; one element, or one row of points, a device or point."""

    region: str
    trail_points: int
    keys: tuple[pa.BinaryArray, ...]
    """Columns of keys, in the script's order."""
    arguments: tuple[pa.BinaryArray, ...]
    """Columns of arguments by device, in the script's order."""
    points: np.ndarray
    point_counts: np.ndarray

    def commands(self, sha: bytes, writer: Writer) -> Iterator[list[bytes | memoryview]]:
        """EVALSHA commands, each a list of buffers to send, that take in all devices once."""
        point_ends = np.cumsum(self.point_counts)
        for start, stop in _cuts(self.point_counts):
            first_point = int(point_ends[start - 1]) if start else 0
            last_point = int(point_ends[stop - 1])
            yield [
                self._head(sha, writer.name, stop - start, last_point - first_point),
                *(_cut(column, start, stop) for column in self.keys),
                b"".join(_bulk(b"%d" % number) for number in (self.trail_points, stop - start, writer.told)),
                *(_cut(column, start, stop) for column in self.arguments),
                self.points[first_point:last_point].reshape(-1).data,
            ]

    def _head(self, sha: bytes, writer: str, devices: int, points: int) -> bytes:
        region = self.region
        keys = [redis_geo(region), redis_seen(region), redis_epoch(region), redis_rebuilds(region)]
        keys.append(redis_writes(region, writer))
        key_count = len(keys) + 2 * devices
        parts = 3 + key_count + _ARGUMENTS + _ARGUMENTS_A_DEVICE * devices + 2 * points
        fixed = b"".join(_bulk(key.encode()) for key in keys)
        return b"*%d\r\n" % parts + _bulk(b"EVALSHA") + _bulk(sha) + _bulk(b"%d" % key_count) + fixed


def frames(region: str, rows: pa.RecordBatch, choice: Choice, trail_points: int) -> Frames:
    """Everything that write.lua is told about these rows."""
    ids = choice.device_ids.cast(pa.binary())
    keys = (redis_latest(region, ""), redis_trail(region, ""))
    values = pa.array(latest_values(rows, choice.newest, choice.placed), pa.binary())
    counts = pa.array(choice.point_counts).cast(pa.string()).cast(pa.binary())
    longitude, latitude = (_degrees(rows.column(name), choice.placed) for name in ("lon", "lat"))
    return Frames(
        region,
        trail_points,
        tuple(_joined(*_framed(_joined(pa.scalar(prefix.encode()), ids))) for prefix in keys),
        (
            _joined(*_framed(values)),
            _joined(*_framed_times(choice.arrival_ms), *_framed(ids)),
            _joined(*_framed(longitude), *_framed(latitude), *_framed(counts)),
        ),
        point_frames(rows, choice.points, choice.ts_ms),
        choice.point_counts,
    )


def _framed(column: pa.BinaryArray) -> tuple[pa.Scalar | pa.Array, ...]:
    """The pieces of a column as bulk strings."""
    return pa.scalar(b"$"), pc.binary_length(column).cast(pa.string()).cast(pa.binary()), _END, column, _END


def _framed_times(ms: np.ndarray) -> tuple[pa.Scalar | pa.Array, ...]:
    """The pieces of a column of times as bulk strings of one width."""
    return pa.scalar(b"$%d\r\n" % MS_DIGITS), fixed_texts(ms_digits(ms)).cast(pa.binary()), _END


def _degrees(column: pa.Array, places: np.ndarray) -> pa.BinaryArray:
    """Degrees as text; empty where a place is -1."""
    taken = column.take(pa.array(places, mask=places < 0))
    return pc.fill_null(taken.cast(pa.string()), "").cast(pa.binary())


def _joined(*pieces: pa.Scalar | pa.Array) -> pa.BinaryArray:
    return pc.binary_join_element_wise(*pieces, _NOTHING)


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _cut(column: pa.BinaryArray, start: int, stop: int) -> memoryview:
    """The bytes of elements [start, stop) of a column, without a copy."""
    _, offsets, data = column.buffers()
    if start == stop or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[column.offset :]
    return memoryview(data)[int(ends[start]) : int(ends[stop])]


def _cuts(point_counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of devices of at most MOST_ITEMS devices and points, or one device."""
    ends = np.cumsum(point_counts + 1)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + MOST_ITEMS, side="right")))
        yield start, stop
        start = stop
