"""Trail points as JSON of one width, so that a batch of them is one matrix of bytes.

A point is `{"ts":MS,"lat":DEG,"lon":DEG,"speed_kmh":N,"heading_deg":N}`: degrees to 7 decimals (1 cm), speed to 2,
heading to 1, blanks before shorter numbers, null for what is missing or outside its bounds. The text depends on the
record alone, so a record that is sent twice is one member of its trail.
"""

import numpy as np
import pyarrow as pa

from contracts.record import READINGS
from ingest.live.timetext import MS_DIGITS, ms_digits

_BOUNDS = {reading.name: (reading.low, reading.high) for reading in READINGS}
_BLANK_TRIPLES = np.array([list(f"{number:3d}".encode()) for number in range(1000)], np.uint8)
_TRIPLES = np.array([list(f"{number:03d}".encode()) for number in range(1000)], np.uint8)
_FIELDS = (("ts", 13, 0), ("lat", 11, 7), ("lon", 12, 7), ("speed_kmh", 6, 2), ("heading_deg", 5, 1))
"""Name, width of the text, decimals."""
_TEMPLATE = "{" + ",".join(f'"{name}":{"#" * width}' for name, width, _ in _FIELDS) + "}"
POINT_BYTES = len(_TEMPLATE)
_STARTS = {name: _TEMPLATE.index(f'"{name}":') + len(name) + 3 for name, _, _ in _FIELDS}
_WIDTHS = {name: (width, decimals) for name, width, decimals in _FIELDS}


def point_frames(rows: pa.RecordBatch, points: np.ndarray, ts_ms: np.ndarray) -> np.ndarray:
    """Score and member of these rows' points as two bulk strings of Redis' protocol each: one row a point.

    rows: contracts.record.LANDING_SCHEMA; `points` have a good position. ts_ms: event time of every row.
    """
    head = f"${MS_DIGITS}\r\n{'0' * MS_DIGITS}\r\n${POINT_BYTES}\r\n"
    frame = np.empty((len(points), len(head) + POINT_BYTES + 2), np.uint8)
    frame[:] = np.frombuffer(f"{head}{_TEMPLATE}\r\n".encode(), np.uint8)
    times = ms_digits(ts_ms[points])
    score = head.index("\r\n") + 2
    frame[:, score : score + MS_DIGITS] = times
    _write_members(frame[:, len(head) : -2], rows, points, times)
    return frame


def point_texts(rows: pa.RecordBatch, points: np.ndarray, ts_ms: np.ndarray) -> list[bytes]:
    """The points alone, as JSON."""
    frame = point_frames(rows, points, ts_ms)[:, -2 - POINT_BYTES : -2]
    return [member.tobytes() for member in frame]


def _write_members(member: np.ndarray, rows: pa.RecordBatch, points: np.ndarray, times: np.ndarray) -> None:
    width = _WIDTHS["ts"][0]
    shown = times[:, MS_DIGITS - width :]
    # Before 2001-09-09 an epoch time has 12 digits, and JSON knows no leading zero.
    member[:, _STARTS["ts"] : _STARTS["ts"] + width] = shown
    member[shown[:, 0] == ord("0"), _STARTS["ts"]] = ord(" ")
    for name in ("lat", "lon", "speed_kmh", "heading_deg"):
        field_width, decimals = _WIDTHS[name]
        start = _STARTS[name]
        column = rows.column(name)
        if column.null_count == len(column):
            member[:, start : start + field_width] = np.frombuffer(b"null".rjust(field_width), np.uint8)
        else:
            values = column.to_numpy(zero_copy_only=False)[points]
            _write_numbers(member[:, start : start + field_width], values, decimals, _BOUNDS[name])


def _write_numbers(
    out: np.ndarray, values: np.ndarray, decimals: int, bounds: tuple[float | None, float | None]
) -> None:
    """Numbers with three places before the point and a sign where the width has room for one."""
    width = out.shape[1]
    low, high = bounds
    known = (values >= low) & (values <= high)
    scaled = np.rint(np.where(known, values, 0.0) * 10**decimals).astype(np.int64)
    whole, fraction = np.divmod(np.abs(scaled), 10**decimals)
    point = width - decimals - 1
    out[:, :point] = ord(" ")
    places = min(3, point)
    out[:, point - places : point] = _BLANK_TRIPLES[whole][:, 3 - places :]
    out[:, point] = ord(".")
    padded = fraction * 10 ** (-decimals % 3)
    digits = [_TRIPLES[part] for part in _thousands(padded, -(-decimals // 3))]
    out[:, point + 1 :] = np.concatenate(digits, axis=1)[:, :decimals]
    negative = np.flatnonzero(scaled < 0)
    if len(negative):
        digits_before = 1 + (whole[negative] >= 10) + (whole[negative] >= 100)  # noqa: PLR2004 - digits of a number
        out[negative, point - 1 - digits_before] = ord("-")
    if not known.all():
        out[~known] = np.frombuffer(b"null".rjust(width), np.uint8)


def _thousands(numbers: np.ndarray, parts: int) -> list[np.ndarray]:
    """Digits of numbers in groups of three, the highest first."""
    groups: list[np.ndarray] = []
    for _ in range(parts):
        numbers, group = np.divmod(numbers, 1000)
        groups.insert(0, group)
    return groups
