"""Rows that live state does not take: found by halving and left out, while the rest goes on."""

from collections.abc import Awaitable, Callable

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from ingest.runtime.metrics import Metrics

MOST_REFUSED_OF_NONE_TAKEN = 16
"""Where so many rows are refused before a single one is taken, it is the store that is broken, not the rows."""
_log = structlog.get_logger()


async def write_around(
    write: Callable[[pa.RecordBatch], Awaitable[object]], rows: pa.RecordBatch, metrics: Metrics
) -> None:
    """Write all rows but those that the store refuses alone: these are logged by position, and counted.

    They have landed or will: landing is the truth, and live state is rebuilt from it once the cause is mended.
    write: takes rows of contracts.record.LANDING_SCHEMA, may be repeated for the same rows. Raises SinkUnavailable
    where the store is away, or takes nothing at all; MemoryError where a single row finds no memory.
    """
    refused: list[tuple[pa.RecordBatch, Exception]] = []
    await _write(write, rows, refused, taken=[0])
    for row, error in refused:
        metrics.live_refused.labels(type(error).__name__).inc()
        place = {name: row.column(name)[0].as_py() for name in ("shard_id", "sequence_number", "sub_sequence")}
        _log.error("live.refused", **place, error=type(error).__name__)


async def _write(
    write: Callable[[pa.RecordBatch], Awaitable[object]],
    rows: pa.RecordBatch,
    refused: list[tuple[pa.RecordBatch, Exception]],
    *,
    taken: list[int],
) -> None:
    try:
        await write(rows)
    except SinkUnavailable:
        raise
    except Exception as error:
        if rows.num_rows > 1:
            middle = rows.num_rows // 2
            await _write(write, rows.slice(0, middle), refused, taken=taken)
            await _write(write, rows.slice(middle), refused, taken=taken)
            return
        if isinstance(error, MemoryError):
            raise
        refused.append((rows, error))
        if not taken[0] and len(refused) >= MOST_REFUSED_OF_NONE_TAKEN:
            raise SinkUnavailable(f"live state takes nothing: {type(error).__name__}") from None
    else:
        taken[0] += rows.num_rows
