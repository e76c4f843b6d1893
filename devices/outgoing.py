"""What a source hands to the sender: user records in sending order, with their due times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_KEY = "no-device"
"""Partition key of records that name no device."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """User records in order; each of the three has one entry per record.

    keys: partition keys, the device's id. payloads: the records' bytes. due_ms: the event-time clock at which each
    leaves (epoch milliseconds), for a paced run; a record without a time has that of the one before it.
    """

    keys: list[str]
    payloads: list[bytes]
    due_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.payloads)

    def part(self, start: int, stop: int) -> "Outgoing":
        """The records from `start` to before `stop`."""
        return Outgoing(self.keys[start:stop], self.payloads[start:stop], self.due_ms[start:stop])
