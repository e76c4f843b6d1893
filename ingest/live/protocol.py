"""The live state of devices: the interface to Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LiveReport:
    """The result of one write."""

    devices: int = 0
    """Devices in the rows."""
    updated: int = 0
    """Devices whose latest record the rows changed."""
    points: int = 0
    """Points sent to trails; those beyond a trail's length are trimmed by the store."""


class LiveState(Protocol):
    """The newest record, position and trail of each device.

    A record's order key is (min(ts, arrival_ts), arrival_ts, sequence number as an integer, sub-sequence).

    Promises
    - After any writes, in any order, batching and repetition, `latest` of a device is its record with the
      greatest order key, its position in the geo set is that of its record with the greatest order key among those with
      a good position, its trail is the newest N good positions by event time, and `seen` is its latest arrival.
    - A reader never sees a partly written device.
    - A store that is down, full, read-only or denying raises SinkUnavailable; the same write may be repeated.
    """

    async def write(self, rows: pa.RecordBatch) -> LiveReport:
        """Write rows of contracts.record.LANDING_SCHEMA, in any order."""
        ...

    async def latest(self, device_id: str) -> bytes | None:
        """JSON of the newest record, or None for an unknown device."""
        ...

    async def trail(self, device_id: str) -> list[bytes]:
        """The newest points by event time, oldest first, each as JSON."""
        ...

    async def position(self, device_id: str) -> tuple[float, float] | None:
        """Longitude and latitude (degrees, within 1e-5) of the newest good position."""
        ...

    async def seen_ms(self, device_id: str) -> int | None:
        """Latest arrival, epoch milliseconds."""
        ...

    async def forget(self, device_ids: Sequence[str]) -> None:
        """Remove these devices from latest, trail, geo and seen together."""
        ...

    async def sweep(self, now_ms: int) -> int:
        """Forget devices without an arrival for the store's `unseen_days`. Returns how many."""
        ...

    async def epoch(self) -> str | None:
        """The value of `R:epoch`, or None while live state is incomplete."""
        ...

    async def mark_incomplete(self) -> None:
        """Delete the epoch and the notes of all rebuilds, as after a loss of live state."""
        ...

    async def begin_rebuild(self, token: str) -> None:
        """Note that a rebuild has begun; `token` is unique to this attempt."""
        ...

    async def rebuilding(self, token: str) -> bool:
        """Whether the rebuild is still noted: no loss since it began, and it has neither ended nor been given up."""
        ...

    async def give_up_rebuild(self, token: str) -> None:
        """Remove the note of a rebuild that will not end."""
        ...

    async def end_rebuild(self, token: str) -> bool:
        """Set the epoch to `token` if the rebuild is still noted; False means that live state was lost meanwhile."""
        ...

    async def close(self) -> None: ...
