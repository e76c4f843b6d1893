"""Writes to live state around the rows that it refuses."""

from collections.abc import Awaitable, Callable

import pyarrow as pa
import structlog

from contracts.errors import SinkUnavailable
from ingest.bisection import Bisection
from ingest.runtime.metrics import Metrics

MOST_REFUSED_OF_NONE_TAKEN = 16
"""Where so many rows are refused before a single one is taken, the store is broken, not the rows."""
_log = structlog.get_logger()


async def write_around(
    write: Callable[[pa.RecordBatch], Awaitable[object]], rows: pa.RecordBatch, metrics: Metrics
) -> None:
    """Write all rows but those that the store refuses alone: these are counted, and logged by position.

    Landing has the refused rows, or will have them; once the cause is fixed, a rebuild brings them to live state.
    write: takes rows of contracts.record.LANDING_SCHEMA and may be repeated for the same rows. Raises SinkUnavailable
    where the store is down or takes nothing at all; MemoryError where a single row finds no memory.
    """
    taken, refused = 0, list[tuple[int, Exception]]()
    for start, stop in (ranges := Bisection(rows.num_rows)):
        try:
            await write(rows.slice(start, stop - start))
        except SinkUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a row breaks, the others are written
            if ranges.alone(error):
                refused.append((start, error))
                if not taken and len(refused) >= MOST_REFUSED_OF_NONE_TAKEN:
                    raise SinkUnavailable(f"live state takes nothing: {type(error).__name__}") from None
        else:
            taken += stop - start
    for place, cause in refused:
        metrics.live_refused.labels(type(cause).__name__).inc()
        position = {name: rows.column(name)[place].as_py() for name in ("shard_id", "sequence_number", "sub_sequence")}
        _log.error("live.refused", **position, error=type(cause).__name__)
