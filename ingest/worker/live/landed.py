"""Reads landing objects as the rows that live state takes."""

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.columns import in_schema
from contracts.errors import FleetlakeError
from contracts.ledger import LandedObject
from contracts.record import LANDING_SCHEMA
from ingest.landing import ObjectStore
from ingest.runtime.offload import Offload

_ROWS_A_WRITE = 50_000
HOUR_MS = 3_600_000


class ObjectGone(FleetlakeError):
    """A landing object that the ledger lists has expired, or cannot be read."""


async def landed_rows(store: ObjectStore, offload: Offload, key: str) -> list[pa.RecordBatch]:
    """The rows of a landing object, as batches of LANDING_SCHEMA; a column that the object lacks is null.

    Raises ObjectGone, SinkUnavailable.
    """
    try:
        data = await store.get(key)
        table = await offload(pq.read_table, pa.BufferReader(data))
        batches: list[pa.RecordBatch] = in_schema(table, LANDING_SCHEMA).to_batches(_ROWS_A_WRITE)
    except KeyError as error:
        raise ObjectGone(f"{key} has expired") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ObjectGone(f"{key} cannot be read: {type(error).__name__}: {error}") from error
    return batches


def long_unseen(landed: LandedObject, now_ms: int, unseen_ms: int) -> bool:
    """Whether live state would forget all rows of the object at once, because they arrived too long ago."""
    return landed.hour_ms + HOUR_MS <= now_ms - unseen_ms
