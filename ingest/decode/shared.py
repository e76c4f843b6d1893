"""Columns that hold one value in every row: a batch refers to them, and all batches share their memory."""

from functools import cache

import pyarrow as pa

from contracts.record import LANDING_SCHEMA
from ingest.batch import ShardId

MOST_ROWS = 131_072
"""Rows of a shared column; more than an answer of 10 MB holds, but for records below 80 bytes."""
_MOST_SHARDS = 1_024


class SharedColumns:
    """Puts shared columns in the place of those that are all null, and of the shard's name.

    More than a quarter of what a plain record takes decoded is such. The values are the same, and so is `nbytes`, which
    counts what a batch refers to: bounds on it hold, with room to spare.
    """

    def __init__(self) -> None:
        self._shards: dict[ShardId, pa.StringArray] = {}

    def put_into(self, rows: pa.RecordBatch, shard_id: ShardId) -> pa.RecordBatch:
        """The rows, of LANDING_SCHEMA and one shard, by shared columns where that is possible."""
        count = rows.num_rows
        if not 0 < count <= MOST_ROWS:
            return rows
        columns = [
            _nulls(column.type).slice(0, count) if column.null_count == count else column for column in rows.columns
        ]
        columns[_SHARD] = self._named(shard_id, count)
        return pa.RecordBatch.from_arrays(columns, schema=rows.schema)

    def _named(self, shard_id: ShardId, count: int) -> pa.StringArray:
        held = self._shards.get(shard_id)
        if held is None or len(held) < count:
            if len(self._shards) >= _MOST_SHARDS:
                self._shards.clear()
            # A power of two, so that a shard makes few of them.
            held = pa.repeat(pa.scalar(shard_id, pa.string()), 1 << (count - 1).bit_length())
            self._shards[shard_id] = held
        return held.slice(0, count)


@cache
def _nulls(kind: pa.DataType) -> pa.Array:
    return pa.nulls(MOST_ROWS, kind)


_SHARD = LANDING_SCHEMA.get_field_index("shard_id")
