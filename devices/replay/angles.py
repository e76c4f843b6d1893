"""Latitudes and longitudes that are not written as signed decimal degrees."""

import re
from collections.abc import Collection
from collections.abc import Mapping as Columns

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import BadInputFile
from contracts.mapping import Source
from devices.encode import present
from devices.replay.findings import Findings
from devices.replay.numbers import TextRules, cast_or_none, cleaned, doubles
from devices.replay.texts import is_text, texts

NO_ANGLE = "no angle of that form, or no hemisphere"
_LETTERS = {"lat": "NS", "lon": "EW"}
_LIMIT_DEG = {"lat": 90.0, "lon": 180.0}
_IN_TEXT = r"^(?P<before>[NSEWnsew]?)\s*(?P<number>[+-]?[0-9]+(?:\.[0-9]*)?)\s*(?P<after>[NSEWnsew]?)$"
_DIGITS = {"lat": 4, "lon": 5}
"""Digits before the point in NMEA 0183: ddmm.mmmm and dddmm.mmmm. Decimal degrees never have so many."""
_HEMISPHERE = re.compile(r"(ns|ew|nors|eorw|(lat|lon).*(ns|ew|dir|direction|ref|hem|hemi|hemisphere))", re.ASCII)
_PLACES = 9
_SIXTY = 60


def read_angles(
    name: str,
    values: pa.Array,
    hemispheres: pa.Array | None,
    source: Source,
    *,
    rules: TextRules,
    findings: Findings,
) -> list[float | None]:
    """Degrees, as `source.convert` and the hemisphere say. What cannot be read is left out and counted."""
    numbers, letters, there = _parts(values, source.column, rules, findings)
    if hemispheres is not None:
        letters = _letters(hemispheres)
    size = np.abs(numbers)
    if source.convert is not None:
        size = _degrees(size, seconds=source.convert == "degrees_minutes_seconds")
    sign = _signs(letters, _LETTERS.get(name, "NSEW"), required=source.hemisphere is not None)
    sign = np.where(numbers < 0, np.where(sign == 1.0, np.where(letters == "", -1.0, np.nan), sign), sign)
    degrees = np.round(size * sign * source.factor + source.offset, source.decimals or _PLACES)
    made = present(degrees)
    findings.drop(source.column, NO_ANGLE, there - (len(made) - made.count(None)))
    return made


def check_decimal_degrees(positions: Columns[str, str], batch: pa.RecordBatch, file: str) -> None:
    """positions: columns of lat and lon that are to be read as degrees, by those names. batch: a file's first.

    Raises BadInputFile where they are degrees and minutes: texts by their digits, numbers where both are too large.
    """
    numbers = []
    for name, column in positions.items():
        values = batch[column].drop_null()
        if not len(values):
            continue
        if is_text(values.type):
            pattern = rf"^[0-9]{{{_DIGITS[name]}}}[.,][0-9]+$"
            if pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(values), pattern)).as_py():
                raise _not_decimal(name, column, values, file)
        elif pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
            numbers.append((name, column, values))
    if len(numbers) == len(_DIGITS) and all(_too_large(name, doubles(values)) for name, _, values in numbers):
        raise _not_decimal(*numbers[0], file)


def _too_large(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether most are beyond what degrees can be, and all may be degrees and minutes."""
    size, most = np.abs(numbers), _LIMIT_DEG[name]
    return bool(np.median(size) > most and (size <= most * 100).all() and (size % 100 < _SIXTY).all())


def _not_decimal(name: str, column: str, values: pa.Array, file: str) -> BadInputFile:
    return BadInputFile(
        f"{file}: the values of {column!r}, such as {values[0].as_py()}, look like degrees and minutes (NMEA 0183), "
        f'not like degrees; say so in a mapping: [fields] {name} = {{ column = "{column}", '
        'convert = "degrees_minutes", hemisphere = "the column with N, S, E or W" }'
    )


def zero_padded(name: str, values: pa.Array) -> pa.Array | None:
    """Which texts are degrees and minutes for sure, though they are small enough to pass for degrees; None: none."""
    if name not in _DIGITS or not pc.any(pc.starts_with(values, "00")).as_py():
        return None
    return pc.fill_null(pc.match_substring_regex(values, rf"^[0-9]{{{_DIGITS[name]}}}([.,]|$)"), False)


def check_hemispheres(batch: pa.RecordBatch, unnamed: Collection[str], positions: Columns[str, str], file: str) -> None:
    """batch: a file's first. unnamed: columns that nothing names. positions: columns of lat and lon, by those names.

    Raises BadInputFile where one of them says in which hemisphere a position lies, which nothing takes into account.
    """
    for column in unnamed:
        if not _HEMISPHERE.fullmatch(re.sub(r"[^a-z]", "", column.lower())):
            continue
        letters = set(texts(batch[column])) - {None}
        for name, degrees in positions.items():
            if letters and letters <= set(_LETTERS[name]):
                raise BadInputFile(
                    f"{file}: column {column!r} says in which hemisphere {degrees!r} lies "
                    f"({', '.join(sorted(letters))}); use it in a mapping: [fields] {name} = "
                    f'{{ column = "{degrees}", hemisphere = "{column}" }}, or list it in drop = ["{column}"]'
                )


def _parts(
    values: pa.Array, column: str, rules: TextRules, findings: Findings
) -> tuple[NDArray[np.float64], NDArray[np.str_], int]:
    """Signed numbers (NaN for what is none), the letters that stand beside them, and how many values there are."""
    if not is_text(values.type):
        return doubles(values), np.full(len(values), ""), len(values) - values.null_count
    values = cleaned(values, column, rules, findings)
    parts = pc.extract_regex(values, _IN_TEXT)
    numbers = cast_or_none(pc.struct_field(parts, "number"), pa.float64())
    assert numbers is not None  # noqa: S101 - the pattern lets numbers pass only
    letters = pc.binary_join_element_wise(pc.struct_field(parts, "before"), pc.struct_field(parts, "after"), "")
    return doubles(numbers), _letters(letters), len(values) - values.null_count


def _letters(values: pa.Array) -> NDArray[np.str_]:
    """First letters, in upper case; empty for null."""
    texts = pc.utf8_slice_codeunits(pc.utf8_upper(pc.utf8_trim_whitespace(values.cast(pa.string()))), 0, 1)
    made: NDArray[np.str_] = np.array(pc.fill_null(texts, "").to_pylist(), dtype=np.str_)
    return made


def _degrees(size: NDArray[np.float64], *, seconds: bool) -> NDArray[np.float64]:
    """dddmm.mmmm or dddmmss.sss to degrees; NaN where minutes or seconds are 60 and more."""
    if seconds:
        size, left = np.divmod(size, 100)
        size = size + np.where(left < _SIXTY, left / _SIXTY, np.nan)
    degrees, minutes = np.divmod(size, 100)
    made: NDArray[np.float64] = degrees + np.where(minutes < _SIXTY, minutes / _SIXTY, np.nan)
    return made


def _signs(letters: NDArray[np.str_], allowed: str, *, required: bool) -> NDArray[np.float64]:
    """1 or -1 by letter; NaN for one that is not allowed, or that is missing and required."""
    sign = np.full(len(letters), np.nan)
    for letter in allowed:
        sign[letters == letter] = -1.0 if letter in "SW" else 1.0
    if not required:
        sign[letters == ""] = 1.0
    return sign
