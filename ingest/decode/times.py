"""Event times: RFC 3339 text with an offset to epoch milliseconds, a column at once."""
# ruff: noqa: PLR2004 - the numbers are those of RFC 3339: places in a text, and bounds of a clock.

import re

import numpy as np
import pyarrow as pa

from contracts.columns import TIMESTAMP

IMPOSSIBLE_MS = 2**62
"""Replaces an integer too large for any time; as epoch milliseconds it lies after every arrival."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DAY_MS = 86_400_000
_MONTHS = np.arange("0000-01", "10000-01", dtype="datetime64[M]")
_FIRST_DAY = _MONTHS.astype("datetime64[D]").astype(np.int64)
"""Days from 1970-01-01 to the first of each month, by year * 12 + month - 1, from year 0."""
_DAYS_IN_MONTH = np.diff(np.append(_FIRST_DAY, np.datetime64("10000-01", "D").astype(np.int64))).astype(np.int64)
_ZERO, _NINE = ord("0"), 9


def parse_text(text: str) -> int | None:
    """Epoch milliseconds of one RFC 3339 time, cut to whole milliseconds, or None if it is not one.

    A space for the T and lower case are accepted, as RFC 3339 lets an application; a leap second counts as the
    first instant of the next minute, as in POSIX time.
    """
    match = _RFC3339.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and hour <= 23 and minute <= 59 and second <= 60):
        return None
    place = year * 12 + month - 1
    if not 1 <= day <= _DAYS_IN_MONTH[place]:
        return None
    offset_min = int(match[9] or 0) * 60 + int(match[10] or 0)
    if int(match[9] or 0) > 23 or int(match[10] or 0) > 59:
        return None
    minutes = hour * 60 + minute - (-offset_min if match[8] == "-" else offset_min)
    fraction_ms = int(((match[7] or "") + "000")[:3])
    return (int(_FIRST_DAY[place]) + day - 1) * _DAY_MS + minutes * 60_000 + second * 1000 + fraction_ms


def parse_texts(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Epoch milliseconds of a column of times without nulls, and which of them are valid.

    Texts of one length are read as a matrix of bytes, one array operation per byte position. A text of any other shape
    goes through `parse_text`, which defines what is a time.
    """
    count = len(texts)
    ms, good = np.zeros(count, np.int64), np.zeros(count, bool)
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + count + 1].astype(np.int64)
    buf = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    lengths = np.diff(offsets)
    for length in _distinct(lengths):
        if not 20 <= length <= 35:
            continue
        rows = np.flatnonzero(lengths == length)
        if len(rows) == count:
            matrix = buf[offsets[0] : offsets[-1]].reshape(count, length)
            ms, good = _parse_matrix(np.ascontiguousarray(matrix.T))
        else:
            matrix = buf[offsets[rows][:, None] + np.arange(length)]
            ms[rows], good[rows] = _parse_matrix(np.ascontiguousarray(matrix.T))
    for row in np.flatnonzero(~good):
        parsed = parse_text(texts[row].as_py())
        if parsed is not None:
            ms[row], good[row] = parsed, True
    return ms, good


def timestamps(ms: np.ndarray) -> pa.TimestampArray:
    """Epoch milliseconds as a column of the contract's timestamps."""
    return pa.Array.from_buffers(TIMESTAMP, len(ms), [None, pa.py_buffer(ms * 1000)])


def milliseconds(column: pa.TimestampArray) -> np.ndarray:
    """A column of the contract's timestamps, without nulls, as epoch milliseconds."""
    count = len(column)
    return np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + count] // 1000


def _distinct(lengths: np.ndarray) -> list[int]:
    if len(lengths) and (lengths == lengths[0]).all():
        return [int(lengths[0])]
    return [int(length) for length in np.unique(lengths)]


def _parse_matrix(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of one length and one form of offset: places[k] holds the k-th byte of each."""
    length = len(places)
    zulu = places[-1][0] | 0x20 == ord("z")
    zone = length - 1 if zulu else length - 6
    if zone < 19:
        return np.zeros(places.shape[1], np.int64), np.zeros(places.shape[1], bool)
    digits = places - np.uint8(_ZERO)
    good = (places[4] == ord("-")) & (places[7] == ord("-")) & (places[13] == ord(":")) & (places[16] == ord(":"))
    good &= ((places[10] | 0x20) == ord("t")) | (places[10] == ord(" "))
    for place in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, *range(20, zone)):
        good &= digits[place] <= _NINE
    if zone > 19:
        good &= places[19] == ord(".")
        good &= zone > 20
    offset_ms = _offset_ms(places, digits, zone, good)
    wide = digits.astype(np.int32)
    month, day = wide[5] * 10 + wide[6], wide[8] * 10 + wide[9]
    hour, minute, second = wide[11] * 10 + wide[12], wide[14] * 10 + wide[15], wide[17] * 10 + wide[18]
    good &= (month >= 1) & (month <= 12) & (hour <= 23) & (minute <= 59) & (second <= 59) & (day >= 1)
    month_place = (wide[0] * 1000 + wide[1] * 100 + wide[2] * 10 + wide[3]) * 12 + month - 1
    month_place[~good] = 0
    good &= day <= _DAYS_IN_MONTH[month_place]
    clock_ms = (hour * 60 + minute) * 60_000 + second * 1000
    for place, scale in zip(range(20, min(zone, 23)), (100, 10, 1), strict=False):
        clock_ms += wide[place] * scale
    return (_FIRST_DAY[month_place] + day - 1) * _DAY_MS + clock_ms - offset_ms, good


def _offset_ms(places: np.ndarray, digits: np.ndarray, zone: int, good: np.ndarray) -> np.ndarray | int:
    """Offset from UTC; clears `good` in place for rows with another form of offset."""
    if zone == len(places) - 1:
        good &= (places[-1] | 0x20) == ord("z")
        return 0
    sign, tens_h, ones_h, colon, tens_m, ones_m = range(zone, zone + 6)
    good &= (places[colon] == ord(":")) & ((places[sign] == ord("+")) | (places[sign] == ord("-")))
    for place in (tens_h, ones_h, tens_m, ones_m):
        good &= digits[place] <= _NINE
    hours = digits[tens_h].astype(np.int32) * 10 + digits[ones_h]
    minutes = digits[tens_m].astype(np.int32) * 10 + digits[ones_m]
    good &= (hours <= 23) & (minutes <= 59)
    offset: np.ndarray = (hours * 60 + minutes) * 60_000
    return np.where(places[sign] == ord("-"), -offset, offset)
