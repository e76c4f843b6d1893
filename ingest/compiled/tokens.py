"""JSON tokens in machine code: where a token ends and, if it is plain, its value.

Plain text is ASCII without escapes; a plain number is one whose nearest double is certain here. Functions return -1 as
the end of a token that is not plain. No function checks a length: the byte 0, which JSON never contains, stops every
scan of a buffer.
"""

import numpy as np

from ingest.compiled.ascii import (
    BACKSLASH,
    CARRIAGE_RETURN,
    COLON,
    DIGIT_0,
    DIGIT_9,
    LINE_FEED,
    LOWER_E,
    MINUS,
    PERIOD,
    PLUS,
    QUOTE,
    SPACE,
    TAB,
    TILDE,
    UPPER_E,
)
from ingest.compiled.compiling import helper

POWERS = np.array([float(10**exponent) for exponent in range(23)])
"""10**0 to 10**22, which doubles hold exactly."""

_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))
_FULL_MANTISSA = 10**17
"""A mantissa that has reached this takes no more digits; below it, any next digit still fits into 64 bits."""


@helper
def skip_blank(buf: np.ndarray, at: int) -> int:
    """Index of the next byte that is not white space."""
    while buf[at] == SPACE or buf[at] == LINE_FEED or buf[at] == CARRIAGE_RETURN or buf[at] == TAB:
        at += 1
    return at


@helper
def text_end(buf: np.ndarray, at: int) -> int:
    """Index of the closing quote of the text whose first byte after the quote is at `at`; -1 if it is not plain."""
    while True:
        byte = buf[at]
        if byte == QUOTE:
            return at
        if byte < SPACE or byte == BACKSLASH or byte > TILDE:
            return -1
        at += 1


@helper
def read_text(buf: np.ndarray, at: int) -> int:
    """Index of the closing quote of the text whose opening quote is at `at`; -1 if there is no plain text."""
    return text_end(buf, at + 1) if buf[at] == QUOTE else -1


@helper
def read_name(buf: np.ndarray, at: int) -> tuple[int, int]:
    """Index of the closing quote of the member name at `at`, and of its value's first byte; -1, -1 if there is no name
    or it is not plain."""
    end = read_text(buf, at)
    if end < 0:
        return -1, -1
    colon = skip_blank(buf, end + 1)
    if buf[colon] != COLON:
        return -1, -1
    return end, skip_blank(buf, colon + 1)


@helper
def read_number(buf: np.ndarray, at: int, powers: np.ndarray) -> tuple[float, int]:
    """A number of up to 18 digits, and where it ends. powers: POWERS."""
    negative = buf[at] == MINUS
    if negative:
        at += 1
    start, mantissa, scale = at, 0, 0
    while DIGIT_0 <= buf[at] <= DIGIT_9 and mantissa < _FULL_MANTISSA:
        mantissa = mantissa * 10 + (buf[at] - DIGIT_0)
        at += 1
    if at == start or (buf[start] == DIGIT_0 and at - start > 1):
        return 0.0, -1
    if buf[at] == PERIOD:
        at += 1
        point = at
        while DIGIT_0 <= buf[at] <= DIGIT_9 and mantissa < _FULL_MANTISSA:
            mantissa = mantissa * 10 + (buf[at] - DIGIT_0)
            at += 1
        scale = point - at
        if scale == 0:
            return 0.0, -1
    if buf[at] == LOWER_E or buf[at] == UPPER_E:
        at += 1
        down = buf[at] == MINUS
        if down or buf[at] == PLUS:
            at += 1
        first, exponent = at, 0
        while DIGIT_0 <= buf[at] <= DIGIT_9 and at - first < 3:
            exponent = exponent * 10 + (buf[at] - DIGIT_0)
            at += 1
        if at == first:
            return 0.0, -1
        scale += -exponent if down else exponent
    # A further digit and -0 are left to the exact reader.
    if DIGIT_0 <= buf[at] <= DIGIT_9 or scale < -22 or scale > 22 or (negative and mantissa == 0):
        return 0.0, -1
    value, sure = _scaled(mantissa, scale, powers)
    if not sure:
        return 0.0, -1
    return (-value if negative else value), at


@helper
def _scaled(mantissa: int, scale: int, powers: np.ndarray) -> tuple[float, bool]:
    """The double nearest to mantissa * 10**scale, and whether that is certain.

    A mantissa up to 2**53 needs one operation on exact numbers, rounded once: W. D. Clinger, How to Read Floating Point
    Numbers Accurately, 1990. For a larger one the quotient is computed to twice a double's precision, and
    is certain unless it lies halfway between two doubles to that precision: T. J. Dekker, A Floating-Point Technique
    for Extending the Available Precision, 1971.
    """
    whole = float(mantissa)
    if mantissa <= 9007199254740992:
        return (whole * powers[scale] if scale >= 0 else whole / powers[-scale]), True
    if scale > 0:
        return 0.0, False
    below, divisor = float(mantissa - np.int64(whole)), powers[-scale]
    quotient = whole / divisor
    product, error = _product(quotient, divisor)
    rest = ((whole - product) - error + below) / divisor
    value = quotient + rest
    return value, value + (rest - (value - quotient)) * (1.0 + 1e-12) == value


@helper
def _product(one: float, other: float) -> tuple[float, float]:
    """The product as the nearest double, and its rounding error: Dekker's product with Veltkamp's splitting."""
    product = one * other
    spread, other_spread = one * 134217729.0, other * 134217729.0
    high, other_high = spread - (spread - one), other_spread - (other_spread - other)
    low, other_low = one - high, other - other_high
    return product, low * other_low - (((product - high * other_high) - low * other_high) - high * other_low)


@helper
def read_integer(buf: np.ndarray, at: int) -> tuple[int, int]:
    """A non-negative integer of up to 18 digits, and where it ends."""
    first, value = at, 0
    while DIGIT_0 <= buf[at] <= DIGIT_9 and at - first < 18:
        value = value * 10 + (buf[at] - DIGIT_0)
        at += 1
    if at == first or (buf[first] == DIGIT_0 and at - first > 1):
        return 0, -1
    return value, at


@helper
def equal_bytes(buf: np.ndarray, start: int, others: np.ndarray, other_start: int, length: int) -> bool:
    """Whether `length` bytes of both buffers are equal."""
    for place in range(length):
        if buf[start + place] != others[other_start + place]:
            return False
    return True


@helper
def read_literal(buf: np.ndarray, at: int) -> tuple[int, int]:
    """null, false or true as 2, 0 or 1, and where it ends; the end is -1 for anything else."""
    if equal_bytes(buf, at, _NULL, 0, 4):
        return 2, at + 4
    if equal_bytes(buf, at, _TRUE, 0, 4):
        return 1, at + 4
    return 0, (at + 5 if equal_bytes(buf, at, _FALSE, 0, 5) else -1)
