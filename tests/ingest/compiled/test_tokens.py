"""Words of JSON in machine code: what is read is what the standard library reads."""

import math
import random
from collections.abc import Iterable
from fractions import Fraction

import numba
import numpy as np
import pytest

from ingest.compiled.times import read_time
from ingest.compiled.tokens import POWERS, read_number
from ingest.decode.times import parse_text
from ingest.records import Payloads


@numba.njit
def _numbers(buf: np.ndarray, starts: np.ndarray, values: np.ndarray, ends: np.ndarray) -> None:
    for place in range(len(starts)):
        values[place], ends[place] = read_number(buf, starts[place], POWERS)


@numba.njit
def _times(buf: np.ndarray, starts: np.ndarray, values: np.ndarray, ends: np.ndarray) -> None:
    for place in range(len(starts)):
        values[place], ends[place] = read_time(buf, starts[place])


def read(kernel: object, texts: Iterable[str], kind: type) -> tuple[np.ndarray, np.ndarray]:
    """Values, and whether each text was read to its end."""
    payloads = Payloads.of([text.encode() for text in texts])
    values, ends = np.zeros(len(payloads), kind), np.zeros(len(payloads), np.int64)
    kernel(payloads.buf, payloads.starts, values, ends)  # type: ignore[operator]
    return values, ends == payloads.ends


def _between_two_doubles(chance: random.Random) -> str:
    """A text of 17 digits next to the middle between two doubles."""
    below = chance.uniform(1, 1000)
    middle = (Fraction(below) + Fraction(math.nextafter(below, 2000))) / 2
    places = 17 - len(str(int(below)))
    number = round(middle * 10**places) + chance.randrange(-1, 2)
    return f"{number // 10**places}.{number % 10**places:0{places}d}"


def test_a_number_that_is_read_is_the_nearest_double() -> None:
    chance = random.Random(5)
    kinds = (
        lambda: repr(chance.random() * 10 ** chance.randrange(-3, 9)),
        lambda: repr(chance.uniform(-180, 180)),
        lambda: str(chance.randrange(10**18)),
        lambda: f"{chance.randrange(10**6)}.{chance.randrange(10**12):012d}",
        lambda: f"{chance.randrange(10 ** chance.randrange(1, 18))}e{chance.randrange(-25, 25)}",
        lambda: _between_two_doubles(chance),
    )
    texts = [chance.choice(kinds)() for _ in range(100_000)]
    values, whole = read(_numbers, texts, np.float64)
    meant = np.array([float(text) for text in texts])
    assert (values[whole] == meant[whole]).all()
    assert whole.mean() > 0.9


@pytest.mark.parametrize("text", ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "-0", "1e999", "0x1", "1_0", "NaN"])
def test_what_is_no_plain_number_is_not_read(text: str) -> None:
    assert not read(_numbers, [text], np.float64)[1][0]


def test_a_time_that_is_read_is_the_one_that_is_meant() -> None:
    chance, buf = random.Random(6), "0123456789"
    texts = []
    for _ in range(50_000):
        text = list(
            f"{chance.randrange(1, 9999):04d}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 32):02d}T"
            f"{chance.randrange(24):02d}:{chance.randrange(60):02d}:{chance.randrange(60):02d}"
            + chance.choice(["", ".1", ".12", ".123", ".123456789"])
            + chance.choice(["Z", "+01:30", "-23:59"])
        )
        if chance.random() < 0.3:
            text[chance.randrange(len(text))] = chance.choice(buf + ":-T.Zx")
        texts.append("".join(text))
    values, whole = read(_times, [f'{text}"' for text in texts], np.int64)
    meant = [parse_text(text) for text in texts]
    assert all(value == exact for value, exact, read in zip(values.tolist(), meant, whole, strict=True) if read)
    assert whole.sum() > 0.9 * sum(exact is not None for exact in meant)
