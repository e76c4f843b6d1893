"""Building live state anew from history and landing, while consumers go on writing."""

import asyncio
from collections.abc import Iterable, Iterator

import pyarrow as pa

from contracts.errors import SinkUnavailable
from ingest.live.protocol import LiveState

ROWS_A_WRITE = 50_000


async def rebuild(live: LiveState, batches: Iterable[pa.RecordBatch], epoch: str) -> int:
    """Write all rows through the guard, in any order, then set the epoch. Returns the number of rows.

    batches: contracts.record.LANDING_SCHEMA; read in a thread, as they come from files. `epoch` is set last, so a
    rebuild that was cut off is seen and started again. Raises SinkUnavailable, also where
    live state was lost meanwhile.
    """
    source, rows = iter(batches), 0
    await live.begin_rebuild(epoch)
    while (batch := await asyncio.to_thread(_next, source)) is not None:
        for start in range(0, batch.num_rows, ROWS_A_WRITE):
            await live.write(batch.slice(start, ROWS_A_WRITE))
        rows += batch.num_rows
    if not await live.end_rebuild(epoch):
        raise SinkUnavailable("live state was lost while it was rebuilt; rebuild it again")
    return rows


def _next(source: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    return next(source, None)
