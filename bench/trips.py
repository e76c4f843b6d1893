"""Trips of real vehicles beside trips by window functions in DuckDB, and what lies outside of them.

FLEETLAKE_REAL_DATA names the folder with the published files. The rules of motion run as in a derivation, on no Spark.
"""

import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.peers.trips_in_sql import records_of, trips_of
from bench.rows import Row
from contracts.errors import Misuse
from contracts.record import LANDING_SCHEMA, Flag
from lake.derive.motion.device_days import TRIPS, derive_table
from lake.derive.motion.rules import TripRules

DATA = "FLEETLAKE_REAL_DATA"
PAUSE_KM = 0.5
"""A device that comes so far between two trips of a day was on its way."""
GAP = timedelta(hours=1)
NEAR = timedelta(seconds=1)
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Fleet:
    """Some days of some vehicles of a published file."""

    name: str
    file: str
    where: str
    kmh: str
    time_zone: str


_BUS_DAYS = "ts >= '2017-03-14' and ts < '2017-03-18'"
FLEETS = (
    Fleet(
        "60 buses, 4 days",
        "us_austin_bus",
        f"{_BUS_DAYS} and device_id in (select distinct device_id from read_parquet($path) where {_BUS_DAYS}"
        " order by 1 limit 60)",
        "speed * 3.6",
        "America/Chicago",
    ),
    Fleet(
        "trains, 3 days",
        "ap_malaysia_rail",
        "ts >= '2024-11-05' and ts < '2024-11-08'",
        "speed",
        "Asia/Kuala_Lumpur",
    ),
    Fleet("enviroCar, 18 drives", "eu_germany_envirocar", "true", '"Speed"', "Europe/Berlin"),
)


@dataclass(frozen=True)
class Compared:
    """Trips of one fleet by both, and why they differ."""

    fleet: Fleet
    ours: pa.Table
    theirs: pa.Table
    same: int
    """Trips that both have, from the same record to the same record."""
    reasons: dict[str, int]
    """Groups of trips that overlap and are not the same, by reason."""
    km: float
    """All that the device days measure."""
    pauses: int
    far_pauses: int
    """Pauses in which the device came further than PAUSE_KM."""
    far_without_silence: int
    """... and had no silence of more than an hour."""


def run() -> list[Row]:
    """ratio is over DuckDB's trips."""
    folder = os.environ.get(DATA)
    if not folder:
        raise Misuse(f"{DATA} is not set; it names the folder with the published files of real vehicles")
    return [row for fleet in FLEETS for row in _rows(compare(fleet, Path(folder)))]


def _rows(found: Compared) -> list[Row]:
    name, key = found.fleet.name, found.fleet.file.split("_")[-1]
    rows = [
        _beside(f"{key}_{unit}", f"{name}: {what}", unit, ours, theirs)
        for what, unit, ours, theirs in (
            ("trips", "trips", found.ours.num_rows, found.theirs.num_rows),
            ("distance of trips", "km", _sum(found.ours, "distance_km"), _sum(found.theirs, "distance_km")),
            ("time in motion", "h", _sum(found.ours, "moving_s") / 3600, _sum(found.theirs, "moving_s") / 3600),
        )
    ]
    outside = 1 - _sum(found.ours, "distance_km") / found.km if found.km else 0.0
    rows.append(
        Row(id=f"{key}_same", what=f"{name}: trips that both have, to the record", value=found.same, unit="trips")
    )
    for reason, count in sorted(found.reasons.items()):
        rows.append(
            Row(id=f"{key}_{reason.partition(':')[0]}", what=f"{name}: differ by {reason}", value=count, unit="groups")
        )
    rows.append(Row(id=f"{key}_km_outside", what=f"{name}: kilometres outside trips", value=round(outside, 3), unit=""))
    far = Row(
        id=f"{key}_far_pauses",
        what=f"{name}: pauses between trips in which it came more than 500 m",
        value=found.far_pauses,
        unit="pauses",
        peer="all pauses",
        peer_value=found.pauses,
        ratio=round(found.far_pauses / found.pauses, 3) if found.pauses else None,
    )
    quiet = Row(
        id=f"{key}_far_pauses_unexplained",
        what=f"{name}: ... without a silence of more than an hour",
        value=found.far_without_silence,
        unit="pauses",
    )
    return [*rows, far, quiet]


