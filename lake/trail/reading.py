"""One query's way through the stores: what each says once, and then rows, a slice at a time."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from pyarrow import fs

from contracts.errors import TooMuchToRead
from contracts.outages import S3, store_of
from contracts.record import NULLABLE_LANDING_SCHEMA
from lake.trail.counted_files import Account
from lake.trail.from_history import HistoryPlan
from lake.trail.parquet_rows import FOOTER_BYTES, OpenFile, open_file
from lake.trail.sources import SourceFile
from lake.trail.union import joined
from lake.trail.wanted import Wanted

log = structlog.get_logger()
_MIB = 2**20


class Reading:
    """Reads slices of one query whose live rows, landing objects and history files are known."""

    def __init__(
        self,
        store: fs.FileSystem,
        pool: Executor,
        account: Account,
        most_bytes: int,
        live: pa.Table,
        landing: Sequence[SourceFile],
        history: HistoryPlan,
    ) -> None:
        self._store, self._pool, self._account, self._most_bytes = store, pool, account, most_bytes
        self._live, self._landing, self._history = live, landing, history
        self._footers: dict[str, pq.FileMetaData] = {}
        self.unreadable: set[str] = set()
        """Landing objects that are damaged or gone."""

    def rows(self, part: Wanted) -> pa.Table:
        """The records of a slice, each once, in order, as `joined` makes them. Raises TooMuchToRead before it has
        fetched a row.
        """
        history = [file for file in self._history.files if file.may_hold(part)]
        landing = [file for file in self._landing if file.may_hold(part)]
        self._refuse_too_much(part, len(history) + len(landing), self._footers_to_read([*history, *landing]))
        self._account.asks(S3)
        opened = list(self._pool.map(lambda file: self._opened(file, part), history))
        objects = [one for one in self._pool.map(lambda file: self._opened_object(file, part), landing) if one]
        needed = sum(one.bytes for one in opened) + sum(one.bytes for _, one in objects)
        self._refuse_too_much(part, len(history) + len(landing), needed)
        deleted = self._history.deleted(file.path for file in history)
        gone = [deleted.get(file.path, ()) for file in history]
        stored = _gathered(self._pool.map(OpenFile.rows, opened, gone))
        landed = _gathered(self._pool.map(self._rows_of_object, objects))
        self._account.computes()
        return joined(stored, landed, self._live.filter(part.expression))

    def _opened(self, file: SourceFile, part: Wanted) -> OpenFile:
        opened = open_file(self._store, file.path, part, self._account, self._footers.get(file.path))
        self._footers[file.path] = opened.file.metadata
        return opened

    def _opened_object(self, file: SourceFile, part: Wanted) -> tuple[str, OpenFile] | None:
        """The landing object; None for one that is damaged or gone, of which the merge will tell."""
        if file.path in self.unreadable:
            return None
        try:
            return file.path, self._opened(file, part)
        except (pa.ArrowInvalid, OSError) as error:
            self._leave_out(file.path, error)
            return None

    def _rows_of_object(self, opened: tuple[str, OpenFile]) -> pa.Table:
        path, file = opened
        try:
            return file.rows()
        except (pa.ArrowInvalid, OSError) as error:
            self._leave_out(path, error)
            return NULLABLE_LANDING_SCHEMA.empty_table()

    def _leave_out(self, path: str, error: Exception) -> None:
        """Raises the error again where it says nothing of the object: a store that is away, an access denied."""
        if store_of(error) is not None or "ACCESS_DENIED" in str(error):
            raise error
        self.unreadable.add(path)
        log.warning("landing object cannot be read", key=path, error=type(error).__name__)

    def _footers_to_read(self, files: Sequence[SourceFile]) -> int:
        return sum(
            min(FOOTER_BYTES, FOOTER_BYTES if file.bytes is None else file.bytes)
            for file in files
            if file.path not in self._footers
        )

    def _refuse_too_much(self, part: Wanted, files: int, more: int) -> None:
        if self._account.bytes + more <= self._most_bytes:
            return
        days = (part.end - part.start).total_seconds() / 86_400
        raise TooMuchToRead(
            f"{len(part.devices)} device(s) over {days:,.1f} days are {(self._account.bytes + more) / _MIB:,.0f} MiB of"
            f" {files:,} files to read, more than FLEETLAKE_TRAIL_MAX_MIB={self._most_bytes // _MIB};"
            " ask for a shorter range, for fewer devices, or for a page of so many records"
        )


def _gathered(parts: Iterable[pa.Table]) -> pa.Table:
    filled = [part for part in parts if part.num_rows]
    return pa.concat_tables(filled) if filled else NULLABLE_LANDING_SCHEMA.empty_table()
