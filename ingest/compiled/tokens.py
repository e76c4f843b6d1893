"""The words of JSON in machine code: where they end, and what they say, where they are plain.

Plain is ASCII without escapes, and numbers that are surely read to the nearest double here. A byte 0, which no JSON
has, ends each walk over letters, so nothing looks at a length. What is not plain ends at -1.
"""

from typing import NamedTuple

import numpy as np

from ingest.compiled.ascii import (
    BACKSLASH,
    COLON,
    E_LARGE,
    E_SMALL,
    LINE_FEED,
    MINUS,
    NINE,
    PLUS,
    POINT,
    QUOTE,
    RETURN,
    SPACE,
    TAB,
    TILDE,
    ZERO,
)
from ingest.compiled.compiling import helper

POWERS = np.array([float(10**exponent) for exponent in range(23)])
"""10**0 to 10**22, which doubles hold exactly."""

_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))
_MOST = 10**17
"""A number that has reached it takes no more digits: the next would still fit, whatever it is."""


class Texts(NamedTuple):
    """Room for texts, one after the other."""

    letters: np.ndarray
    ends: np.ndarray
    """ends[i + 1] is where text i ends (int32)."""


@helper
def skip_blank(letters: np.ndarray, at: int) -> int:
    """Where the next letter is that is no white space."""
    while letters[at] == SPACE or letters[at] == LINE_FEED or letters[at] == RETURN or letters[at] == TAB:
        at += 1
    return at


@helper
def text_end(letters: np.ndarray, at: int) -> int:
    """Where the text that starts at `at`, after its quote, has its closing quote; -1 where it is not plain."""
    while True:
        letter = letters[at]
        if letter == QUOTE:
            return at
        if letter < SPACE or letter == BACKSLASH or letter > TILDE:
            return -1
        at += 1


@helper
def read_text(letters: np.ndarray, at: int) -> int:
    """Where the text at `at`, quote included, has its closing quote; -1 where there is no text or it is not plain."""
    return text_end(letters, at + 1) if letters[at] == QUOTE else -1


@helper
def read_name(letters: np.ndarray, at: int) -> tuple[int, int]:
    """A member's name that begins at its quote: where its closing quote is, and where its value begins; -1, -1 where
    there is none or it is not plain."""
    end = read_text(letters, at)
    if end < 0:
        return -1, -1
    colon = skip_blank(letters, end + 1)
    if letters[colon] != COLON:
        return -1, -1
    return end, skip_blank(letters, colon + 1)


@helper
def read_number(letters: np.ndarray, at: int, powers: np.ndarray) -> tuple[float, int]:
    """A number of up to 18 digits and where it ends. powers: POWERS."""
    negative = letters[at] == MINUS
    if negative:
        at += 1
    start, mantissa, scale = at, 0, 0
    while ZERO <= letters[at] <= NINE and mantissa < _MOST:
        mantissa = mantissa * 10 + (letters[at] - ZERO)
        at += 1
    if at == start or (letters[start] == ZERO and at - start > 1):
        return 0.0, -1
    if letters[at] == POINT:
        at += 1
        point = at
        while ZERO <= letters[at] <= NINE and mantissa < _MOST:
            mantissa = mantissa * 10 + (letters[at] - ZERO)
            at += 1
        scale = point - at
        if scale == 0:
            return 0.0, -1
    if letters[at] == E_SMALL or letters[at] == E_LARGE:
        at += 1
        down = letters[at] == MINUS
        if down or letters[at] == PLUS:
            at += 1
        first, exponent = at, 0
        while ZERO <= letters[at] <= NINE and at - first < 3:
            exponent = exponent * 10 + (letters[at] - ZERO)
            at += 1
        if at == first:
            return 0.0, -1
        scale += -exponent if down else exponent
    # A further digit, and -0, are somebody else's to read.
    if ZERO <= letters[at] <= NINE or scale < -22 or scale > 22 or (negative and mantissa == 0):
        return 0.0, -1
    value, sure = _scaled(mantissa, scale, powers)
    if not sure:
        return 0.0, -1
    return (-value if negative else value), at


@helper
def _scaled(mantissa: int, scale: int, powers: np.ndarray) -> tuple[float, bool]:
    """The double nearest to mantissa * 10**scale, and whether that is sure.

    Up to 2**53 it is one step of exact numbers, rounded once: W. D. Clinger, How to Read Floating Point Numbers
    Accurately, 1990. Beyond, a quotient is taken to twice a double's digits, and is sure unless it lies at the middle
    between two doubles as far as those tell: T. J. Dekker, A Floating-Point Technique for Extending the Available
    Precision, 1971.
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
    """A product as the nearest double, and by how much the exact one is more: Dekker's, with Veltkamp's halves."""
    product = one * other
    spread, other_spread = one * 134217729.0, other * 134217729.0
    high, other_high = spread - (spread - one), other_spread - (other_spread - other)
    low, other_low = one - high, other - other_high
    return product, low * other_low - (((product - high * other_high) - low * other_high) - high * other_low)


@helper
def read_integer(letters: np.ndarray, at: int) -> tuple[int, int]:
    """A whole number of up to 18 digits, and where it ends; an end of -1: not plain."""
    first, value = at, 0
    while ZERO <= letters[at] <= NINE and at - first < 18:
        value = value * 10 + (letters[at] - ZERO)
        at += 1
    if at == first or (letters[first] == ZERO and at - first > 1):
        return 0, -1
    return value, at


@helper
def same(letters: np.ndarray, start: int, others: np.ndarray, other_start: int, length: int) -> bool:
    """Whether so many letters are the same."""
    for place in range(length):
        if letters[start + place] != others[other_start + place]:
            return False
    return True


@helper
def read_word(letters: np.ndarray, at: int) -> tuple[int, int]:
    """null, false or true as 2, 0 or 1, and where it ends; an end of -1: none of them."""
    if same(letters, at, _NULL, 0, 4):
        return 2, at + 4
    if same(letters, at, _TRUE, 0, 4):
        return 1, at + 4
    return 0, (at + 5 if same(letters, at, _FALSE, 0, 5) else -1)


@helper
def put(texts: Texts, number: int, letters: np.ndarray, start: int, end: int) -> None:
    """Copy letters [start, end) as text `number`; those before it are there."""
    to = texts.ends[number]
    for place in range(end - start):
        texts.letters[to + place] = letters[start + place]
    texts.ends[number + 1] = to + (end - start)


@helper
def listed(texts: Texts, first: int, number: int, letters: np.ndarray, start: int, end: int) -> bool:
    """Whether a text is among those from `first` to `number`."""
    for other in range(first, number):
        begin = texts.ends[other]
        if texts.ends[other + 1] - begin == end - start and same(letters, start, texts.letters, begin, end - start):
            return True
    return False
