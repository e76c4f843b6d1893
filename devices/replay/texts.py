"""Columns to texts."""

import math
import re
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_POINT_ZERO = re.compile(r"-?[0-9]+\.0+", re.ASCII)
_BLANKS = (b" ", b"\t", b"\r", b"\n")
_EXACT = 2**53
"""Up to here a double holds every whole number."""


def is_text(kind: pa.DataType) -> bool:
    """Whether values of that type are texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def trimmed(values: pa.Array) -> pa.Array:
    """Texts without white space around them; the same array where none has any, which is seen at once."""
    if not pa.types.is_string(values.type):
        return pc.utf8_trim_whitespace(values)
    _, offsets, data = values.buffers()
    if data is None or not len(values):
        return values
    ends = np.frombuffer(offsets, np.int32)
    written = bytes(memoryview(data)[ends[values.offset] : ends[values.offset + len(values)]])
    plain = written.isascii() and not any(blank in written for blank in _BLANKS)
    return values if plain else pc.utf8_trim_whitespace(values)


def texts(values: pa.Array) -> list[Any]:
    """Any column as texts."""
    if pa.types.is_temporal(values.type):
        values = pc.cast(values, pa.string())
    listed: list[Any] = values.to_pylist()
    return listed if is_text(values.type) else [None if value is None else as_text(value) for value in listed]


def ids(values: pa.Array, *, from_numbers: bool) -> list[Any]:
    """Any column as ids; whole numbers have no point. from_numbers: the texts were written by a tool that took the
    column for numbers, and so put .0 behind each."""
    if is_text(values.type):
        listed: list[Any] = values.to_pylist()
        if not from_numbers:
            return listed
        return [text[: text.index(".")] if text and _POINT_ZERO.fullmatch(text) else text for text in listed]
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return [None if value is None else _whole(value) for value in values.to_pylist()]
    return texts(values)


def as_text(value: Any) -> str:
    """A value as text; JSON for what holds others."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict | tuple):
        return msgspec.json.encode(value).decode()
    return value if isinstance(value, str) else str(value)


def _whole(value: float | Decimal) -> str | None:
    if not math.isfinite(value):
        return None
    exact = isinstance(value, Decimal) or abs(value) < _EXACT
    return str(int(value)) if exact and value == int(value) else str(value)
