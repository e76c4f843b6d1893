"""What the API answers. Names carry units; times are UTC in RFC 3339, days are business days of the region."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec

from contracts.record import DEVICE_ID_PATTERN
from serving.live.cells import Cell
from serving.live.item import LiveItem, State

_Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
_Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]


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


class FaultSeen(msgspec.Struct, kw_only=True):
    """A fault code that a device reported in a business day."""

    code: str
    first_ts: datetime
    last_ts: datetime
    records: int


class FeedItem(msgspec.Struct, kw_only=True):
    """A device's business day. Its name is `device_id` and `day`: a later item replaces it whole."""

    device_id: str
    day: date
    fleet_id: str
    figures: DeviceDay
    trips: list[Trip]
    faults: list[FaultSeen]
    visits: list["Visit"] | None = None
    """Stays in zones that the day's records tell of, one over midnight in each of its days; null where not asked."""


class FeedPage(msgspec.Struct, kw_only=True):
    """Device days in the order in which they were built or corrected."""

    items: list[FeedItem]
    next: str
    """Hand it back as `after`, also when nothing more was there: what is corrected later comes behind it."""
    more: bool
    """Whether more is there now."""


class Zone(msgspec.Struct, kw_only=True):
    """A polygon of a fleet, with the time for which it holds."""

    zone_id: UUID
    fleet_id: str
    name: str
    ring: list[tuple[float, float]]
    """Longitude and latitude of each vertex, degrees; the first is not repeated."""
    valid_from: datetime
    valid_to: datetime | None
    created_by: str


class ZonePage(msgspec.Struct, kw_only=True):
    """Zones by id."""

    items: list[Zone]
    next: str | None


class NewZone(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A zone to be. It cannot be changed later: it ends, and another begins."""

    fleet_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128, examples=["eu-fleet-01"])]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, examples=["Depot North"])]
    ring: Annotated[list[tuple[_Longitude, _Latitude]], msgspec.Meta(min_length=3, max_length=200)]
    """Longitude and latitude of each vertex, degrees; the first is not repeated."""
    valid_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Now where it is left out; it may lie in the past."""
    valid_to: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Until it is ended where it is left out."""
    replaces: UUID | None = None
    """A zone of the same fleet that ends in the moment in which this one begins, which is not in the past."""


class Visit(msgspec.Struct, kw_only=True):
    """A device's stay in a zone."""

    zone_id: UUID
    name: str
    device_id: str
    enter_ts: datetime
    """The first record inside."""
    leave_ts: datetime | None
    """The first record outside, or the zone's end; null where none is known."""
    dwell_s: float
    began_before: bool
    """It was inside at the first record that was looked at."""


class VisitPage(msgspec.Struct, kw_only=True):
    """Stays by their beginning."""

    items: list[Visit]


class Share(msgspec.Struct, kw_only=True):
    """A guest link."""

    share_id: UUID
    name: str
    devices: list[str]
    valid_from: datetime
    valid_to: datetime
    created_by: str
    created_at: datetime
    revoked_at: datetime | None


class SharePage(msgspec.Struct, kw_only=True):
    """Guest links by id."""

    items: list[Share]
    next: str | None


class NewShare(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A guest link to be."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, examples=["Delivery 4711"])]
    """The guest sees it."""
    devices: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=DEVICE_ID_PATTERN)]], msgspec.Meta(min_length=1, max_length=50)
    ]
    valid_to: Annotated[datetime, msgspec.Meta(tz=True)]
    valid_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Now where it is left out."""


class ShareMade(msgspec.Struct, kw_only=True):
    """A guest link that was made."""

    share: Share
    secret: str
    """The guest's bearer token. It cannot be read again."""
    page: str
    """The page that shows it, on this service."""


class SharedPage(msgspec.Struct, kw_only=True):
    """What a guest sees."""

    name: str
    ends: datetime
    items: list[LiveItem]


class EventKind(StrEnum):
    """What a webhook is told."""

    entered = "zone.entered"
    """A device entered a zone."""
    left = "zone.left"
    """A device left a zone."""
    feed = "feed.changed"
    """Days of the feed were built or corrected: ask it."""


class Webhook(msgspec.Struct, kw_only=True):
    """Where a fleet's events go."""

    webhook_id: UUID
    fleet_id: str
    url: str
    kinds: list[EventKind]
    created_by: str
    created_at: datetime
    ended_at: datetime | None


class WebhookPage(msgspec.Struct, kw_only=True):
    """Webhooks by id."""

    items: list[Webhook]
    next: str | None


class NewWebhook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be."""

    fleet_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128, examples=["eu-fleet-01"])]
    url: Annotated[str, msgspec.Meta(min_length=9, max_length=2_000, examples=["https://example.com/fleetlake"])]
    kinds: Annotated[list[EventKind], msgspec.Meta(min_length=1, max_length=10)]


class WebhookMade(msgspec.Struct, kw_only=True):
    """A webhook that was made, or whose secret was turned."""

    webhook: Webhook
    secret: str
    """What deliveries are signed with, as Standard Webhooks have it. It cannot be read again."""


class Delivery(msgspec.Struct, kw_only=True):
    """One event and how the webhook took it."""

    event_id: UUID
    kind: str
    happened_at: datetime
    state: str
    """`waiting`, `delivered`, or `given_up` after nine tries within a day."""
    attempts: int
    next_at: datetime | None
    answer: str | None
    """The status of the last answer, or why there was none."""


class DeliveryPage(msgspec.Struct, kw_only=True):
    """Deliveries, the newest first."""

    items: list[Delivery]


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
