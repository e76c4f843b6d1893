"""What a source hands to the sender: user records in the order in which they leave, and when they do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_KEY = "no-device"
"""Partition key of records that name no device."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Some user records in their order; the three have one entry a record.

    keys: partition keys, the device's id. payloads: the records' bytes. due_ms: the event-time clock at which each
    leaves (epoch milliseconds), for a paced run; a record without a time has that of the one before it.
    """

    keys: list[str]
    payloads: list[bytes]
    due_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.payloads)

    def part(self, start: int, stop: int) -> "Outgoing":
        """The records from start up to stop."""
        return Outgoing(self.keys[start:stop], self.payloads[start:stop], self.due_ms[start:stop])
