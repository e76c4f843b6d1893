"""What a picture of a device's days is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, GreaterThanOrEqual, In, LessThanOrEqual, Reference

from contracts.names import TRIP_TABLE
from contracts.settings import RegionSettings
from lake.iceberg.catalog import load_own
from lake.trail.model import Trail
from lake.trail.spot_query import trail


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """One device's past from trail.start to trail.end: a business day, or some of them."""

    region: str
    day: date
    """The business day with which it begins."""
    zone: ZoneInfo
    trail: Trail
    trips: list[dict[str, Any]]
    """Rows of history.trip that overlap the span, by start."""

    @property
    def title(self) -> str:
        """The day, or the first and the last, as people write them."""
        last = (self.trail.end - timedelta(microseconds=1)).astimezone(self.zone).date()
        first_text, last_text = (f"{day:%A}, {day.day} {day:%B %Y}" for day in (self.day, last))
        return first_text if last == self.day else f"{first_text}, to {last_text}"


def device_day(settings: RegionSettings, device_id: str, day: date) -> DeviceDay:
    """The device's records of that business day, by a spot query, and the trips that were derived for it."""
    zone = settings.row.zone
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone)
    return device_span(settings, trail(settings, device_id, start.astimezone(UTC), end.astimezone(UTC)))


def device_span(settings: RegionSettings, found: Trail) -> DeviceDay:
    """A trail of one device with the trips that were derived for its span."""
    return device_spans(settings, found)[0]


def device_spans(settings: RegionSettings, found: Trail) -> list[DeviceDay]:
    """The trail of each device, with the trips that were derived for its span."""
    zone = settings.row.zone
    first, last = (moment.astimezone(zone).date() for moment in (found.start, found.end))
    trips: dict[str, list[dict[str, Any]]] = {device: [] for device in found.devices}
    for trip in _trips(settings, found.devices, first - timedelta(days=1), last):
        if trip["end_ts"] > found.start and trip["start_ts"] < found.end:
            trips[trip["device_id"]].append(trip)
    return [DeviceDay(settings.region, first, zone, one, trips[one.name]) for one in found.each_device()]


def _trips(settings: RegionSettings, devices: Sequence[str], first: date, last: date) -> list[dict[str, Any]]:
    """Trips that began on these days. One that began the day before may still be under way."""
    wanted = And(
        In(term=Reference("device_id"), literals=devices),
        GreaterThanOrEqual(term=Reference("day"), value=first.isoformat()),
        LessThanOrEqual(term=Reference("day"), value=last.isoformat()),
    )
    try:
        table = load_own(settings, TRIP_TABLE)
    except NoSuchTableError:
        return []
    rows: list[dict[str, Any]] = table.scan(row_filter=wanted).to_arrow().sort_by("start_ts").to_pylist()
    return rows
