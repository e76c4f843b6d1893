"""Reads the records of a GetRecords response in machine code: from JSON to bytes and columns in one pass."""

from typing import NamedTuple

import numpy as np

from ingest.compiled.ascii import (
    COMMA,
    EQUALS,
    LEFT_BRACE,
    LEFT_BRACKET,
    QUOTE,
    RIGHT_BRACE,
    RIGHT_BRACKET,
)
from ingest.compiled.compiling import entry, helper, inlined
from ingest.compiled.texts import TextBuffers, put
from ingest.compiled.tokens import read_literal, read_name, read_number, skip_blank, text_end

DATA, SEQUENCE_NUMBER, PARTITION_KEY, ARRIVAL, OTHER = range(5)
_ALL = 0b1111


class RecordBuffers(NamedTuple):
    """Output buffers for the records, and lookup tables for reading them."""

    buf: np.ndarray
    """Data of all records, each followed by a byte 0 (uint8)."""
    starts: np.ndarray
    """Where each record's data begins in `buf` (int64); one more for the end of the last."""
    sequence_numbers: TextBuffers
    partition_keys: TextBuffers
    arrivals_s: np.ndarray
    """ApproximateArrivalTimestamp (float64)."""
    sextets: np.ndarray
    """The six bits of each base64 character, 255 for any other byte (uint8)."""
    powers: np.ndarray
    """10**0 to 10**22 (float64)."""


@helper
def _decode_base64(buf: np.ndarray, at: int, out: np.ndarray, to: int, sextets: np.ndarray) -> tuple[int, int]:
    """Decode a base64 text, which starts after its quote: end of the output, and of the text; -1 if it is not plain."""
    last = len(buf) - 4
    while at <= last:
        a, b = sextets[buf[at]], sextets[buf[at + 1]]
        c, d = sextets[buf[at + 2]], sextets[buf[at + 3]]
        if (a | b | c | d) > 63:
            break
        out[to] = a << 2 | b >> 4
        out[to + 1] = (b & 15) << 4 | c >> 2
        out[to + 2] = (c & 3) << 6 | d
        at += 4
        to += 3
    return _decode_base64_end(buf, at, out, to, sextets)


@helper
def _decode_base64_end(buf: np.ndarray, at: int, out: np.ndarray, to: int, sextets: np.ndarray) -> tuple[int, int]:
    """Decode the padded last group, if there is one, and the closing quote; bits beyond the last byte must be 0."""
    if buf[at] == QUOTE:
        return to, at + 1
    a = sextets[buf[at]]
    if a > 63:
        return to, -1
    b = sextets[buf[at + 1]]
    if b > 63:
        return to, -1
    out[to] = a << 2 | b >> 4
    if buf[at + 2] == EQUALS:
        whole = buf[at + 3] == EQUALS and buf[at + 4] == QUOTE and b & 15 == 0
        return to + 1, (at + 5 if whole else -1)
    c = sextets[buf[at + 2]]
    if c > 63 or c & 3 or buf[at + 3] != EQUALS or buf[at + 4] != QUOTE:
        return to, -1
    out[to + 1] = (b & 15) << 4 | c >> 2
    return to + 2, at + 5


@helper
def _find_field(buf: np.ndarray, start: int, end: int) -> int:
    """Which of a record's fields this name is; no two have the same length."""
    length = end - start
    expected = b"Data"
    field = DATA
    if length == 14:
        expected, field = b"SequenceNumber", SEQUENCE_NUMBER
    elif length == 12:
        expected, field = b"PartitionKey", PARTITION_KEY
    elif length == 27:
        expected, field = b"ApproximateArrivalTimestamp", ARRIVAL
    elif length != 4:
        return OTHER
    for place in range(length):
        if buf[start + place] != expected[place]:
            return OTHER
    return field


@inlined
def _read_record(buf: np.ndarray, at: int, row: int, out: RecordBuffers) -> int:
    """Read one record into row `row`. Returns where it ends, or -1."""
    seen = 0
    to = out.starts[row]
    if buf[at] != LEFT_BRACE:
        return -1
    while True:
        at = skip_blank(buf, at + 1)
        start = at + 1
        end, at = read_name(buf, at)
        if end < 0:
            return -1
        field = _find_field(buf, start, end)
        if field == ARRIVAL:
            out.arrivals_s[row], at = read_number(buf, at, out.powers)
        elif buf[at] != QUOTE:
            at = read_literal(buf, at)[1] if field == OTHER else -1
        elif field == DATA:
            to, at = _decode_base64(buf, at + 1, out.buf, to, out.sextets)
        else:
            end = text_end(buf, at + 1)
            if end < 0:
                return -1
            if field == SEQUENCE_NUMBER:
                put(out.sequence_numbers, row, buf, at + 1, end)
            elif field == PARTITION_KEY:
                put(out.partition_keys, row, buf, at + 1, end)
            at = end + 1
        if at < 0:
            return -1
        if field != OTHER:
            if seen >> field & 1:
                return -1
            seen |= 1 << field
        at = skip_blank(buf, at)
        if buf[at] == RIGHT_BRACE:
            out.buf[to] = 0
            out.starts[row + 1] = to + 1
            return at + 1 if seen == _ALL else -1
        if buf[at] != COMMA:
            return -1


@entry
def read_records(buf: np.ndarray, at: int, out: RecordBuffers) -> tuple[int, int]:
    """Read the list of records at `at`: how many, and where the list ends; -1 if a record is not plain."""
    at = skip_blank(buf, at)
    if buf[at] != LEFT_BRACKET:
        return 0, -1
    at = skip_blank(buf, at + 1)
    rows = 0
    if buf[at] == RIGHT_BRACKET:
        return rows, at + 1
    while rows < len(out.arrivals_s):
        at = _read_record(buf, at, rows, out)
        if at < 0:
            return rows, -1
        rows += 1
        at = skip_blank(buf, at)
        if buf[at] == RIGHT_BRACKET:
            return rows, at + 1
        if buf[at] != COMMA:
            return rows, -1
        at = skip_blank(buf, at + 1)
    return rows, -1
