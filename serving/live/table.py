"""Every device's newest position and state in columns, so that a question of a fleet, a box or a place is arithmetic.

Redis's one thread answers nothing but reads of whole records: what is near, in a box or in a cell is found here, and
only among the devices that the caller may see.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from serving.access.caller import ALL_FLEETS
from serving.live.item import LiveItem, Newest, State, item_of

Rows = np.ndarray
STATES = tuple(State)
_STATE_NUMBER = {state: number for number, state in enumerate(STATES)}
_NO_FLEET = -1
_FIRST_ROWS = 1_024
_VIEWS_KEPT = 256
_EARTH_M = 6_371_008.8
_encode = msgspec.json.Encoder().encode
_decode_item = msgspec.json.Decoder(LiveItem).decode


class Box(NamedTuple):
    """A box of degrees; where west is greater than east it crosses 180 degrees."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class View:
    """The devices that some fleets have, by id."""

    rows: Rows
    ids: list[str]

    def after(self, device_id: str | None) -> int:
        """Where those behind that id begin."""
        return 0 if device_id is None else bisect_right(self.ids, device_id)


class LiveTable:
    """One row a device; a row number stands for the device as long as the table lives."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.items: list[bytes] = []
        """What the map shows of each device, as JSON; empty where it was forgotten."""
        self.lat = np.full(_FIRST_ROWS, np.nan)
        self.lon = np.full(_FIRST_ROWS, np.nan)
        self.state = np.zeros(_FIRST_ROWS, np.int8)
        self.changed = np.zeros(_FIRST_ROWS, np.int64)
        """The version at which each row changed last."""
        self.fleet = np.full(_FIRST_ROWS, _NO_FLEET, np.int32)
        self._index: dict[str, int] = {}
        self._fleets: list[str] = []
        self._fleet_numbers: dict[str, int] = {}
        self.fleet_of: Mapping[str, str] = {}
        self.hidden: frozenset[str] = frozenset()
        """Devices that are not shown, whatever live state has of them."""
        self._generation = 0
        self._views: OrderedDict[tuple[str, ...], tuple[int, View]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, device_id: str) -> bool:
        row = self._index.get(device_id)
        return row is not None and bool(self.items[row])

    def item(self, device_id: str) -> bytes:
        """What the map shows of the device, as JSON; empty where it has no live state."""
        row = self._index.get(device_id)
        return b"" if row is None else self.items[row]

    def lacks_position(self, device_id: str) -> bool:
        """Whether no good position of the device is known here."""
        row = self._index.get(device_id)
        return row is None or bool(np.isnan(self.lat[row]))

    def put(self, device_id: str, newest: Newest, version: int, place: tuple[float, float] | None = None) -> None:
        """Take in a device's newest record; `place` is its newest good position where the record has none."""
        if device_id in self.hidden:
            return
        row = self._row(device_id)
        position = newest.position or place or self._position(row)
        fleet = self.fleet_of.get(device_id)
        self.lat[row], self.lon[row] = position or (np.nan, np.nan)
        self.state[row] = _STATE_NUMBER[newest.state]
        self.changed[row] = version
        self.items[row] = _encode(item_of(device_id, fleet, newest, position))

    def forget(self, device_id: str, version: int) -> None:
        """The device has no live state any more."""
        row = self._index.get(device_id)
        if row is not None and self.items[row]:
            self.lat[row] = self.lon[row] = np.nan
            self.items[row], self.changed[row] = b"", version

    def hide(self, devices: frozenset[str], version: int) -> None:
        """Show these devices no more, and whatever is not among them again, once it is heard of."""
        for device_id in devices - self.hidden:
            self.forget(device_id, version)
        self.hidden = devices

    def assign(self, fleet_of: Mapping[str, str], version: int) -> None:
        """Which device is of which fleet, for all of them."""
        before, self.fleet_of = self.fleet[: len(self)].copy(), fleet_of
        after = np.fromiter((self._fleet_number(fleet_of.get(one)) for one in self.ids), np.int32, len(self))
        moved = np.flatnonzero(before != after)
        if len(moved):
            self.fleet[: len(self)] = after
            self._generation += 1
        for row in moved.tolist():
            if self.items[row]:
                item = _decode_item(self.items[row])
                item.fleet_id = fleet_of.get(item.device_id)
                self.items[row], self.changed[row] = _encode(item), version

    def view(self, fleets: Sequence[str]) -> View:
        """The devices of these fleets, in the order of their ids."""
        key = tuple(fleets)
        kept = self._views.get(key)
        if kept is not None and kept[0] == self._generation:
            return kept[1]
        if ALL_FLEETS in key:
            rows = np.arange(len(self))
        else:
            numbers = [self._fleet_numbers[fleet] for fleet in key if fleet in self._fleet_numbers]
            rows = np.flatnonzero(np.isin(self.fleet[: len(self)], numbers))
        ordered = sorted(rows.tolist(), key=self.ids.__getitem__)
        made = View(np.array(ordered, np.int64), [self.ids[row] for row in ordered])
        self._views[key] = self._generation, made
        self._views.move_to_end(key)
        if len(self._views) > _VIEWS_KEPT:
            self._views.popitem(last=False)
        return made

    def in_box(self, rows: Rows, box: Box) -> Rows:
        """Those of the rows whose position is in the box."""
        lat, lon = self.lat[rows], self.lon[rows]
        inside = (lat >= box.south) & (lat <= box.north)
        if box.west <= box.east:
            inside &= (lon >= box.west) & (lon <= box.east)
        else:
            inside &= (lon >= box.west) | (lon <= box.east)
        found: Rows = rows[inside]
        return found

    def in_state(self, rows: Rows, state: State) -> Rows:
        """Those of the rows that were in that state when they were heard last."""
        found: Rows = rows[self.state[rows] == _STATE_NUMBER[state]]
        return found

    def near(self, rows: Rows, lat: float, lon: float, radius_m: float, most: int) -> tuple[Rows, np.ndarray]:
        """Up to `most` of the rows within the radius, the nearest first, and how far each is in metres."""
        reach = np.degrees(radius_m / _EARTH_M)
        wide = 180.0 if abs(lat) + reach >= 89 else reach / np.cos(np.radians(abs(lat) + reach))  # noqa: PLR2004 - a pole
        if wide < 180:  # noqa: PLR2004 - all the way round
            west, east = (lon - wide + 180) % 360 - 180, (lon + wide + 180) % 360 - 180
            rows = self.in_box(rows, Box(west, lat - reach, east, lat + reach))
        else:
            rows = self.in_box(rows, Box(-180, lat - reach, 180, lat + reach))
        distances = _haversine_m(lat, lon, self.lat[rows], self.lon[rows])
        order = np.argsort(distances)
        order = order[distances[order] <= radius_m][:most]
        return rows[order], distances[order]

    def since(self, rows: Rows, version: int) -> Rows:
        """Those of the rows that changed after that version."""
        found: Rows = rows[self.changed[rows] > version]
        return found

    def _row(self, device_id: str) -> int:
        row = self._index.get(device_id)
        if row is not None:
            if not self.items[row]:
                self._generation += 1
            return row
        row = len(self.ids)
        if row == len(self.lat):
            self._grow()
        self.ids.append(device_id)
        self.items.append(b"")
        self._index[device_id] = row
        self.fleet[row] = self._fleet_number(self.fleet_of.get(device_id))
        self._generation += 1
        return row

    def _grow(self) -> None:
        self.lat, self.lon = (np.append(column, np.full(len(column), np.nan)) for column in (self.lat, self.lon))
        self.state = np.append(self.state, np.zeros(len(self.state), np.int8))
        self.changed = np.append(self.changed, np.zeros(len(self.changed), np.int64))
        self.fleet = np.append(self.fleet, np.full(len(self.fleet), _NO_FLEET, np.int32))

    def _position(self, row: int) -> tuple[float, float] | None:
        return None if np.isnan(self.lat[row]) else (float(self.lat[row]), float(self.lon[row]))

    def _fleet_number(self, fleet: str | None) -> int:
        if fleet is None:
            return _NO_FLEET
        number = self._fleet_numbers.get(fleet)
        if number is None:
            number = self._fleet_numbers[fleet] = len(self._fleets)
            self._fleets.append(fleet)
        return number


def _haversine_m(lat: float, lon: float, lats: np.ndarray, lons: np.ndarray) -> np.ndarray:
    one, others = np.radians(lat), np.radians(lats)
    half = np.sin((others - one) / 2) ** 2 + np.cos(one) * np.cos(others) * np.sin(np.radians(lons - lon) / 2) ** 2
    distances: np.ndarray = 2 * _EARTH_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return distances
