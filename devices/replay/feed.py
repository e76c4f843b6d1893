"""A file and its mapping, checked and ready to be sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from contracts.errors import BadInputFile, BadMapping
from contracts.mapping import Mapping
from devices.outgoing import Outgoing
from devices.replay.csv_table import CsvTable
from devices.replay.findings import Findings
from devices.replay.lines import LinesFile
from devices.replay.nulls import Nulls
from devices.replay.numbers import TextRules
from devices.replay.objects import Kinds, ObjectReader, kinds_of, mapped_lines, object_kinds
from devices.replay.parquet_table import ParquetTable
from devices.replay.plan import named_columns, resolve
from devices.replay.probe import FileForm, probe
from devices.replay.rows import RowMaker, Seen
from devices.replay.tables import Table, sorted_batches


class Feed(Protocol):
    """The records of one file.

    Promises
    - `outgoing` gives every row or line once, in file order or sorted as the mapping says; the same file and mapping
      give the same bytes every time.
    - A record whose event time cannot be read has UNKNOWN as due_ms.
    - `seen`, `dropped` and `not_json` tell of what `outgoing` has given so far; `seen.findings.decided` says from the
      start how the file is read.
    """

    rows: int | None
    seen: Seen

    @property
    def dropped(self) -> tuple[str, ...]: ...

    @property
    def not_json(self) -> int: ...

    def outgoing(self) -> Iterator[Outgoing]: ...


class TableFeed:
    """A Parquet or CSV file."""

    not_json = 0

    def __init__(self, form: FileForm, mapping: Mapping) -> None:
        table: Table = CsvTable(form, mapping) if form.kind == "csv" else ParquetTable(form, named_columns(mapping))
        if table.rows == 0:
            raise BadInputFile(f"{form.path} has no rows")
        self.rows = table.rows
        self._table, self._file, self._mapping = table, str(form.path), mapping
        rules = TextRules(table.decimal, Nulls(mapping.null, is_csv=table.is_csv))
        self.seen = Seen(Findings(table.told() | _told(mapping, rules)))
        for note in table.notes():
            self.seen.findings.note(note)
        plan = resolve(mapping, table.kinds, self._file)
        self._maker = RowMaker(plan, table.kinds, self._file, self.seen, rules, is_csv=table.is_csv)
        self.dropped = self._maker.dropped

    def outgoing(self) -> Iterator[Outgoing]:
        """See Feed."""
        return map(self._maker.make, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if self._mapping.sort_by:
            return sorted_batches(self._table, self._maker.columns, self._mapping.ts, self._file)
        return self._table.batches(self._maker.columns)


class MappedLinesFeed:
    """A JSON Lines file under a mapping. Fields that the first lines do not have are mapped when they appear."""

    rows: int | None = None

    def __init__(self, form: FileForm, mapping: Mapping) -> None:
        if mapping.sort_by:
            raise BadMapping(f"sort_by works on Parquet and CSV, not on {form.path}; sort its lines, or leave it out")
        self._lines, self._file, self._mapping = LinesFile(form), str(form.path), mapping
        self._rules = TextRules(mapping.decimal or ".", Nulls(mapping.null, is_csv=False))
        paths = named_columns(mapping)
        self._first = object_kinds(self._lines, ObjectReader(paths, Findings()), self._file)
        # What is null in all of the first lines has yet to show what it is.
        self._known = {name: kind for name, kind in self._first.items() if not pa.types.is_null(kind)}
        self._further: Kinds = {}
        self.seen = Seen(Findings(self._lines.seen.findings.decided | _told(mapping, self._rules)))
        self._reader = ObjectReader(paths, self.seen.findings)
        self._maker = self._maker_of(self._first)
        self._dropped = dict.fromkeys(self._maker.dropped)

    @property
    def not_json(self) -> int:
        """Number of lines so far that are not JSON objects."""
        return self._lines.not_json

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fields so far that are not sent."""
        return tuple(self._dropped)

    def outgoing(self) -> Iterator[Outgoing]:
        """See Feed."""
        return mapped_lines(self._lines, self._reader, self._maker_for)

    def _maker_for(self, objects: Sequence[dict[str, Any]]) -> RowMaker:
        """The maker for a batch: further fields are those of its own objects, so that no file makes it grow."""
        further = kinds_of(objects, self._known)
        if further != self._further:
            self._further = further
            self._maker = self._maker_of(self._first | further)
            self._dropped |= dict.fromkeys(self._maker.dropped)
        return self._maker

    def _maker_of(self, kinds: Kinds) -> RowMaker:
        return RowMaker(resolve(self._mapping, kinds, self._file), kinds, self._file, self.seen, self._rules)


def open_feed(path: Path, mapping: Mapping) -> Feed:
    """The file's records as the mapping makes them.

    Raises BadInputFile where the file is missing, of no known kind, empty, damaged or without device_id or ts;
    BadMapping where the mapping does not fit it.
    """
    form = probe(path, mapping.encoding)
    if form.kind != "json":
        return TableFeed(form, mapping)
    return LinesFile(form) if mapping == Mapping() else MappedLinesFeed(form, mapping)


def _told(mapping: Mapping, rules: TextRules) -> dict[str, Any]:
    """What the mapping decides, as the report says it."""
    rule = mapping.ts
    zone = rule.zone or "in the times"
    return {
        "null": rules.nulls.told,
        "null_in_text": rules.nulls.told_in_text,
        "ts": {"column": rule.column, "number_in": rule.unit, "format": rule.format or "RFC 3339 or ISO 8601"},
        "zone": zone,
        "clock_changes": "a skipped hour with the offset before the change, of a doubled hour the first",
    }
