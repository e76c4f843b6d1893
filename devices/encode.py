"""Encodes columns of records as JSON: the contract's field order, absent values left out."""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Values = Sequence[Any]
"""One value per record, None where it is absent."""

_encoder = msgspec.json.Encoder()


class RowEncoder:
    """Encodes rows of one shape. The same values always give the same bytes.

    fields: names at the top of the record, in order. signals, attributes: names inside those two maps.
    """

    def __init__(self, fields: Sequence[str], signals: Sequence[str] = (), attributes: Sequence[str] = ()) -> None:
        self._signals = _struct("Signals", signals) if signals else None
        self._attributes = _struct("Attributes", attributes) if attributes else None
        maps = [name for name, shape in (("signals", signals), ("attributes", attributes)) if shape]
        self._row = _struct("Row", [*fields, *maps])

    def encode(self, fields: Sequence[Values], signals: Sequence[Values], attributes: Sequence[Values]) -> list[bytes]:
        """One JSON object per row, without None at any level and without empty maps."""
        columns = list(fields)
        for shape, values in ((self._signals, signals), (self._attributes, attributes)):
            if shape is not None:
                columns.append(_maps(shape, values))
        # A JSON text holds no raw newline, so one call for many rows can be cut at newlines.
        lines = _encoder.encode_lines(list(map(self._row, *columns))).split(b"\n")
        lines.pop()
        return lines


def present(values: NDArray[Any]) -> list[Any]:
    """An array's values as Python values, None for what JSON cannot express (NaN, infinities)."""
    listed: list[Any] = values.tolist()
    if values.dtype.kind == "f":
        for index in np.flatnonzero(~np.isfinite(values)).tolist():
            listed[index] = None
    return listed


def constant(value: Any, rows: int) -> list[Any]:
    """The same value in every row."""
    return list(repeat(value, rows))


def _struct(name: str, fields: Sequence[str]) -> type[msgspec.Struct]:
    """A struct with these fields, whose names may have any characters; None is not encoded."""
    made = [(f"f{index}", Any, None) for index in range(len(fields))]
    rename = {f"f{index}": field for index, field in enumerate(fields)}
    return msgspec.defstruct(name, made, rename=rename, omit_defaults=True, gc=False)


def _maps(shape: type[msgspec.Struct], values: Sequence[Values]) -> Values:
    made = list(map(shape, *values))
    if any(None not in column for column in values):
        return made
    empty = shape()
    return [None if row == empty else row for row in made]
