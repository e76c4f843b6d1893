"""A trail as a file that other programs read: CSV, JSON Lines, Parquet, GPX 1.1, GeoJSON (RFC 7946)."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import msgspec
import pyarrow.parquet as pq

from contracts.identity import exported_event_id
from contracts.record import BAD_POSITION, CONTRACT
from lake.trail.model import Trail

_FIELDS = [column.name for column in CONTRACT]
_HALF = 180.0
_GPX = "http://www.topografix.com/GPX/1/1"


def contract_records(trail: Trail) -> Iterator[dict[str, Any]]:
    """Each record in contract fields, as it could be sent: fields without a value are left out, ts is RFC 3339.

    A record without an event id has one that stands for its record_id, so that it is the same record when it is sent. A
    point that only live state knows has neither.
    """
    for row in trail.records.select([*_FIELDS, "record_id"]).to_pylist(maps_as_pydicts="strict"):
        identity = row.pop("record_id")
        if row["event_id"] is None and identity is not None:
            row["event_id"] = exported_event_id(identity)
        yield {name: _plain(value) for name, value in row.items() if value is not None}


def positions(trail: Trail) -> list[dict[str, Any]]:
    """The records that have a position without a bad-position flag: ts, lat, lon, altitude_m, speed_kmh."""
    rows = trail.records.select(["ts", "lat", "lon", "altitude_m", "speed_kmh", "flags"]).to_pylist()
    return [
        row
        for row in rows
        if row["lat"] is not None and row["lon"] is not None and not (row["flags"] or 0) & BAD_POSITION
    ]


def jsonl(trail: Trail, columns: Sequence[str] | None = None) -> bytes:
    """One record a line in contract fields, or in those of `columns` that it has."""
    records = contract_records(trail)
    if columns is not None:
        records = ({name: record[name] for name in columns if name in record} for record in records)
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def as_csv(trail: Trail, columns: Sequence[str] | None = None) -> bytes:
    """One record a line under a header of the contract's fields, or of `columns`; lists and maps are JSON."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns or _FIELDS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for record in contract_records(trail):
        writer.writerow({name: _flat(value) for name, value in record.items()})
    return text.getvalue().encode()


def parquet(trail: Trail) -> bytes:
    """All columns of landing, with what the way through the stream added."""
    buffer = io.BytesIO()
    pq.write_table(trail.records, buffer, compression="zstd")
    return buffer.getvalue()


def gpx(trail: Trail) -> bytes:
    """A GPX 1.1 track of each device's unflagged positions."""
    root = ElementTree.Element("gpx", {"version": "1.1", "creator": "Fleetlake", "xmlns": _GPX})
    for one in trail.each_device():
        _add_track(root, one)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_track(root: ElementTree.Element, trail: Trail) -> None:
    track = ElementTree.SubElement(root, "trk")
    ElementTree.SubElement(track, "name").text = trail.name
    segment = ElementTree.SubElement(track, "trkseg")
    for row in positions(trail):
        point = ElementTree.SubElement(segment, "trkpt", {name: _decimal(row[name]) for name in ("lat", "lon")})
        if row["altitude_m"] is not None:
            ElementTree.SubElement(point, "ele").text = _decimal(row["altitude_m"])
        ElementTree.SubElement(point, "time").text = rfc3339(row["ts"])


def geojson(trail: Trail) -> bytes:
    """A FeatureCollection: each device's unflagged positions as points, and as a line where there are two or more.

    A line across 180 degrees is a MultiLineString that is cut there (RFC 7946, 3.1.9).
    """
    features = [feature for one in trail.each_device() for feature in _features(one)]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features}) + b"\n"


def _features(trail: Trail) -> Iterator[dict[str, Any]]:
    rows, device = positions(trail), {"device_id": trail.name}
    if len(rows) > 1:
        lines = cut_at_180([(row["lon"], row["lat"]) for row in rows])
        properties = device | {"from": rfc3339(rows[0]["ts"]), "to": rfc3339(rows[-1]["ts"])}
        kind, shape = ("LineString", lines[0]) if len(lines) == 1 else ("MultiLineString", lines)
        yield _feature(kind, shape, properties)
    for row in rows:
        yield _feature("Point", [row["lon"], row["lat"]], device | _properties(row))


def cut_at_180(line: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The parts of a line of longitudes and latitudes, none of which crosses 180 degrees.

    A step of more than 180 degrees of longitude goes the shorter way round, across the antimeridian; both parts have
    the point where it does.
    """
    parts = [[line[0]]]
    for (lon1, lat1), (lon2, lat2) in pairwise(line):
        if abs(lon2 - lon1) > _HALF:
            side = _HALF if lon1 > 0 else -_HALF
            beyond = lon2 + 2 * side
            lat = lat1 + (lat2 - lat1) * ((side - lon1) / (beyond - lon1) if beyond != lon1 else 0)
            if abs(lon1) < _HALF:
                parts[-1].append((side, lat))
            parts.append([] if abs(lon2) == _HALF else [(-side, lat)])
        parts[-1].append((lon2, lat2))
    return [part for part in parts if len(part) > 1] or [list(line)]


FORMATS: Mapping[str, Callable[..., bytes]] = {
    "csv": as_csv,
    "jsonl": jsonl,
    "parquet": parquet,
    "gpx": gpx,
    "geojson": geojson,
}
"""The file formats by name. csv and jsonl take the columns to write as well."""


def rfc3339(ts: datetime) -> str:
    """A time in UTC with milliseconds."""
    return ts.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decimal(value: float) -> str:
    """All digits of the number without an exponent, which XML's decimal does not have."""
    return f"{Decimal(repr(value)):f}"


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("altitude_m", "speed_kmh") if row[name] is not None}
    return {"ts": rfc3339(row["ts"]), **kept}


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def _flat(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value


__all__ = ["FORMATS", "contract_records", "positions", "rfc3339"]
