"""One device's rows of one Parquet file, reading only the row groups whose statistics allow them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from contracts.columns import in_schema
from contracts.record import LANDING_SCHEMA, NULLABLE_LANDING_SCHEMA
from lake.trail.counted_files import Account, open_counted


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device's records with start <= ts < end (both with an offset)."""

    device_id: str
    start: datetime
    end: datetime

    @property
    def expression(self) -> pc.Expression:
        """The same as a filter of Arrow."""
        ts = pc.field("ts")
        return (pc.field("device_id") == self.device_id) & (ts >= pa.scalar(self.start)) & (ts < pa.scalar(self.end))


def device_rows(
    store: fs.FileSystem, path: str, wanted: Wanted, account: Account, deleted: Sequence[pa.ChunkedArray] = ()
) -> pa.Table:
    """The wanted rows of the file at `path`, in LANDING_SCHEMA; a column that the file lacks is null.

    deleted: positions of rows, counted from the file's start, that a delete file has removed.
    Only the footer is fetched where no row group can hold the device within the range.
    """
    account.opened()
    with open_counted(store, path, account) as source, pq.ParquetFile(source, pre_buffer=True) as file:
        groups = _matching_groups(file.metadata, wanted)
        if not groups:
            return LANDING_SCHEMA.empty_table()
        present = set(file.schema_arrow.names)
        columns = [name for name in LANDING_SCHEMA.names if name in present]
        rows = file.read_row_groups(groups, columns=columns, use_threads=False)
        if deleted:
            rows = rows.filter(_kept(file.metadata, groups, deleted))
    return in_landing_schema(rows.filter(wanted.expression))


def in_landing_schema(rows: pa.Table) -> pa.Table:
    """The rows in NULLABLE_LANDING_SCHEMA; a missing column is null."""
    return in_schema(rows, NULLABLE_LANDING_SCHEMA)


def _matching_groups(metadata: pq.FileMetaData, wanted: Wanted) -> list[int]:
    place = {metadata.schema.column(at).path: at for at in range(metadata.num_columns)}
    device_at, ts_at = place["device_id"], place["ts"]
    matching = []
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        device, ts = columns.column(device_at).statistics, columns.column(ts_at).statistics
        if _may_hold(device, wanted.device_id, wanted.device_id) and _may_hold(ts, wanted.start, wanted.end):
            matching.append(group)
    return matching


def _may_hold(statistics: pq.Statistics | None, low: str | datetime, high: str | datetime) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= high and statistics.max >= low)


def _kept(metadata: pq.FileMetaData, groups: list[int], deleted: Sequence[pa.ChunkedArray]) -> pa.Array:
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    read = np.concatenate([np.arange(starts[group], starts[group + 1]) for group in groups])
    gone = np.concatenate([chunk.to_numpy() for chunk in deleted])
    return pa.array(~np.isin(read, gone))
