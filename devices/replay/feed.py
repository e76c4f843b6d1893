"""A file and a mapping, ready to be sent: everything that can be known to be wrong has been checked."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from contracts.errors import BadInputFile, BadMapping
from devices.outgoing import Outgoing
from devices.replay.lines import LinesFile
from devices.replay.mapping import Mapping
from devices.replay.objects import mapped_lines, object_kinds
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
    - `seen` and `not_json` tell of what `outgoing` has given so far.
    """

    rows: int | None
    seen: Seen
    dropped: tuple[str, ...]

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
        self._plan = resolve(mapping, table.kinds, str(path))
        self._maker = RowMaker(self._plan, table.kinds, str(path))
        self._table, self._file, self._mapping = table, str(path), mapping
        self.seen, self.dropped = self._maker.seen, self._plan.dropped

    def outgoing(self) -> Iterator[Outgoing]:
        """See Feed."""
        return map(self._maker.make, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if self._mapping.sort_by:
            return sorted_batches(self._table, self._plan.columns, self._mapping.ts, self._file)
        return self._table.batches(self._plan.columns)


class MappedLinesFeed:
    """A JSON Lines file under a mapping."""

    rows: int | None = None

    def __init__(self, path: Path, mapping: Mapping) -> None:
        if mapping.sort_by:
            raise BadMapping(f"sort_by works on Parquet and CSV, not on {path}; sort its lines, or leave it out")
        self._lines = LinesFile(path)
        kinds = object_kinds(self._lines, str(path))
        self._plan = resolve(mapping, kinds, str(path))
        self._maker = RowMaker(self._plan, kinds, str(path))
        self.seen, self.dropped = self._maker.seen, self._plan.dropped

    @property
    def not_json(self) -> int:
        """Lines so far that are no JSON object."""
        return self._lines.not_json

    def outgoing(self) -> Iterator[Outgoing]:
        """See Feed."""
        return mapped_lines(self._lines, self._plan.columns, self._maker)


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