def _beside(name: str, what: str, unit: str, ours: float, theirs: float) -> Row:
    ratio = round(ours / theirs, 3) if theirs else None
    value, peer_value = round(ours, 1), round(theirs, 1)
    return Row(id=name, what=what, value=value, unit=unit, peer="DuckDB", peer_value=peer_value, ratio=ratio)


def compare(fleet: Fleet, folder: Path) -> Compared:
    """Both kinds of trips of the fleet, group by group."""
    records = records_of(folder / f"{fleet.file}.parquet", fleet.where, fleet.kmh)
    theirs = trips_of(records)
    rules = TripRules(stop_s=300, gap_s=3600, moving_kmh=3.0, time_zone=fleet.time_zone)
    made = derive_table(as_history(records), rules)
    ours = _trips(made)
    tracks = _tracks(records)
    same, reasons = 0, dict[str, int]()
    for device, mine, other in _groups(ours, theirs):
        if len(mine) == len(other) == 1 and _as_long(mine[0], other[0]):
            same += 1
            continue
        reason = why(tracks[device], mine, other)
        reasons[reason] = reasons.get(reason, 0) + 1
    pauses = list(_pauses(ours, tracks))
    far = [silence for km, silence in pauses if km > PAUSE_KM]
    km = _sum(made, "distance_gps_km")
    return Compared(fleet, ours, theirs, same, reasons, km, len(pauses), len(far), sum(not one for one in far))


def as_history(records: pa.Table) -> pa.Table:
    """Such records as rows of history, in the order in which the file has them."""
    count = records.num_rows
    island = pc.and_(pc.less(pc.abs(records["lat"]), 1e-6), pc.less(pc.abs(records["lon"]), 1e-6))
    # A file's later row of the same moment arrived later.
    arrival = pc.add(pa.scalar(4_000_000_000_000_000), records["place"]).cast(pa.timestamp("us", "UTC"))
    given = {
        "device_id": records["device_id"],
        "ts": records["ts"],
        "lat": records["lat"],
        "lon": records["lon"],
        "speed_kmh": records["kmh"],
        "record_id": pc.cast(records["place"], pa.string()),
        "arrival_ts": arrival,
        "flags": pc.if_else(island, int(Flag.NULL_ISLAND), 0),
    }
    columns = [
        given[one.name].cast(one.type) if one.name in given else pa.nulls(count, one.type) for one in LANDING_SCHEMA
    ]
    return pa.table(columns, names=LANDING_SCHEMA.names)


Trip = dict[str, Any]
Track = np.ndarray
"""ts in epoch microseconds, kilometres from the position before, km/h, by record of a device, in order."""


def why(track: Track, mine: list[Trip], other: list[Trip]) -> str:
    """What the records hold around these trips on which the two rules differ; the first word is its name."""
    ends = [trip[name] for trip in (*mine, *other) for name in ("start_ts", "end_ts")]
    first, last = min(ends), max(ends)
    inside = track[(track["ts"] > _us(first)) & (track["ts"] <= _us(last))]
    kmh = inside["km"] / np.maximum(inside["s"], 1) * 3600
    if (kmh > 150).any():
        return "outliers: positions that could be reached at more than 150 km/h only, which ours leaves out"
    if (inside["s"] > 300).any():
        return "sleep: 5 to 60 minutes without a record, in which ours takes slow progress for rest"
    if any(trip["start_ts"].hour == 0 for trip in mine) or _at_noon(mine):
        return "noon: trips of more than a night, which ours cuts at noon"
    if (inside["s"] > 60).any():
        return "sparse: more than a minute between records, whose speeds ours weighs with the positions around"
    return "slow: starts and ends below 3 km/h or within the radius of noise at rest"


