"""Rows of some devices in one Parquet file, reading only the row groups whose statistics allow them.

A file is opened first, which fetches its footer and says how many bytes its rows would take; reading is a second step,
so that a query which is too large ends before it has fetched anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from contracts.columns import in_schema
from contracts.record import LANDING_SCHEMA, NULLABLE_LANDING_SCHEMA
from lake.trail.counted_files import Account, open_counted
from lake.trail.wanted import Wanted

FOOTER_BYTES = 64 * 1024
"""What Arrow fetches of a file's end to find its footer."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file whose footer was read. `rows` closes it."""

    file: pq.ParquetFile
    wanted: Wanted
    groups: tuple[int, ...]
    """Row groups that may hold wanted rows."""

    @property
    def bytes(self) -> int:
        """What `rows` fetches."""
        return sum(_bytes_of(self.file.metadata, group) for group in self.groups)

    def rows(self, deleted: Sequence[pa.ChunkedArray] = ()) -> pa.Table:
        """The wanted rows in NULLABLE_LANDING_SCHEMA; a column that the file lacks is null.

        deleted: positions of rows, counted from the file's start, that a delete file has removed.
        """
        with self.file as file:
            if not self.groups:
                return in_landing_schema(LANDING_SCHEMA.empty_table())
            present = set(file.schema_arrow.names)
            columns = [name for name in LANDING_SCHEMA.names if name in present]
            rows = file.read_row_groups(list(self.groups), columns=columns, use_threads=False)
            if deleted:
                rows = rows.filter(_kept(file.metadata, self.groups, deleted))
        return in_landing_schema(rows.filter(self.wanted.expression))


def open_file(
    store: fs.FileSystem, path: str, wanted: Wanted, account: Account, metadata: pq.FileMetaData | None = None
) -> OpenFile:
    """The file at `path`; its footer is fetched unless `metadata`, which is what it says, is given."""
    if metadata is None:
        account.opened()
    source = open_counted(store, path, account)
    file = pq.ParquetFile(source, metadata=metadata, pre_buffer=True)
    return OpenFile(file, wanted, _matching_groups(file.metadata, wanted))


def device_rows(
    store: fs.FileSystem, path: str, wanted: Wanted, account: Account, deleted: Sequence[pa.ChunkedArray] = ()
) -> pa.Table:
    """The wanted rows of the file at `path`, opened and read in one step. See `OpenFile.rows`."""
    return open_file(store, path, wanted, account).rows(deleted)


def in_landing_schema(rows: pa.Table) -> pa.Table:
    """The rows in NULLABLE_LANDING_SCHEMA; a missing column is null."""
    return in_schema(rows, NULLABLE_LANDING_SCHEMA)


def _matching_groups(metadata: pq.FileMetaData, wanted: Wanted) -> tuple[int, ...]:
    place = {metadata.schema.column(at).path: at for at in range(metadata.num_columns)}
    device_at, ts_at = place["device_id"], place["ts"]
    matching = []
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        device, ts = columns.column(device_at).statistics, columns.column(ts_at).statistics
        if _may_hold_devices(device, wanted) and _may_hold_times(ts, wanted.start, wanted.end):
            matching.append(group)
    return tuple(matching)


def _may_hold_devices(statistics: pq.Statistics | None, wanted: Wanted) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return wanted.has_device_between(statistics.min, statistics.max)


def _may_hold_times(statistics: pq.Statistics | None, low: datetime, high: datetime) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= high and statistics.max >= low)


def _bytes_of(metadata: pq.FileMetaData, group: int) -> int:
    columns = metadata.row_group(group)
    return sum(columns.column(at).total_compressed_size for at in range(columns.num_columns))


def _kept(metadata: pq.FileMetaData, groups: Sequence[int], deleted: Sequence[pa.ChunkedArray]) -> pa.Array:
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    read = np.concatenate([np.arange(starts[group], starts[group + 1]) for group in groups])
    gone = np.concatenate([chunk.to_numpy() for chunk in deleted])
    return pa.array(~np.isin(read, gone))
