"""Trail points as fixed-width JSON, so that a batch of them is one matrix of bytes.

A point is `{"ts":MS,"lat":DEG,"lon":DEG,"speed_kmh":N,"heading_deg":N}`: degrees to 7 decimals (1 cm), speed to 2,
heading to 1, blanks before shorter numbers, null for what is missing or outside its bounds. The text depends on the
record alone, so a record that is sent twice is one member of its trail.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from contracts.record import READINGS
from ingest.live.digit_tables import FOUR_DIGITS, lookup_table, split, write_entries
from ingest.live.timetext import MS_DIGITS

_BOUNDS = {reading.name: (reading.low, reading.high) for reading in READINGS}
_POINT = '{"ts":#############,"lat":###.#######,"lon":####.#######,"speed_kmh":###.##,"heading_deg":###.#}'
POINT_BYTES = len(_POINT)
_HEAD = f"${MS_DIGITS}\r\n{'#' * MS_DIGITS}\r\n${POINT_BYTES}\r\n"
_FRAME = f"{_HEAD}{_POINT}\r\n"
_FRAME_BYTES = np.frombuffer(_FRAME.encode(), np.uint8)
_SCORE = _FRAME.index("#")
_TS = _FRAME.index('"ts":') + len('"ts":')
_TWO_DIGITS = lookup_table(f"{number:02d}" for number in range(100))
# Before 2001-09-09 an epoch time has 12 digits, and JSON knows no leading zero.
_TS_START = lookup_table(f":{number:3d}" for number in range(1000))
_NEGATIVE = 1000
"""Index from which a table of whole numbers holds the negative ones, -0 included."""


def _whole(form: str) -> np.ndarray:
    """A table of the whole numbers up to 999, then with a minus. Entries too long for the form are never used."""
    return lookup_table((form % number)[:4] for number in [*range(_NEGATIVE), *(f"-{n}" for n in range(_NEGATIVE))])


@dataclass(frozen=True)
class _Number:
    """How a reading is written: tables for the text before its point and from it on, then four more decimals or not."""

    name: str
    decimals: int
    before_point: np.ndarray
    from_point: np.ndarray
    four_more: bool = False


_NUMBERS = (
    _Number("lat", 7, _whole(":%3s"), lookup_table(f".{number:03d}" for number in range(1000)), four_more=True),
    _Number("lon", 7, _whole("%4s"), lookup_table(f".{number:03d}" for number in range(1000)), four_more=True),
    _Number("speed_kmh", 2, _whole(":%3s"), lookup_table(f".{number:02d}," for number in range(100))),
    _Number("heading_deg", 1, _whole(":%3s"), lookup_table(f".{number}" for number in range(10))),
)


def point_frames(rows: pa.RecordBatch, points: np.ndarray, ts_ms: np.ndarray) -> np.ndarray:
    """Score and member of these rows' points as two RESP bulk strings each: one row per point.

    rows: contracts.record.LANDING_SCHEMA; `points` have a valid position. ts_ms: event time of every row.
    """
    frame = np.empty((len(points), len(_FRAME)), np.uint8)
    frame[:] = _FRAME_BYTES
    _write_times(frame, ts_ms[points])
    for number in _NUMBERS:
        column = rows.column(number.name)
        if column.null_count == len(column):
            _write_null(frame, np.s_[:], number)
        else:
            _write_number(frame, column.to_numpy(zero_copy_only=False)[points], number)
    return frame


def point_texts(rows: pa.RecordBatch, points: np.ndarray, ts_ms: np.ndarray) -> list[bytes]:
    """The points alone, as JSON."""
    frame = point_frames(rows, points, ts_ms)[:, -2 - POINT_BYTES : -2]
    return [member.tobytes() for member in frame]


def _write_times(frame: np.ndarray, ts_ms: np.ndarray) -> None:
    """The score's 14 digits, and the last 13 of them in the member."""
    rest, two = split(ts_ms, 100)
    rest, third = split(rest, 10_000)
    first, second = split(rest, 10_000)
    write_entries(frame, _SCORE, FOUR_DIGITS, first)
    write_entries(frame, _TS - 1, _TS_START, first % 1000)
    for start in (_SCORE, _TS - 1):
        write_entries(frame, start + 4, FOUR_DIGITS, second)
        write_entries(frame, start + 8, FOUR_DIGITS, third)
        write_entries(frame, start + 12, _TWO_DIGITS, two)


def _write_number(frame: np.ndarray, values: np.ndarray, number: _Number) -> None:
    low, high = _BOUNDS[number.name]
    known = (values >= low) & (values <= high)
    scaled = np.rint(np.where(known, values, 0.0) * 10**number.decimals).astype(np.int64)
    whole, fraction = split(np.abs(scaled).astype(np.uint32), 10**number.decimals)
    point = _place(number).stop - number.decimals - 1
    write_entries(frame, point - 4, number.before_point, whole + _NEGATIVE * (scaled < 0))
    if number.four_more:
        fraction, last = split(fraction, 10_000)
        write_entries(frame, point + 4, FOUR_DIGITS, last)
    write_entries(frame, point, number.from_point, fraction)
    if not known.all():
        _write_null(frame, ~known, number)


def _write_null(frame: np.ndarray, which: np.ndarray | slice, number: _Number) -> None:
    place = _place(number)
    frame[which, place] = np.frombuffer(b"null".rjust(place.stop - place.start), np.uint8)


def _place(number: _Number) -> slice:
    """Where its text stands in a frame."""
    start = _FRAME.index(f'"{number.name}":') + len(number.name) + 3
    return slice(start, start + len(_FRAME[start:].split("}", maxsplit=1)[0].split(",", maxsplit=1)[0]))
