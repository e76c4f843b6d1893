"""Column values as the record will say them: each in the type of its field, absent ones None."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.mapping import YES_NO, Source
from contracts.record import LISTS, READINGS, TEXTS
from devices.replay.angles import read_angles, zero_padded
from devices.replay.findings import NO_NUMBER, NULL_MARKER, Findings
from devices.replay.nested import clean_codes, clean_numbers, clean_texts, codes_in_text, map_in_text
from devices.replay.nulls import without
from devices.replay.numbers import Read, TextRules, read_numbers, read_texts
from devices.replay.plan import is_number
from devices.replay.texts import as_text, ids, is_text, texts, trimmed

_READINGS = frozenset(column.name for column in READINGS)
_LISTS = frozenset(column.name for column in LISTS)
_TEXTS = frozenset(column.name for column in TEXTS)
_SEVERAL = re.compile(r"\w\s*[;,|]\s*\w|\w\s+[BCPU]\w{4}")


class ValueReader:
    """Reads the columns of one file. What is not sent, and what is sent as text for want of its type, is counted.

    is_csv: every value is text, and blanks around one belong to the file rather than to the value.
    """

    def __init__(self, rules: TextRules, findings: Findings, *, is_csv: bool) -> None:
        self._rules, self._findings, self._is_csv = rules, findings, is_csv

    def field(
        self, name: str, source: Source, values: pa.Array, kind: pa.DataType, hemispheres: pa.Array | None
    ) -> Sequence[Any]:
        """Values for a field of the record.

        kind: what the column looks like. A text that is not of the field's type is sent as it is, and the consumer
        flags it.
        """
        match name:
            case "event_id":
                return self._event_ids(source.column, values)
            case "engine_on":
                return self._yes_or_no(source.column, values)
            case _ if name in _LISTS:
                return self._nested(source, values, lambda text: codes_in_text(text, source.separator), self._codes)
            case _ if name in _TEXTS:
                return self.attribute(source.column, values)
            case "signals" | "attributes":
                clean = self._numbers if name == "signals" else self._texts
                return self._nested(source, values, map_in_text, clean)
        return self._reading(name, source, values, kind, hemispheres, keep_text=True)

    def signal(
        self, name: str, source: Source, values: pa.Array, kind: pa.DataType, hemispheres: pa.Array | None
    ) -> Sequence[Any]:
        """Values for an entry of signals: numbers only, as one that is none costs its row the whole map."""
        return self._reading(name, source, values, kind, hemispheres, keep_text=False)

    def attribute(self, column: str, values: pa.Array) -> Sequence[Any]:
        """Values for an entry of attributes: text, whatever the column holds."""
        return texts(self._unmarked(column, values, free_text=True))

    def device_ids(self, column: str, values: pa.Array, kind: pa.DataType) -> Sequence[Any]:
        """Values for the device's id. A whole number is written without a point, as 1234 for 1234.0."""
        if self._is_csv:
            values = trimmed(values)
        values = self._unmarked(column, values, free_text=not self._is_csv)
        return ids(values, from_numbers=pa.types.is_floating(kind))

    def _event_ids(self, column: str, values: pa.Array) -> Sequence[Any]:
        return ids(self._unmarked(column, values, free_text=False), from_numbers=False)

    def _unmarked(self, column: str, values: pa.Array, *, free_text: bool) -> pa.Array:
        if not is_text(values.type):
            return values
        marked = self._rules.nulls.marked(values, free_text=free_text)
        count = int(pc.sum(marked).as_py() or 0)
        self._findings.drop(column, NULL_MARKER, count)
        return without(values, marked) if count else values

    def _reading(
        self,
        name: str,
        source: Source,
        values: pa.Array,
        kind: pa.DataType,
        hemispheres: pa.Array | None,
        *,
        keep_text: bool,
    ) -> Sequence[Any]:
        if source.is_angle:
            return read_angles(name, values, hemispheres, source, rules=self._rules, findings=self._findings)
        if not is_text(values.type):
            return self._typed(source, values, keep_other=keep_text)
        degrees_and_minutes = None if source.scaled else zero_padded(name, values)
        if degrees_and_minutes is not None:
            read = self._read(source, without(values, degrees_and_minutes), kind)
            again = [*read.bad, *(place for place, so in enumerate(degrees_and_minutes.to_pylist()) if so)]
        else:
            read = self._read(source, values, kind)
            again = read.bad
        self._bad(source.column, again, values, read.values if keep_text else None)
        return read.values

    def _read(self, source: Source, values: pa.Array, kind: pa.DataType) -> Read:
        whole = pa.types.is_integer(kind)
        return read_texts(values, source.column, source, whole=whole, rules=self._rules, findings=self._findings)

    def _bad(self, column: str, places: Sequence[int], values: pa.Array, kept: list[Any] | None) -> None:
        """Texts that are no number: put into `kept` as they are, or counted as dropped."""
        if kept is None:
            self._findings.drop(column, NO_NUMBER, len(places))
            return
        for place in places:
            kept[place] = values[place].as_py()
        if places:
            self._findings.as_text[column] += len(places)

    def _typed(self, source: Source, values: pa.Array, *, keep_other: bool) -> Sequence[Any]:
        """Values of a column that has a type other than text."""
        if is_number(values.type):
            return read_numbers(values, source.column, source, self._findings)
        listed: list[Any] = values.to_pylist()
        if keep_other:
            return [value if isinstance(value, bool | None) else as_text(value) for value in listed]
        self._findings.drop(source.column, NO_NUMBER, len(listed) - values.null_count)
        return [None] * len(listed)

    def _yes_or_no(self, column: str, values: pa.Array) -> Sequence[Any]:
        if is_text(values.type):
            values = trimmed(values)
        values = self._unmarked(column, values, free_text=False)
        if pa.types.is_boolean(values.type):
            made: list[Any] = values.to_pylist()
            return made
        if is_number(values.type):
            return [bool(value) if value in (0, 1) else value for value in values.to_pylist()]
        listed = texts(values)
        known = {text: None if text is None else YES_NO.get(text.lower(), text) for text in set(listed)}
        if any(isinstance(value, str) for value in known.values()):
            self._findings.as_text[column] += sum(isinstance(known[text], str) for text in listed)
        return [known[text] for text in listed]

    def _nested(
        self,
        source: Source,
        values: pa.Array,
        read: Callable[[str], Any],
        clean: Callable[[str, Any], Any],
    ) -> Sequence[Any]:
        """Lists and maps; as text they are JSON, or what `read` knows besides."""
        made: list[Any] = self._unmarked(source.column, values, free_text=False).to_pylist()
        as_map = pa.types.is_map(values.type)
        for place, value in enumerate(made):
            if value is None:
                continue
            found = read(value) if isinstance(value, str) else dict(value) if as_map else value
            if found is None:
                self._findings.as_text[source.column] += 1
            else:
                made[place] = clean(source.column, found)
        return made

    def _codes(self, column: str, codes: Any) -> Any:
        made = clean_codes(codes, column, self._findings)
        if len(made) == 1 and _SEVERAL.search(made[0]):
            self._findings.note(
                f"{column}: {made[0]!r} is sent as one code; if it is several, say what stands between them in a "
                f'mapping: fault_codes = {{ column = "{column}", separator = ";" }}'
            )
        return made

    def _numbers(self, column: str, entries: Any) -> Any:
        return clean_numbers(entries, column, self._findings)

    def _texts(self, column: str, entries: Any) -> Any:
        return clean_texts(entries, column, self._findings)
