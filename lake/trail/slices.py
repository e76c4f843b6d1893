"""A page's worth of a query in parts: some devices or some days at a time, as much as is still wanted."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lake.trail.wanted import Wanted

_DAY = timedelta(days=1)


@dataclass
class Slices:
    """Cuts a query into slices of whole days of one device, or of whole ranges of several, in the order of its records.

    A slice begins with one device's day and is twice as large as the one before while more is wanted: a page reads
    little that it does not give, and many empty days take few slices. `whole`: one slice for each device that has
    a start of its own, and one for all others.
    """

    wanted: Wanted
    start: datetime
    """Where the first device begins."""
    whole: bool = False
    device_days: int = 1
    moved: bool = False
    """Whether a slice was passed."""
    _device: int = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self._device >= len(self.wanted.devices)

    def next(self) -> Wanted:
        """The next slice. It is asked for again, smaller or not, until `passed` is called."""
        devices, end = self.wanted.devices, self.wanted.end
        if self.start > self.wanted.start:
            last = end if self.whole else min(end, self.start + self.device_days * _DAY)
            return Wanted((devices[self._device],), self.start, last)
        days = max(1, -(-(end - self.start) // _DAY))
        if self.whole or self.device_days >= days:
            count = len(devices) if self.whole else self.device_days // days
            return Wanted(devices[self._device : self._device + count], self.start, end)
        return Wanted((devices[self._device],), self.start, min(end, self.start + self.device_days * _DAY))

    def passed(self, part: Wanted) -> None:
        """Go on behind this slice."""
        self.moved = True
        if part.end < self.wanted.end:
            self.start = part.end
        else:
            self._device += len(part.devices)
            self.start = self.wanted.start

    def grow(self) -> None:
        """The last slice gave less than is wanted."""
        self.device_days *= 2

    def shrink(self) -> bool:
        """Make the next slice half as large; whether that can be done."""
        if self.whole or self.device_days == 1:
            return False
        self.device_days //= 2
        return True
