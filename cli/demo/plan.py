"""The time window and number of devices that the demo simulates in each region.

They are chosen once for a state folder and extended by later runs.
"""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from contracts.regions import Region

RECORDS_A_REGION = 75_000
SEED = 1
LONGEST_H = 72.0
"""A window longer than this is replaced by a new one."""
_FEWEST, _MOST = 60, 240
"""Devices. With 60 or more there are at least 10 of each type, so releases have large enough cohorts."""
_WORKDAY_RECORDS, _WEEKEND_RECORDS = 700.0, 370.0
"""Approximate records of one device in a day; they depend on its type and on the day's work."""
_FRIDAY = 4


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated in one region."""

    start: datetime
    devices: int

    def hours(self, now: datetime) -> float:
        """Hours from the start to now, in whole minutes."""
        return math.floor((now - self.start) / timedelta(minutes=1)) / 60


def plan(regions: list[Region], file: Path, now: datetime) -> dict[str, Window]:
    """The window of each region, kept in `file`.

    The first run chooses them. A later run keeps start and devices, so it sends the same records again byte for byte
    (duplicates), and new ones for the time since.
    """
    kept = msgspec.json.decode(file.read_bytes(), type=dict[str, Window]) if file.exists() else {}
    windows = {}
    for region in regions:
        window = kept.get(region.name)
        if window is None or window.hours(now) > LONGEST_H:
            window = choose(region, now)
        windows[region.name] = window
    file.write_bytes(msgspec.json.encode(windows))
    return windows


def choose(region: Region, now: datetime) -> Window:
    """From yesterday's midnight in the region, so that yesterday is whole; devices for about RECORDS_A_REGION."""
    today = now.astimezone(region.zone).date()
    first = today - timedelta(days=1)
    start = datetime(first.year, first.month, first.day, tzinfo=region.zone).astimezone(UTC)
    midnight = datetime(today.year, today.month, today.day, tzinfo=region.zone)
    a_device = _records(first) + _records(today) * ((now - midnight) / timedelta(days=1))
    return Window(start=start, devices=round(min(_MOST, max(_FEWEST, RECORDS_A_REGION / a_device))))


def _records(day: date) -> float:
    return _WORKDAY_RECORDS if day.weekday() <= _FRIDAY else _WEEKEND_RECORDS
