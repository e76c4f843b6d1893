"""What a spot query answers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the records came from where. A record that is in several places counts for the first of these."""

    history: int = 0
    landing: int = 0
    live: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """Records of `devices` with `start` <= ts < `end`, or a page of them: each identity once, by device and ts.

    records: columns of contracts.record.LANDING_SCHEMA. A record known from live state only has no record_id that
    a store has confirmed: its record_id, shard_id and sequence_number are empty where Redis does not hold them.
    """

    devices: tuple[str, ...]
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
    unreadable: int = 0
    """Landing objects that may hold such records and are damaged: merges set them aside and tell."""
    restricted: int = 0
    """Devices of which nothing is told, as their processing is restricted (GDPR Art. 18)."""
    next: str | None = None
    """The cursor of the page that follows; None where nothing does."""

    @property
    def name(self) -> str:
        """The device, or how many there are."""
        return self.devices[0] if len(self.devices) == 1 else f"{len(self.devices)} devices"

    def each_device(self) -> Iterator["Trail"]:
        """The part of each device that has records, in order; of one device the whole, whether it has any or not."""
        if len(self.devices) == 1:
            yield self
            return
        for device, rows in parts(self.records):
            yield replace(self, devices=(device,), records=rows)

    def summary(self) -> dict[str, Any]:
        """What `fleetlake trail --json` prints; what is odd only where there is any."""
        odd = {"missing": list(self.missing), "unreadable": self.unreadable, "restricted": self.restricted}
        odd |= {"next": self.next}
        return {name: value for name, value in odd.items() if value} | {
            "records": self.records.num_rows,
            "sources": msgspec.to_builtins(self.sources),
            "files_read": self.files_read,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 4),
        }


def parts(records: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Each device of records that are sorted by device, with its records."""
    devices = records.column("device_id")
    ends = [] if not len(devices) else _run_ends(devices)
    for first, end in pairwise([0, *ends]):
        yield devices[first].as_py(), records.slice(first, end - first)


def _run_ends(devices: pa.ChunkedArray) -> list[int]:
    found: list[int] = pc.run_end_encode(pa.concat_arrays(devices.chunks)).run_ends.to_pylist()
    return found
