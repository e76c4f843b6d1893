"""What a picture of a device's day is made from."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, EqualTo, Reference

from contracts.names import TRIP_TABLE
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog
from lake.trail.model import Trail
from lake.trail.spot_query import trail


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """One device's business day."""

    region: str
    day: date
    zone: ZoneInfo
    trail: Trail
    trips: list[dict[str, Any]]
    """Rows of history.trip of that day, by start."""


def device_day(settings: RegionSettings, device_id: str, day: date) -> DeviceDay:
    """The device's records of that business day, by a spot query, and the trips that were derived for it."""
    zone = settings.row.zone
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone)
    records = trail(settings, device_id, start.astimezone(UTC), end.astimezone(UTC))
    return DeviceDay(settings.region, day, zone, records, _trips(settings, device_id, day))


def _trips(settings: RegionSettings, device_id: str, day: date) -> list[dict[str, Any]]:
    wanted = And(
        EqualTo(term=Reference("device_id"), value=device_id), EqualTo(term=Reference("day"), value=day.isoformat())
    )
    try:
        table = catalog(settings).load_table(TRIP_TABLE)
    except NoSuchTableError:
        return []
    rows: list[dict[str, Any]] = table.scan(row_filter=wanted).to_arrow().sort_by("start_ts").to_pylist()
    return rows
