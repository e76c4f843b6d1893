"""An in-memory LiveState for tests and simulations; applies one record at a time."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from contracts.record import BAD_POSITION
from ingest.live.order_key import order_key
from ingest.live.places import MAX_LATITUDE_DEG, MAX_LONGITUDE_DEG
from ingest.live.points import point_texts
from ingest.live.protocol import LiveReport
from ingest.live.values import latest_values

_DAY_MS = 86_400_000


class MemoryLive:
    """A LiveState in dictionaries."""

    def __init__(self, *, trail_points: int = 100, unseen_days: int = 30) -> None:
        self._trail_points = trail_points
        self._unseen_ms = unseen_days * _DAY_MS
        self._latest: dict[str, tuple[str, bytes]] = {}
        self._places: dict[str, tuple[str, tuple[float, float]]] = {}
        self._trails: dict[str, set[tuple[int, bytes]]] = {}
        self._seen: dict[str, int] = {}
        self._epoch: str | None = None
        self._rebuilds: set[str] = set()

    async def write(self, rows: pa.RecordBatch) -> LiveReport:
        """Apply rows one by one."""
        devices, before, points = set(), dict(self._latest), 0
        for place, row in enumerate(rows.to_pylist()):
            devices.add(row["device_id"])
            self._take(rows, place, row)
            points += _is_placed(row)
        updated = sum(self._latest[device] != before.get(device) for device in devices)
        return LiveReport(len(devices), updated, points)

    async def latest(self, device_id: str) -> bytes | None:
        """JSON of the newest record."""
        held = self._latest.get(device_id)
        if held is None:
            return None
        value = msgspec.json.decode(held[1])
        if device_id in self._places:
            value["position_order"] = self._places[device_id][0]
        return msgspec.json.encode(value)

    async def trail(self, device_id: str) -> list[bytes]:
        """The newest points, oldest first."""
        return [point for _, point in sorted(self._trails.get(device_id, ()))]

    async def position(self, device_id: str) -> tuple[float, float] | None:
        """Longitude and latitude of the newest good position."""
        held = self._places.get(device_id)
        return held[1] if held else None

    async def seen_ms(self, device_id: str) -> int | None:
        """Latest arrival."""
        return self._seen.get(device_id)

    async def forget(self, device_ids: Sequence[str]) -> None:
        """Remove these devices everywhere."""
        for device_id in device_ids:
            held: tuple[dict[str, Any], ...] = (self._latest, self._places, self._trails, self._seen)
            for part in held:
                part.pop(device_id, None)

    async def sweep(self, now_ms: int) -> int:
        """Forget devices unseen for long."""
        old = [device for device, seen in self._seen.items() if seen <= now_ms - self._unseen_ms]
        await self.forget(old)
        return len(old)

    async def epoch(self) -> str | None:
        """The epoch, or None."""
        return self._epoch

    async def mark_incomplete(self) -> None:
        """No epoch, no rebuilds."""
        self._epoch = None
        self._rebuilds.clear()

    async def begin_rebuild(self, token: str) -> None:
        """Remember the rebuild."""
        self._rebuilds.add(token)

    async def rebuilding(self, token: str) -> bool:
        """Whether the rebuild is remembered."""
        return token in self._rebuilds

    async def give_up_rebuild(self, token: str) -> None:
        """Forget the rebuild."""
        self._rebuilds.discard(token)

    async def end_rebuild(self, token: str) -> bool:
        """Complete, if the rebuild is remembered."""
        if token not in self._rebuilds:
            return False
        self._rebuilds.remove(token)
        self._epoch = token
        return True

    async def close(self) -> None:
        """Nothing to close."""

    def _take(self, rows: pa.RecordBatch, place: int, row: dict[str, Any]) -> None:
        device, here = row["device_id"], np.array([place])
        ts_ms, arrival_ms = (round(row[name].timestamp() * 1000) for name in ("ts", "arrival_ts"))
        order = order_key(ts_ms, arrival_ms, row["sequence_number"], row["sub_sequence"])
        self._seen[device] = max(arrival_ms, self._seen.get(device, 0))
        if order > self._latest.get(device, ("",))[0]:
            (value,) = latest_values(rows, here, np.array([-1]))
            self._latest[device] = (order, value)
        if not _is_placed(row):
            return
        on_map = abs(row["lat"]) <= MAX_LATITUDE_DEG and abs(row["lon"]) <= MAX_LONGITUDE_DEG
        if on_map and order > self._places.get(device, ("",))[0]:
            self._places[device] = (order, (row["lon"], row["lat"]))
        if self._trail_points:
            trail = self._trails.setdefault(device, set())
            trail.add((ts_ms, point_texts(rows.slice(place, 1), np.array([0]), np.array([ts_ms]))[0]))
            self._trails[device] = set(sorted(trail)[-self._trail_points :])


def _is_placed(row: dict[str, Any]) -> bool:
    return row["lat"] is not None and row["lon"] is not None and not row["flags"] & BAD_POSITION
