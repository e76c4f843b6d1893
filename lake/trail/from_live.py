"""A device's newest records from Redis: those that did not land yet."""

from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import redis

from contracts.names import redis_latest, redis_trail
from contracts.record import NULLABLE_LANDING_SCHEMA
from lake.trail.wanted import Wanted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("ts", "arrival_ts")
_MAPS = ("signals", "attributes")
_PLACE = ("lat", "lon")
_READINGS = ("speed_kmh", "heading_deg")
_ROUNDED_DEG = 1e-6
"""Places of points are rounded to less than this."""
_UNSAID = 0.1
"""How far nothing is from a number: more than points are rounded, for they leave out what is out of bounds."""
_Timed = tuple[int, dict[str, Any]]
"""Epoch milliseconds and fields."""


def live_rows(client: "redis.Redis", region: str, wanted: Wanted) -> pa.Table:
    """The wanted records that `R:latest` and `R:trail` hold, in LANDING_SCHEMA's columns, by device and time.

    The newest record is whole but for its place on the stream. A trail's point carries what the consumer keeps of
    it; the other fields are null, its record_id too. The newest record stands for the point that it left itself; two
    points of one moment are two records.
    """
    low, high = _ms(wanted.start), _ms(wanted.end)
    with client.pipeline(transaction=True) as pipe:
        for device in wanted.devices:
            pipe.get(redis_latest(region, device))
            pipe.zrangebyscore(redis_trail(region, device), low, f"({high}", withscores=True)
        answers = pipe.execute()
    rows = [
        _row(device, at, fields)
        for device, latest, points in zip(wanted.devices, answers[::2], answers[1::2], strict=True)
        for at, fields in _held(latest, points, low, high)
    ]
    return pa.Table.from_pylist(rows, schema=NULLABLE_LANDING_SCHEMA)


def _held(latest: bytes | None, points: list[tuple[bytes, float]], low: int, high: int) -> list[_Timed]:
    """What Redis holds of one device from `low` to before `high`, by time."""
    held: list[_Timed] = [(int(score), _decoded(point)) for point, score in points]
    if latest is not None:
        newest = _decoded(latest)
        at = _ms(_time(newest["ts"]))
        if low <= at < high:
            held = [*_without_own_point(held, at, newest), (at, newest)]
    return sorted(held, key=itemgetter(0))


def _without_own_point(points: list[_Timed], at: int, record: dict[str, Any]) -> list[_Timed]:
    """The points but the one that this record left: of its moment and place, the one most like it."""
    own = [
        point
        for point in points
        if point[0] == at and all(_apart(point[1], record, name) < _ROUNDED_DEG for name in _PLACE)
    ]
    if not own:
        return points
    nearest = min(own, key=lambda point: [_apart(point[1], record, name) for name in _READINGS])
    return [point for point in points if point is not nearest]


def _apart(point: dict[str, Any], record: dict[str, Any], name: str) -> float:
    one, other = point.get(name), record.get(name)
    if one is None or other is None:
        return 0.0 if one is other else _UNSAID
    return abs(float(one) - float(other))


def _decoded(document: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(document)
    return fields


def _row(device_id: str, ts_ms: int, fields: dict[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in fields.items() if name in NULLABLE_LANDING_SCHEMA.names and value is not None}
    row |= {name: list(row[name].items()) for name in _MAPS if name in row}
    for name in _TIMES:
        if name in row:
            row[name] = _time(row[name])
    return row | {"device_id": device_id, "ts": _EPOCH + timedelta(milliseconds=ts_ms)}


def _time(value: str | int) -> datetime:
    return _EPOCH + timedelta(milliseconds=value) if isinstance(value, int) else datetime.fromisoformat(value)


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
