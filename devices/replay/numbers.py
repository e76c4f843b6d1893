"""Columns to numbers, cell by cell where a column has cells that are none."""

import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.mapping import Source
from devices.encode import present
from devices.replay.findings import NOT_FINITE, NULL_MARKER, Findings
from devices.replay.nulls import Nulls, without

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NOT_FINITE = frozenset({"inf", "-inf", "+inf", "infinity", "-infinity", "nan"})


class TextRules(NamedTuple):
    """How the texts of a file are read. decimal: the mark in numbers."""

    decimal: str
    nulls: Nulls


class Read(NamedTuple):
    """Values as the record says them, and the places of texts that are no number (None in values)."""

    values: list[Any]
    bad: list[int]


def read_numbers(values: pa.Array, column: str, source: Source, findings: Findings) -> list[Any]:
    """A column of numbers; what is not finite is left out and counted."""
    if pa.types.is_integer(values.type) and not source.scaled:
        listed: list[Any] = values.to_pylist()
        return listed
    return _finite(_scaled(doubles(values), source), values.null_count, column, findings)


def read_texts(
    values: pa.Array, column: str, source: Source, *, whole: bool, rules: TextRules, findings: Findings
) -> Read:
    """A column of texts. whole: they look like whole numbers. Blanks around a number and null markers are no fault."""
    kind = pa.int64() if whole else pa.float64()
    found = cast_or_none(values, kind) if rules.decimal == "." else None
    if found is None:
        values = cleaned(values, column, rules, findings)
        found = cast_or_none(values, kind)
    if found is not None:
        return Read(read_numbers(found, column, source, findings), [])
    return _cell_by_cell(values.to_pylist(), column, source, findings)


def cleaned(values: pa.Array, column: str, rules: TextRules, findings: Findings) -> pa.Array:
    """Texts without blanks around them and null markers, and with a point as the decimal mark."""
    values = pc.utf8_trim_whitespace(values)
    marked = rules.nulls.marked(values, free_text=False)
    findings.drop(column, NULL_MARKER, int(pc.sum(marked).as_py() or 0))
    values = without(values, marked)
    if rules.decimal == ",":
        # A point is no decimal mark here, so a number with one is none.
        values = pc.replace_substring(pc.replace_substring(values, ".", "_"), ",", ".")
    return values


def cast_or_none(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """The values as that kind, or None where one of them is not."""
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


def doubles(values: pa.Array) -> NDArray[np.float64]:
    """Numbers as doubles, NaN for null. A decimal becomes the double nearest to what it says."""
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.string())
    made: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return made


def _scaled(numbers: NDArray[np.float64], source: Source) -> NDArray[np.float64]:
    if not source.scaled:
        return numbers
    with np.errstate(over="ignore"):  # What overflows is not finite, and left out as such.
        numbers = numbers * source.factor + source.offset
    return numbers if source.decimals is None else np.round(numbers, source.decimals)


def _finite(numbers: NDArray[np.float64], null_count: int, column: str, findings: Findings) -> list[Any]:
    findings.drop(column, NOT_FINITE, len(numbers) - int(np.isfinite(numbers).sum()) - null_count)
    return present(numbers)


def _cell_by_cell(texts: list[str | None], column: str, source: Source, findings: Findings) -> Read:
    made: list[Any] = [None] * len(texts)
    bad = []
    for place, text in enumerate(texts):
        if text is None:
            continue
        if _NUMBER.fullmatch(text):
            number = int(text) if _WHOLE.fullmatch(text) else float(text)
            made[place] = read_numbers(pa.array([number]), column, source, findings)[0]
        elif text.lower() in _NOT_FINITE:
            findings.drop(column, NOT_FINITE)
        else:
            bad.append(place)
    return Read(made, bad)