def _at_noon(mine: list[Trip]) -> bool:
    ends = {trip["end_ts"] for trip in mine}
    return any(trip["start_ts"] in ends for trip in mine)


def _groups(ours: pa.Table, theirs: pa.Table) -> list[tuple[str, list[Trip], list[Trip]]]:
    """Trips of a device that overlap, of both, and those that overlap with none."""
    rows = [(row, 0) for row in ours.to_pylist()] + [(row, 1) for row in theirs.to_pylist()]
    rows.sort(key=lambda one: (one[0]["device_id"], one[0]["start_ts"], one[1]))
    groups: list[tuple[str, list[Trip], list[Trip]]] = []
    until: datetime | None = None
    for row, side in rows:
        if groups and groups[-1][0] == row["device_id"] and until is not None and row["start_ts"] < until:
            until = max(until, row["end_ts"])
        else:
            groups.append((row["device_id"], [], []))
            until = row["end_ts"]
        groups[-1][1 + side].append(row)
    return groups


def _as_long(one: Trip, other: Trip) -> bool:
    return all(abs(one[name] - other[name]) < NEAR for name in ("start_ts", "end_ts"))


def _trips(made: pa.Table) -> pa.Table:
    names = ["device_id", "start_ts", "end_ts", "distance_km", "moving_s"]
    rows = [{name: trip[name] for name in names} for trips in made[TRIPS].to_pylist() for trip in trips]
    stamp = pa.timestamp("us", "UTC")
    types = [pa.string(), stamp, stamp, pa.float64(), pa.float64()]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(zip(names, types, strict=True))))


def _tracks(records: pa.Table) -> dict[str, Track]:
    """Each device's positions in order of time, without nought."""
    good = records.filter(pc.or_(pc.greater(pc.abs(records["lat"]), 1e-6), pc.greater(pc.abs(records["lon"]), 1e-6)))
    good = good.sort_by([("device_id", "ascending"), ("ts", "ascending"), ("place", "ascending")])
    devices = good["device_id"].to_numpy(zero_copy_only=False)
    ts = good["ts"].cast(pa.int64()).to_numpy()
    lat, lon = (np.radians(good[name].to_numpy()) for name in ("lat", "lon"))
    half = np.sin(np.diff(lat, prepend=lat[:1]) / 2) ** 2
    half += np.cos(lat) * np.cos(np.roll(lat, 1)) * np.sin(np.diff(lon, prepend=lon[:1]) / 2) ** 2
    made = np.zeros(len(ts), [("ts", "i8"), ("km", "f8"), ("s", "f8")])
    made["ts"], made["km"] = ts, 2 * 6371.0088 * np.arcsin(np.sqrt(half))
    made["s"] = np.diff(ts, prepend=ts[:1]) / _SECOND_US
    tracks = {}
    for device in np.unique(devices):
        own = made[devices == device]
        own["km"][0] = own["s"][0] = 0
        tracks[str(device)] = own
    return tracks


def _pauses(ours: pa.Table, tracks: dict[str, Track]) -> list[tuple[float, bool]]:
    """Kilometres between one trip of a device and the next of the same UTC day, and whether it was silent so long."""
    rows = ours.sort_by([("device_id", "ascending"), ("start_ts", "ascending")]).to_pylist()
    pauses = []
    for before, after in pairwise(rows):
        if before["device_id"] != after["device_id"] or _day(before["end_ts"]) != _day(after["start_ts"]):
            continue
        track = tracks[before["device_id"]]
        inside = track[(track["ts"] > _us(before["end_ts"])) & (track["ts"] <= _us(after["start_ts"]))]
        pauses.append((float(inside["km"].sum()), bool((inside["s"] > GAP.total_seconds()).any())))
    return pauses


def _day(at: datetime) -> date:
    return at.date()


def _us(at: datetime) -> int:
    return int(at.timestamp() * _SECOND_US)


def _sum(rows: pa.Table, name: str) -> float:
    return float(pc.sum(rows[name]).as_py() or 0)
