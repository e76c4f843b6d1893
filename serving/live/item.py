"""What a map shows of a device: its newest position, motion and state."""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from contracts.record import BAD_POSITION

MOVING_KMH = 3.0


class State(StrEnum):
    """What a device did when it was heard last."""

    moving = "moving"
    idle = "idle"
    """Standing with the engine on."""
    off = "off"
    """Standing with the engine off."""
    standing = "standing"
    """Standing; whether the engine runs is not known."""
    unknown = "unknown"
    """It said neither how fast it is nor whether its engine runs."""


class Newest(msgspec.Struct):
    """The fields of `R:latest:{device}` that a map needs."""

    ts: datetime
    lat: float | None = None
    lon: float | None = None
    speed_kmh: float | None = None
    heading_deg: float | None = None
    engine_on: bool | None = None
    fault_codes: list[str] | None = None
    flags: int = 0

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude, where they are good."""
        if self.lat is None or self.lon is None or self.flags & BAD_POSITION:
            return None
        return self.lat, self.lon

    @property
    def state(self) -> State:
        """What it did."""
        if self.speed_kmh is not None and self.speed_kmh >= MOVING_KMH:
            return State.moving
        if self.engine_on is not None:
            return State.idle if self.engine_on else State.off
        return State.unknown if self.speed_kmh is None else State.standing


class LiveItem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A device on the map. Fields without a value are left out."""

    device_id: str
    fleet_id: str | None = None
    ts: str
    """Event time of its newest record, UTC."""
    state: State
    lat: float | None = None
    """Of its newest good position, degrees, WGS 84."""
    lon: float | None = None
    speed_kmh: float | None = None
    heading_deg: float | None = None
    faults: int = 0
    """Fault codes that it reported last."""


def item_of(device_id: str, fleet: str | None, newest: Newest, position: tuple[float, float] | None) -> LiveItem:
    """What the map shows; `position` is the newest good one."""
    lat, lon = position or (None, None)
    return LiveItem(
        device_id=device_id,
        fleet_id=fleet,
        ts=newest.ts.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        state=newest.state,
        lat=None if lat is None else round(lat, 6),
        lon=None if lon is None else round(lon, 6),
        speed_kmh=newest.speed_kmh,
        heading_deg=newest.heading_deg,
        faults=len(newest.fault_codes or ()),
    )
