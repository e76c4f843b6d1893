"""A trail through the API is what `fleetlake trail` tells, row for row, in every format."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import gpxpy
import polars as pl
import pytest

from lake.trail import Trail, trail
from lake.trail.formats import FORMATS, parquet
from lake.trail.times import time_range
from tests.builders.serving import DAY, POINTS, devices_of, fleets_of
from tests.serving.conftest import Served

ACME, _ = fleets_of("eu")
DEVICE = devices_of(ACME)[0]
ON_DAY = {"from": f"{DAY:%Y-%m-%d}", "to": f"{DAY:%Y-%m-%d}"}
PROJECT = Path(__file__).resolve().parents[2]


def command(served: Served, form: str) -> bytes:
    """What the command prints."""
    words = ["trail", DEVICE, "--region", "eu", "--from", ON_DAY["from"], "--to", ON_DAY["to"], "--format", form]
    machine = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env=machine | served.eu.environment,
        cwd=PROJECT,
        capture_output=True,
        check=True,
        timeout=300,
    )
    return ended.stdout


@pytest.fixture(scope="module")
def answer(served: Served) -> Trail:
    """What the spot query tells that the command writes."""
    start, end = time_range(ON_DAY["from"], ON_DAY["to"], served.eu.settings.row.zone)
    return trail(served.eu.settings, DEVICE, start, end)


def through_api(served: Served, form: str, **query: object) -> bytes:
    """What the API answers."""
    with served.eu.client(served.eu.token(ACME)) as client:
        answer = client.get(f"/v1/devices/{DEVICE}/trail", params={**ON_DAY, "format": form, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["fleetlake-records"] == str(POINTS) or query
    return answer.content


def test_the_records_are_those_that_the_command_prints_byte_for_byte(served: Served) -> None:
    assert through_api(served, "jsonl") == command(served, "jsonl")


@pytest.mark.parametrize("form", ["jsonl", "csv", "geojson", "gpx"])
def test_the_texts_are_the_spot_querys_byte_for_byte(served: Served, answer: Trail, form: str) -> None:
    assert through_api(served, form) == FORMATS[form](answer)


def test_parquet_has_the_spot_querys_rows(served: Served, answer: Trail) -> None:
    one, other = (pl.read_parquet(io.BytesIO(body)) for body in (through_api(served, "parquet"), parquet(answer)))
    assert one.height == POINTS
    assert one.equals(other)


def test_json_has_the_records_of_json_lines(served: Served) -> None:
    page = json.loads(through_api(served, "json"))
    assert page["records"] == [json.loads(line) for line in through_api(served, "jsonl").splitlines()]
    assert (page["sources"], page["missing"], page["next"]) == ({"history": 0, "landing": POINTS, "live": 0}, [], None)


def test_gpx_opens_and_geojson_is_what_the_standard_says(served: Served) -> None:
    (track,) = gpxpy.parse(through_api(served, "gpx").decode()).tracks
    assert sum(len(segment.points) for segment in track.segments) == POINTS
    document = json.loads(through_api(served, "geojson"))
    assert document["type"] == "FeatureCollection"
    line, *points = document["features"]
    assert (line["geometry"]["type"], len(line["geometry"]["coordinates"]), len(points)) == (
        "LineString",
        POINTS,
        POINTS,
    )
    for one in points:
        assert one["type"] == "Feature"
        lon, lat = one["geometry"]["coordinates"]
        assert -180 <= lon <= 180
        assert -90 <= lat <= 90


def test_pages_give_each_record_once(served: Served) -> None:
    seen: list[str] = []
    with served.eu.client(served.eu.token(ACME)) as client:
        url = f"/v1/devices/{DEVICE}/trail"
        answer = client.get(url, params={**ON_DAY, "format": "csv", "limit": 250})
        while True:
            seen += [row["ts"] for row in csv.DictReader(io.StringIO(answer.text))]
            if "link" not in answer.headers:
                break
            answer = client.get(answer.links["next"]["url"])
    assert len(seen) == len(set(seen)) == POINTS


def test_columns_and_thinning_leave_the_rest_out(served: Served) -> None:
    rows = list(csv.DictReader(io.StringIO(through_api(served, "csv", columns="speed_kmh", every_s=600).decode())))
    assert list(rows[0]) == ["ts", "speed_kmh"]
    assert 10 <= len(rows) <= 12
    assert len(json.loads(through_api(served, "json", simplify_m=50))["records"]) < 5
