"""The records of an answer of GetRecords in machine code: from its JSON to bytes and columns in one pass."""

from typing import NamedTuple

import numpy as np

from ingest.compiled.ascii import (
    BRACE,
    BRACE_END,
    BRACKET,
    BRACKET_END,
    COMMA,
    EQUALS,
    QUOTE,
)
from ingest.compiled.compiling import entry, helper, part
from ingest.compiled.tokens import Texts, put, read_name, read_number, read_word, skip_blank, text_end

DATA, SEQUENCE_NUMBER, PARTITION_KEY, ARRIVAL, OTHER = range(5)
_ALL = 0b1111


class RecordRoom(NamedTuple):
    """Where the records go, and what reading them takes."""

    letters: np.ndarray
    """The data of all records, a byte 0 after each (uint8)."""
    starts: np.ndarray
    """Where each begins there (int64); the one after the last is where the next would."""
    sequence_numbers: Texts
    partition_keys: Texts
    arrivals_s: np.ndarray
    """ApproximateArrivalTimestamp (float64)."""
    sextets: np.ndarray
    """What each letter of base64 stands for, 255 where it is none (uint8)."""
    powers: np.ndarray
    """10**0 to 10**22 (float64)."""


@helper
def _base64(letters: np.ndarray, at: int, out: np.ndarray, to: int, sextets: np.ndarray) -> tuple[int, int]:
    """Decode a text after its quote: where its bytes end, and where it does; -1 where it is not plain base64."""
    last = len(letters) - 4
    while at <= last:
        a, b = sextets[letters[at]], sextets[letters[at + 1]]
        c, d = sextets[letters[at + 2]], sextets[letters[at + 3]]
        if (a | b | c | d) > 63:
            break
        out[to] = a << 2 | b >> 4
        out[to + 1] = (b & 15) << 4 | c >> 2
        out[to + 2] = (c & 3) << 6 | d
        at += 4
        to += 3
    return _base64_end(letters, at, out, to, sextets)


@helper
def _base64_end(letters: np.ndarray, at: int, out: np.ndarray, to: int, sextets: np.ndarray) -> tuple[int, int]:
    """The last letters: none, or what ends in one = or two and has no bits beyond its last byte; then the quote."""
    if letters[at] == QUOTE:
        return to, at + 1
    a = sextets[letters[at]]
    if a > 63:
        return to, -1
    b = sextets[letters[at + 1]]
    if b > 63:
        return to, -1
    out[to] = a << 2 | b >> 4
    if letters[at + 2] == EQUALS:
        whole = letters[at + 3] == EQUALS and letters[at + 4] == QUOTE and b & 15 == 0
        return to + 1, (at + 5 if whole else -1)
    c = sextets[letters[at + 2]]
    if c > 63 or c & 3 or letters[at + 3] != EQUALS or letters[at + 4] != QUOTE:
        return to, -1
    out[to + 1] = (b & 15) << 4 | c >> 2
    return to + 2, at + 5


@helper
def _name(letters: np.ndarray, start: int, end: int) -> int:
    """Which of a record's fields that is; their lengths are enough to tell which it can be."""
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
        if letters[start + place] != expected[place]:
            return OTHER
    return field


@part
def _record(letters: np.ndarray, at: int, row: int, room: RecordRoom) -> int:
    """Read one record into a row; where it ends, or -1."""
    seen = 0
    to = room.starts[row]
    if letters[at] != BRACE:
        return -1
    while True:
        at = skip_blank(letters, at + 1)
        start = at + 1
        end, at = read_name(letters, at)
        if end < 0:
            return -1
        field = _name(letters, start, end)
        if field == ARRIVAL:
            room.arrivals_s[row], at = read_number(letters, at, room.powers)
        elif letters[at] != QUOTE:
            at = read_word(letters, at)[1] if field == OTHER else -1
        elif field == DATA:
            to, at = _base64(letters, at + 1, room.letters, to, room.sextets)
        else:
            end = text_end(letters, at + 1)
            if end < 0:
                return -1
            if field == SEQUENCE_NUMBER:
                put(room.sequence_numbers, row, letters, at + 1, end)
            elif field == PARTITION_KEY:
                put(room.partition_keys, row, letters, at + 1, end)
            at = end + 1
        if at < 0:
            return -1
        if field != OTHER:
            if seen >> field & 1:
                return -1
            seen |= 1 << field
        at = skip_blank(letters, at)
        if letters[at] == BRACE_END:
            room.letters[to] = 0
            room.starts[row + 1] = to + 1
            return at + 1 if seen == _ALL else -1
        if letters[at] != COMMA:
            return -1


@entry
def read_records(letters: np.ndarray, at: int, room: RecordRoom) -> tuple[int, int]:
    """Read the list of records that begins at `at`: how many, and where it ends; -1 where one is not plain."""
    at = skip_blank(letters, at)
    if letters[at] != BRACKET:
        return 0, -1
    at = skip_blank(letters, at + 1)
    rows = 0
    if letters[at] == BRACKET_END:
        return rows, at + 1
    while rows < len(room.arrivals_s):
        at = _record(letters, at, rows, room)
        if at < 0:
            return rows, -1
        rows += 1
        at = skip_blank(letters, at)
        if letters[at] == BRACKET_END:
            return rows, at + 1
        if letters[at] != COMMA:
            return rows, -1
        at = skip_blank(letters, at + 1)
    return rows, -1
