"""What the API answers. Names carry units; times are UTC in RFC 3339, days are business days of the region."""

from datetime import date, datetime
from typing import Any

import msgspec

from serving.live.cells import Cell
from serving.live.item import LiveItem, State


class Device(msgspec.Struct, kw_only=True):
    """A device of the registry, with the state that it was heard in last."""

    device_id: str
    fleet_id: str | None
    type: str | None = None
    make: str | None = None
    model: str | None = None
    fuel: str | None = None
    state: State | None = None
    ts: datetime | None = None
    """When it was heard last; null where it has no live state."""


class DevicePage(msgspec.Struct, kw_only=True):
    """Devices by id."""

    items: list[Device]
    next: str | None
    """Hand it back as `after`; null on the last page."""


class DeviceDetail(msgspec.Struct, kw_only=True):
    """A device: its registry, and its newest record in the contract's fields."""

    device: Device
    newest: dict[str, Any] | None


class LivePage(msgspec.Struct, kw_only=True):
    """Devices on the map, by id, or by distance where a place is given."""

    items: list[LiveItem]
    total: int
    """Devices that match, on this page or not."""
    version: str
    """Hand it to the stream as Last-Event-ID: it sends what changed since."""
    next: str | None = None


class NewestPage(msgspec.Struct, kw_only=True):
    """Newest records in the contract's fields."""

    items: list[dict[str, Any]]
    total: int
    next: str | None = None


class CellPage(msgspec.Struct, kw_only=True):
    """Devices counted by cell."""

    cells: list[Cell]
    devices: int
    """In all cells together."""
    without_position: int
    left_out: int
    """Cells with few devices that did not fit the page."""


class TrailPage(msgspec.Struct, kw_only=True):
    """Records of a device from all stores, each once, by time."""

    device_id: str
    start: datetime
    end: datetime
    records: list[dict[str, Any]]
    sources: dict[str, int]
    missing: list[str]
    """Stores that did not answer and that the records could be told without."""
    next: str | None


class Trip(msgspec.Struct, kw_only=True):
    """A trip of a device."""

    trip_id: str
    device_id: str
    day: date
    start_ts: datetime
    end_ts: datetime
    start_lat_deg: float | None
    start_lon_deg: float | None
    end_lat_deg: float | None
    end_lon_deg: float | None
    distance_km: float
    moving_s: float
    idle_s: float
    max_speed_kmh: float | None
    fuel_l: float | None
    records: int
    is_final: bool
    """Late data may still change it where this is false."""


class TripPage(msgspec.Struct, kw_only=True):
    """Trips by start."""

    items: list[Trip]
    next: str | None


class TripDetail(msgspec.Struct, kw_only=True):
    """A trip with its path."""

    trip: Trip
    path: list[tuple[int, float, float, float | None]]
    """Epoch milliseconds, latitude, longitude, speed in km/h."""


class DeviceDay(msgspec.Struct, kw_only=True):
    """A device's business day."""

    device_id: str
    day: date
    records: int
    flagged_records: int
    late_records: int
    first_ts: datetime
    last_ts: datetime
    engine_s: float
    moving_s: float
    idle_s: float
    off_s: float
    unknown_s: float | None
    distance_gps_km: float
    distance_odometer_km: float | None
    max_speed_kmh: float | None
    fuel_l: float | None
    trips: int
    is_final: bool


class DeviceDayPage(msgspec.Struct, kw_only=True):
    """A device's days."""

    items: list[DeviceDay]
    next: str | None


class Fleet(msgspec.Struct, kw_only=True):
    """A fleet of the token."""

    fleet_id: str
    name: str
    devices: int


class FleetPage(msgspec.Struct, kw_only=True):
    """Fleets by id."""

    items: list[Fleet]
    next: str | None


class FleetDay(msgspec.Struct, kw_only=True):
    """A fleet's business day."""

    fleet_id: str
    day: date
    devices_available: int
    devices_reporting: int
    devices_active: int
    utilisation_engine_s: float
    utilisation_available_s: float
    moving_s: float
    idle_s: float
    distance_gps_km: float
    fuel_l: float | None
    trips: int
    is_final: bool


class FleetDayPage(msgspec.Struct, kw_only=True):
    """A fleet's days."""

    items: list[FleetDay]
    next: str | None


class Reading(msgspec.Struct, kw_only=True):
    """Somebody read a device's past."""

    id: int
    read_at: datetime
    subject: str
    token_id: str
    role: str
    what: str
    from_ts: datetime | None
    to_ts: datetime | None


class ReadingPage(msgspec.Struct, kw_only=True):
    """Readings, the newest first."""

    items: list[Reading]
    next: str | None


class WorldDay(msgspec.Struct, kw_only=True):
    """A region's business day, as it was released."""

    region: str
    day: date
    device_type: str
    cohort: int
    devices: int
    records: float
    engine_h: float
    moving_h: float
    distance_km: float


class WorldDayPage(msgspec.Struct, kw_only=True):
    """Released days, by day and region."""

    items: list[WorldDay]
    next: str | None
