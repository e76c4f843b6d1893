"""What a spot query asks for: records of some devices in a range of event time."""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import Misuse

MOST_DEVICES = 100
"""Devices of one query."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records of `devices` (sorted, each once) with start <= ts < end (both with an offset)."""

    devices: tuple[str, ...]
    start: datetime
    end: datetime

    @classmethod
    def of(cls, devices: Iterable[str], start: datetime, end: datetime) -> "Wanted":
        """The devices in order, each once. Raises Misuse where there are none or too many."""
        named = tuple(sorted(set(devices)))
        if not 0 < len(named) <= MOST_DEVICES:
            raise Misuse(f"{len(named)} devices; a query is for 1 to {MOST_DEVICES}: ask several times")
        return cls(named, start, end)

    def without(self, devices: Collection[str]) -> "Wanted":
        """The same of the other devices, if there are any."""
        return replace(self, devices=tuple(device for device in self.devices if device not in devices))

    @property
    def expression(self) -> pc.Expression:
        """The same as a filter of Arrow."""
        ts = pc.field("ts")
        device = pc.field("device_id")
        named = device == self.devices[0] if len(self.devices) == 1 else device.isin(pa.array(self.devices))
        return named & (ts >= pa.scalar(self.start)) & (ts < pa.scalar(self.end))

    def has_device_between(self, low: str, high: str) -> bool:
        """Whether one of the devices is `low`, `high`, or between them."""
        at = bisect_left(self.devices, low)
        return at < len(self.devices) and self.devices[at] <= high

    def overlaps(self, first: datetime | None, last: datetime | None) -> bool:
        """Whether event times from `first` to `last` may be within the range; None is not known."""
        return (first is None or first < self.end) and (last is None or last >= self.start)

    def part(self, devices: Collection[str]) -> tuple[str, ...]:
        """Those of the devices that are in `devices`."""
        return tuple(device for device in self.devices if device in devices)
