"""A file and its mapping, checked and ready to be sent."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from contracts.errors import BadInputFile, BadMapping
from devices.outgoing import Outgoing
from devices.replay.lines import LinesFile
from devices.replay.mapping import Mapping
from devices.replay.objects import Kinds, kinds_of, mapped_lines, object_kinds
from devices.replay.plan import resolve
from devices.replay.rows import RowMaker, Seen
from devices.replay.tables import CsvTable, ParquetTable, Table, sorted_batches

TABLES: dict[str, Callable[[Path], Table]] = {".parquet": ParquetTable, ".csv": CsvTable, ".csv.gz": CsvTable}
LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")


class Feed(Protocol):
    """The records of one file.

    Promises
    - `outgoing` gives every row or line once, in file order or sorted as the mapping says; the same file and mapping
      give the same bytes every time.
    - A record whose event time cannot be read has UNKNOWN as due_ms.
    - `seen`, `dropped` and `not_json` tell of what `outgoing` has given so far.
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

    def __init__(self, path: Path, table: Table, mapping: Mapping) -> None:
        if table.rows == 0:
            raise BadInputFile(f"{path} has no rows")
        self.rows = table.rows
        self.seen = Seen()
        self._maker = RowMaker(resolve(mapping, table.kinds, str(path)), table.kinds, str(path), self.seen)
        self._table, self._file, self._mapping = table, str(path), mapping
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

    def __init__(self, path: Path, mapping: Mapping) -> None:
        if mapping.sort_by:
            raise BadMapping(f"sort_by works on Parquet and CSV, not on {path}; sort its lines, or leave it out")
        self._lines, self._file, self._mapping = LinesFile(path), str(path), mapping
        self._first = object_kinds(self._lines, self._file)
        # What is null in all of the first lines has yet to show what it is.
        self._known = {name: kind for name, kind in self._first.items() if not pa.types.is_null(kind)}
        self._further: Kinds = {}
        self.seen = Seen()
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
        return mapped_lines(self._lines, self._maker_for)

    def _maker_for(self, objects: Sequence[dict[str, Any]]) -> RowMaker:
        """The maker for a batch: further fields are those of its own objects, so that no file makes it grow."""
        further = kinds_of(objects, self._known)
        if further != self._further:
            self._further = further
            self._maker = self._maker_of(self._first | further)
            self._dropped |= dict.fromkeys(self._maker.dropped)
        return self._maker

    def _maker_of(self, kinds: Kinds) -> RowMaker:
        return RowMaker(resolve(self._mapping, kinds, self._file), kinds, self._file, self.seen)


def open_feed(path: Path, mapping: Mapping) -> Feed:
    """The file's records as the mapping makes them.

    Raises BadInputFile where the file is missing, of no known kind, empty, damaged or without device_id or ts;
    BadMapping where the mapping does not fit it.
    """
    suffix = _checked_suffix(path)
    if suffix in TABLES:
        return TableFeed(path, TABLES[suffix](path), mapping)
    return LinesFile(path) if mapping == Mapping() else MappedLinesFeed(path, mapping)


def _checked_suffix(path: Path) -> str:
    if path.is_dir():
        raise BadInputFile(f"{path} is a folder; name one file of it")
    if not path.exists():
        raise BadInputFile(f"no file {path}")
    suffixes = sorted((*TABLES, *LINES))
    found = [suffix for suffix in suffixes if path.name.lower().endswith(suffix)]
    if not found:
        raise BadInputFile(f"{path}: replay reads {', '.join(suffixes)}")
    if path.stat().st_size == 0:
        raise BadInputFile(f"{path} is empty")
    return found[0]
