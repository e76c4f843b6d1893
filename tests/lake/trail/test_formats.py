"""A trail as a file that other programs read back."""

import csv
import dataclasses
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import msgspec
import polars as pl
import pyarrow as pa
import pytest

from contracts.record import BAD_POSITION, Record
from lake.trail.formats import FORMATS, cut_at_180, positions
from lake.trail.model import Sources, Trail
from tests.builders.query import DAY, Rows, device_name


@pytest.fixture
def trail() -> Trail:
    return trail_of(Rows().make(devices=1, each=40))


def trail_of(rows: pa.Table) -> Trail:
    return Trail(
        devices=(device_name(0),),
        start=DAY,
        end=DAY + timedelta(days=1),
        records=rows,
        sources=Sources(history=rows.num_rows),
        files_read=1,
        bytes_read=1,
        seconds=0.1,
    )


def test_json_lines_are_records_that_could_be_sent_again(trail: Trail) -> None:
    lines = FORMATS["jsonl"](trail).splitlines()
    sent = [msgspec.json.decode(line, type=Record) for line in lines]
    assert len(sent) == 40
    assert [datetime.fromisoformat(record.ts) for record in sent] == trail.records.column("ts").to_pylist()
    assert sum(len(record.signals or {}) for record in sent) == 13
    assert json.loads(lines[6])["attributes"] == {"route": "7, 'north'"}
    assert "altitude_m" in json.loads(lines[0])
    assert "record_id" not in json.loads(lines[0])


def test_csv_reads_back(trail: Trail) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](trail).decode())))
    assert [float(row["speed_kmh"]) for row in rows] == trail.records.column("speed_kmh").to_pylist()
    assert json.loads(rows[6]["attributes"]) == {"route": "7, 'north'"}


def test_parquet_has_every_column_of_landing(trail: Trail) -> None:
    frame = pl.read_parquet(io.BytesIO(FORMATS["parquet"](trail)))
    assert frame.columns == trail.records.column_names
    assert frame.height == 40


def test_tracks_leave_flagged_positions_out(trail: Trail) -> None:
    good = [flags & BAD_POSITION == 0 for flags in trail.records.column("flags").to_pylist()]
    assert len(positions(trail)) == sum(good) < 40
    gpx = ElementTree.fromstring(FORMATS["gpx"](trail))
    points = gpx.findall(".//{http://www.topografix.com/GPX/1/1}trkpt")
    assert len(points) == sum(good)
    first = points[0]
    when = first.find("{http://www.topografix.com/GPX/1/1}time")
    assert when is not None and when.text is not None
    assert datetime.fromisoformat(when.text) == DAY.astimezone(UTC)
    document = json.loads(FORMATS["geojson"](trail))
    assert document["type"] == "FeatureCollection"
    line, *rest = document["features"]
    assert len(line["geometry"]["coordinates"]) == len(rest) == sum(good)
    longitude, latitude = rest[0]["geometry"]["coordinates"]
    assert (latitude, longitude) == (float(first.get("lat", "")), float(first.get("lon", "")))


def test_several_devices_have_a_track_and_a_line_each() -> None:
    rows = Rows().make(devices=3, each=10)
    several = dataclasses.replace(trail_of(rows), devices=("none", *(device_name(n) for n in range(3))))
    names = [device_name(n) for n in range(3)]
    tracks = ElementTree.fromstring(FORMATS["gpx"](several)).findall(".//{http://www.topografix.com/GPX/1/1}trk")
    assert [track.findtext("{http://www.topografix.com/GPX/1/1}name") for track in tracks] == names
    features = json.loads(FORMATS["geojson"](several))["features"]
    lines = [feature for feature in features if feature["geometry"]["type"] == "LineString"]
    assert [line["properties"]["device_id"] for line in lines] == names
    points = Counter(one["properties"]["device_id"] for one in features if one["geometry"]["type"] == "Point")
    assert points == {one.name: len(positions(one)) for one in several.each_device()}
    assert sum(points.values()) == len(positions(several))
    sent = [json.loads(line)["device_id"] for line in FORMATS["jsonl"](several).splitlines()]
    assert sent == rows.column("device_id").to_pylist()


def test_numbers_of_a_gpx_have_no_exponent(trail: Trail) -> None:
    rows = [
        row | {"lat": 5e-05, "lon": -1.25e-07, "altitude_m": 1e-05} for row in trail.records.slice(0, 1).to_pylist()
    ]
    near_null_island = trail_of(pa.Table.from_pylist(rows, schema=trail.records.schema))
    (point,) = ElementTree.fromstring(FORMATS["gpx"](near_null_island)).findall(".//{*}trkpt")
    assert (point.get("lat"), point.get("lon")) == ("0.00005", "-0.000000125")
    assert [one.text for one in point.findall("{*}ele")] == ["0.00001"]


def test_an_empty_trail_is_valid_in_every_format(trail: Trail) -> None:
    empty = trail_of(trail.records.slice(0, 0))
    made = {name: write(empty) for name, write in FORMATS.items()}
    assert made["jsonl"] == b""
    assert json.loads(made["geojson"])["features"] == []
    assert ElementTree.fromstring(made["gpx"]).tag.endswith("gpx")
    assert pl.read_parquet(io.BytesIO(made["parquet"])).height == 0


def test_only_the_fields_asked_for_are_written(trail: Trail) -> None:
    line = json.loads(FORMATS["jsonl"](trail, ["ts", "speed_kmh"]).splitlines()[0])
    assert list(line) == ["ts", "speed_kmh"]
    assert FORMATS["csv"](trail, ["ts", "speed_kmh"]).decode().splitlines()[0] == "ts,speed_kmh"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ([(10, 1), (11, 2)], [[(10, 1), (11, 2)]]),
        ([(179, 0), (-179, 2)], [[(179, 0), (180, 1)], [(-180, 1), (-179, 2)]]),
        ([(-179, 0), (179, 2)], [[(-179, 0), (-180, 1)], [(180, 1), (179, 2)]]),
        ([(179, 0), (180, 1), (-179, 2)], [[(179, 0), (180, 1)], [(-180, 1), (-179, 2)]]),
        ([(179, 0), (-180, 1), (-179, 2)], [[(179, 0), (180, 1)], [(-180, 1), (-179, 2)]]),
        ([(-90, 0), (89, 0)], [[(-90, 0), (89, 0)]]),
    ],
)
def test_a_line_is_cut_where_it_crosses_180_degrees(line, parts) -> None:
    assert cut_at_180(line) == parts


def test_a_ferry_across_180_degrees_is_a_multi_line(trail: Trail) -> None:
    rows = trail.records.slice(0, 2)
    for name, values in (("lon", [179.5, -179.5]), ("lat", [-16.8, -16.8]), ("flags", [0, 0])):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(name), pa.array(values, rows.schema.field(name).type))
    geometry = json.loads(FORMATS["geojson"](trail_of(rows)))["features"][0]["geometry"]
    assert geometry["type"] == "MultiLineString"
    assert geometry["coordinates"] == [[[179.5, -16.8], [180.0, -16.8]], [[-180.0, -16.8], [-179.5, -16.8]]]


def test_a_point_that_only_live_state_knows_is_written_without_an_identity() -> None:
    rows = Rows().make(devices=1, each=2)
    nobody = pa.array([None, None], pa.string())
    for name in ("event_id", "record_id"):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, pa.field(name, pa.string()), nobody)
    for name in ("jsonl", "csv"):
        assert FORMATS[name](trail_of(rows))
    assert all("event_id" not in json.loads(line) for line in FORMATS["jsonl"](trail_of(rows)).splitlines())
