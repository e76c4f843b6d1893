"""RFC 3339 times in machine code."""

import numpy as np

from ingest.compiled.ascii import (
    COLON,
    DIGIT_0,
    DIGIT_9,
    MINUS,
    PERIOD,
    PLUS,
    QUOTE,
    UPPER_T,
    UPPER_Z,
)
from ingest.compiled.compiling import helper


@helper
def _read_digits(buf: np.ndarray, at: int, count: int) -> int:
    """The number that `count` digits make; -1 if one of them is not a digit."""
    value = 0
    for place in range(at, at + count):
        digit = buf[place] - DIGIT_0
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@helper
def read_time(buf: np.ndarray, at: int) -> tuple[int, int]:
    """Epoch milliseconds of the RFC 3339 text that starts at `at`, after its quote, and its end, or -1."""
    year, month, day = _read_digits(buf, at, 4), _read_digits(buf, at + 5, 2), _read_digits(buf, at + 8, 2)
    hour, minute, second = _read_digits(buf, at + 11, 2), _read_digits(buf, at + 14, 2), _read_digits(buf, at + 17, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or hour < 0 or minute < 0 or second < 0:
        return 0, -1
    if hour > 23 or minute > 59 or second > 59 or buf[at + 4] != MINUS or buf[at + 7] != MINUS:
        return 0, -1
    if buf[at + 10] != UPPER_T or buf[at + 13] != COLON or buf[at + 16] != COLON:
        return 0, -1
    if day > 28:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        longest = 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
        if day > ((29 if leap else 28) if month == 2 else longest):
            return 0, -1
    at += 19
    ms = 0
    if buf[at] == PERIOD:
        first, weight = at + 1, 100
        at += 1
        while DIGIT_0 <= buf[at] <= DIGIT_9:
            ms += (buf[at] - DIGIT_0) * weight
            weight //= 10
            at += 1
        if at == first:
            return 0, -1
    offset = 0
    if buf[at] == UPPER_Z:
        at += 1
    elif buf[at] == PLUS or buf[at] == MINUS:
        hours, minutes = _read_digits(buf, at + 1, 2), _read_digits(buf, at + 4, 2)
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59 or buf[at + 3] != COLON:
            return 0, -1
        offset = hours * 60 + minutes
        if buf[at] == MINUS:
            offset = -offset
        at += 6
    else:
        return 0, -1
    if buf[at] != QUOTE:
        return 0, -1
    # Days since 1970-01-01 by years that begin in March: H. Hinnant, chrono-compatible low-level date algorithms.
    march = year if month > 2 else year - 1
    era, of_era = march // 400, march % 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return ((days * 24 + hour) * 60 + minute - offset) * 60000 + second * 1000 + ms, at + 1
