"""Column values as the record will say them: numbers scaled, texts plain, absent ones None."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.record import READINGS
from devices.encode import present
from devices.replay.mapping import Source
from devices.replay.plan import is_number

_NESTED = frozenset({"fault_codes", "signals", "attributes"})
_READINGS = frozenset(column.name for column in READINGS)


def field_values(name: str, source: Source, values: pa.Array, kind: pa.DataType) -> Sequence[Any]:
    """Values for a field of the record or a signal.

    kind: what the column is said to be; a text file's columns come as text and are read as their kind. What cannot be
    read so stays text: it is sent as it is, and the consumer flags it.
    """
    if pa.types.is_map(values.type):
        return [None if pairs is None else dict(pairs) for pairs in values.to_pylist()]
    if _is_text(values):
        return _read_text(name, source, values, kind)
    return _numbers(values, source) if is_number(values.type) else _plain(values)


def text_values(values: pa.Array) -> Sequence[Any]:
    """Values for an attribute or the device's id: text, whatever the column holds."""
    listed = _plain(values)
    return listed if _is_text(values) else [None if value is None else _as_text(value) for value in listed]


def _is_text(values: pa.Array) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _read_text(name: str, source: Source, values: pa.Array, kind: pa.DataType) -> Sequence[Any]:
    if name in _NESTED:
        return _each(values.to_pylist(), _json)
    if pa.types.is_boolean(kind) or name == "engine_on":
        return _each(values.to_pylist(), {"true": True, "false": False}.get)
    return _parsed(values, kind, source) if is_number(kind) or source.scaled or name in _READINGS else _plain(values)


def _numbers(values: pa.Array, source: Source) -> Sequence[Any]:
    if pa.types.is_integer(values.type) and not source.scaled:
        return _plain(values)
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not source.scaled:
        return present(numbers)
    with np.errstate(over="ignore"):  # What overflows is not finite, and left out as such.
        numbers = numbers * source.factor + source.offset
    return present(numbers if source.decimals is None else np.round(numbers, source.decimals))


def _parsed(values: pa.Array, kind: pa.DataType, source: Source) -> Sequence[Any]:
    try:
        return _numbers(values.cast(pa.int64() if pa.types.is_integer(kind) else pa.float64()), source)
    except pa.ArrowInvalid:
        return [_parsed_one(text, source) for text in values.to_pylist()]


def _parsed_one(text: str | None, source: Source) -> Any:
    if text is None:
        return None
    try:
        return _numbers(pa.array([int(text)]), source)[0]
    except (ValueError, OverflowError):
        pass
    try:
        return _numbers(pa.array([float(text)]), source)[0]
    except ValueError:
        return text


def _plain(values: pa.Array) -> Sequence[Any]:
    if pa.types.is_temporal(values.type):
        values = pc.cast(values, pa.string())
    listed: list[Any] = values.to_pylist()
    return listed


def _each(listed: list[str | None], read: Callable[[str], Any]) -> list[Any]:
    made = []
    for text in listed:
        value = None if text is None else read(text)
        made.append(text if value is None else value)
    return made


def _json(text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, list | dict) else None


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str) else str(value)
