"""JSON Lines with a mapping: objects become columns; lines that are not objects are sent unchanged, in place."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa

from contracts.errors import BadInputFile
from devices.outgoing import NO_KEY, Outgoing
from devices.replay.lines import LinesFile
from devices.replay.rows import RowMaker
from devices.replay.times import UNKNOWN

Kinds: TypeAlias = dict[str, pa.DataType]
"""Fields in order, and what each looks like."""
_KINDS: dict[frozenset[type], pa.DataType] = {
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
    frozenset({str}): pa.string(),
    frozenset(): pa.null(),
}


def object_kinds(lines: LinesFile, file: str) -> Kinds:
    """The fields that the first lines have and what they look like. Raises BadInputFile where none is an object."""
    first = next(iter(islice(lines.line_batches(), 1)), [])
    kinds = kinds_of([found for line in first if (found := read_object(line)) is not None])
    if not kinds:
        raise BadInputFile(f"{file}: none of its first {len(first)} lines is a JSON object with a field")
    return kinds


def kinds_of(objects: Sequence[dict[str, Any]], known: Kinds | None = None) -> Kinds:
    """What the objects' fields look like, but those that are known, in the order in which they are first met."""
    names: dict[str, Any] = {}
    for found in objects:
        names.update(found)
    return {name: _array(objects, name).type for name in names if known is None or name not in known}


def mapped_lines(lines: LinesFile, maker_for: Callable[[Sequence[dict[str, Any]]], RowMaker]) -> Iterator[Outgoing]:
    """Every line in file order: an object made anew by the maker for its batch's objects, any other line as it is."""
    for batch in lines.line_batches():
        objects = [read_object(line) for line in batch]
        found = [record for record in objects if record is not None]
        maker = maker_for(found)
        arrays = [_array(found, name) for name in maker.columns]
        made = maker.make(pa.RecordBatch.from_arrays(arrays, names=maker.columns))
        lines.not_json += len(batch) - len(found)
        yield made if len(found) == len(batch) else _woven(batch, objects, made)


def read_object(line: bytes) -> dict[str, Any] | None:
    """The line's JSON object, or None where it is not one."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _woven(batch: list[bytes], objects: list[dict[str, Any] | None], made: Outgoing) -> Outgoing:
    keys, payloads, due = [NO_KEY] * len(batch), list(batch), np.full(len(batch), UNKNOWN, np.int64)
    places = [place for place, record in enumerate(objects) if record is not None]
    for row, place in enumerate(places):
        keys[place], payloads[place] = made.keys[row], made.payloads[row]
    due[places] = made.due_ms
    return Outgoing(keys, payloads, due)


def _array(objects: Sequence[dict[str, Any]], name: str) -> pa.Array:
    """A field of all objects. One type where all values share one; else text, with JSON for what is no text."""
    values = [found.get(name) for found in objects]
    kind = _KINDS.get(frozenset(type(value) for value in values if value is not None))
    if kind is not None:
        try:
            return pa.array(values, kind)
        except (pa.ArrowInvalid, OverflowError):
            pass
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
