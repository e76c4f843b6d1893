"""A stored file that may hold wanted rows, before it is opened."""

from dataclasses import dataclass
from datetime import datetime

from lake.trail.wanted import Wanted


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A data file of history or a landing object."""

    path: str
    """Bucket and key, or s3://bucket/key."""
    devices: tuple[str, ...]
    """Those of the query's devices that it may hold."""
    first: datetime | None
    """Smallest and largest event time, where known."""
    last: datetime | None
    bytes: int | None
    """Its size, where known."""

    def may_hold(self, wanted: Wanted) -> bool:
        """Whether a wanted row may be in it."""
        return wanted.overlaps(self.first, self.last) and any(device in wanted.devices for device in self.devices)
