"""JSON Lines with a mapping: objects become columns; lines that are not objects are sent unchanged, in place."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa

from contracts.errors import BadInputFile
from devices.outgoing import NO_KEY, Outgoing
from devices.replay.findings import HALF_SURROGATE, Findings
from devices.replay.lines import LinesFile, records_of
from devices.replay.rows import RowMaker
from devices.replay.times import UNKNOWN

Kinds: TypeAlias = dict[str, pa.DataType]
"""Fields in order, and what each looks like."""
OWN_MAPS = frozenset({"signals", "attributes"})
_DEEPEST = 8
"""Objects within each other that are taken apart; what is deeper is one value."""
_KINDS: dict[frozenset[type], pa.DataType] = {
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
    frozenset({str}): pa.string(),
    frozenset(): pa.null(),
}


class ObjectReader:
    """Reads lines as JSON objects, flat: what stands in an object within has its path as name, `position.latitude`.

    The record's own maps stay whole. paths: the fields that the mapping names, which may lead into those maps too.
    Counts what it has to leave out.
    """

    def __init__(self, paths: Collection[str], findings: Findings) -> None:
        self._own = [tuple(path.split(".")) for path in paths if path.partition(".")[0] in OWN_MAPS and "." in path]
        self._findings = findings

    def read(self, line: bytes) -> dict[str, Any] | None:
        """The line's JSON object, or None where it is none. NaN, as Python writes it, is no value."""
        try:
            found = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = self._read_leniently(line)
        if not isinstance(found, dict):
            return None
        return self._flat(found) if any(isinstance(value, dict) for value in found.values()) else found

    def _read_leniently(self, line: bytes) -> Any:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return self._whole_text(found, "") if b"\\u" in line else found

    def _whole_text(self, value: Any, name: str) -> Any:
        """The value without texts that are no Unicode, as an emoji that was cut in half."""
        if isinstance(value, dict):
            good = {key: inner for key, inner in value.items() if _is_unicode(key) and _is_unicode(inner)}
            for key in value.keys() - good.keys():
                self._findings.drop(name or (key if _is_unicode(key) else "a name"), HALF_SURROGATE)
            return {key: self._whole_text(inner, name or key) for key, inner in good.items()}
        if isinstance(value, list):
            kept = [self._whole_text(inner, name) for inner in value if _is_unicode(inner)]
            self._findings.drop(name, HALF_SURROGATE, len(value) - len(kept))
            return kept
        return value

    def _flat(self, found: dict[str, Any]) -> dict[str, Any]:
        flat = {name: value for name, value in found.items() if not isinstance(value, dict) or name in OWN_MAPS}
        for way, value in _leaves(found, ()):
            flat.setdefault(".".join(way), value)
        for way in self._own:
            value = found
            for step in way:
                value = value.get(step) if isinstance(value, dict) else None
            if value is not None:
                flat.setdefault(".".join(way), value)
        return flat


def object_kinds(lines: LinesFile, reader: ObjectReader, file: str) -> Kinds:
    """The fields that the first lines have and what they look like. Raises BadInputFile where none is an object."""
    first = next(iter(islice(lines.line_batches(), 1)), [])
    kinds = kinds_of([found for found in records_of(first, reader.read)[1] if found is not None])
    if not kinds:
        raise BadInputFile(f"{file}: none of its first {len(first)} lines is a JSON object with a field")
    return kinds


def kinds_of(objects: Sequence[dict[str, Any]], known: Kinds | None = None) -> Kinds:
    """What the objects' fields look like, but those that are known, in the order in which they are first met."""
    names: dict[str, Any] = {}
    for found in objects:
        names.update(found)
    return {name: _array(objects, name).type for name in names if known is None or name not in known}


def mapped_lines(
    lines: LinesFile, reader: ObjectReader, maker_for: Callable[[Sequence[dict[str, Any]]], RowMaker]
) -> Iterator[Outgoing]:
    """Every line in file order: an object made anew by the maker for its batch's objects, any other line as it is."""
    for cut in lines.line_batches():
        batch, objects = records_of(cut, reader.read)
        found = [record for record in objects if record is not None]
        maker = maker_for(found)
        arrays = [_array(found, name) for name in maker.columns]
        made = maker.make(pa.RecordBatch.from_arrays(arrays, names=maker.columns))
        lines.not_json += len(batch) - len(found)
        yield made if len(found) == len(batch) else _woven(batch, objects, made)


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


def _leaves(found: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values below an object's own objects, by their paths."""
    for name, value in found.items():
        way = (*above, name)
        if not above and (name in OWN_MAPS or not isinstance(value, dict)):
            continue
        if isinstance(value, dict) and len(way) < _DEEPEST:
            yield from _leaves(value, way)
        else:
            yield way, value


def _is_unicode(value: Any) -> bool:
    """Whether it is no text, or one that can be written."""
    try:
        str.encode(value) if isinstance(value, str) else None
    except UnicodeEncodeError:
        return False
    return True
