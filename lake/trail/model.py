"""What a spot query answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the records came from where. A record that is in several places counts for the first of these."""

    history: int = 0
    landing: int = 0
    live: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """A device's records with `start` <= ts < `end`, each identity once, sorted by ts.

    records: columns of contracts.record.LANDING_SCHEMA. A record known from live state only has no record_id that
    a store has confirmed: its record_id, shard_id and sequence_number are empty where Redis does not hold them.
    """

    device_id: str
    start: datetime
    end: datetime
    records: pa.Table
    sources: Sources
    files_read: int
    """Parquet files opened: data files and delete files of history, landing objects."""
    bytes_read: int
    """Bytes fetched from the object store: manifests, footers and column chunks."""
    seconds: float
    missing: tuple[str, ...] = ()
    """Stores that did not answer and that the records could be told without."""

    def summary(self) -> dict[str, Any]:
        """What `fleetlake trail --json` prints; `missing` only where a store is."""
        return ({"missing": list(self.missing)} if self.missing else {}) | {
            "records": self.records.num_rows,
            "sources": msgspec.to_builtins(self.sources),
            "files_read": self.files_read,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 4),
        }
