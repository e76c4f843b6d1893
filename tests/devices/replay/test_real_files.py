"""Each shipped mapping on the file that it was written for, against an independent reading by DuckDB."""

import json
import math
from itertools import islice
from typing import Any

import duckdb
import msgspec
import pytest

from contracts.record import MAX_RECORD_BYTES, Record
from devices.replay import load_mapping, open_feed
from tests.builders.real_data import BUS, ENVIROCAR, KIT, RAIL, RealFile

pytestmark = pytest.mark.real_data
FILES = [BUS, RAIL, ENVIROCAR, KIT]
BATCHES = 1
"""Of at most 20,000 rows."""

# For each field of the record how DuckDB reads it from the file, and the same for signals and attributes.
READ: dict[str, dict[str, str]] = {
    BUS.name: {"lat": "lat", "lon": "lon", "speed_kmh": "speed * 3.6", "route_id": "route_id", "trip_id": "trip_id"},
    RAIL.name: {"lat": "lat", "speed_kmh": "speed", "heading_deg": "bearing", "trip_id": "trip_id"},
    ENVIROCAR.name: {
        "speed_kmh": '"Speed"',
        "engine_rpm": '"Rpm"',
        "fuel_rate_lph": '"Consumption"',
        "co2_kgph": '"CO2"',
        "maf_gps": '"MAF"',
        "track_id": "track_id",
    },
    KIT.name: {
        "speed_kmh": '"Vehicle Speed Sensor [km/h]"',
        "engine_rpm": '"Engine RPM [RPM]"',
        "coolant_c": '"Engine Coolant Temperature [°C]"',
        "ambient_c": '"Ambient Air Temperature [°C]"',
    },
}


def records(file: RealFile) -> list[dict[str, Any]]:
    """The first records that the shipped mapping makes, signals and attributes beside the fields."""
    feed = open_feed(file.path, load_mapping(file.name))
    made = [json.loads(payload) for part in islice(feed.outgoing(), BATCHES) for payload in part.payloads]
    return [{**record, **record.get("signals", {}), **record.get("attributes", {})} for record in made]


def rows(file: RealFile, columns: list[str], limit: int) -> list[tuple[Any, ...]]:
    """The file's rows in the order in which the mapping sends them."""
    order = "ts, file_row_number" if load_mapping(file.name).sort_by else "file_row_number"
    query = f"select {', '.join(columns)} from read_parquet(?, file_row_number = true) order by {order} limit {limit}"
    return duckdb.execute(query, [str(file.path)]).fetchall()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_records_say_what_the_file_says(file: RealFile) -> None:
    made = records(file)
    read = READ[file.name]
    found = rows(file, ["device_id", "epoch_us(ts)", *read.values()], len(made))
    assert len(found) == len(made) > 4000
    for record, (device, ts_us, *values) in zip(made, found, strict=True):
        assert record["device_id"] == file.prefix + device
        assert record["ts"] == ts_us // 1000
        for name, value in zip(read, values, strict=True):
            absent = value is None or (isinstance(value, float) and math.isnan(value))
            if isinstance(value, float) and not absent:
                assert record[name] == pytest.approx(value, abs=1e-6)
            else:
                assert record.get(name) == (None if absent else value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_records_keep_the_contract(file: RealFile) -> None:
    feed = open_feed(file.path, load_mapping(file.name))
    for part in islice(feed.outgoing(), BATCHES):
        for payload in part.payloads:
            assert len(payload) < MAX_RECORD_BYTES
            msgspec.json.decode(payload, type=Record)
            assert set(json.loads(payload)) <= set(Record.__struct_fields__)


@pytest.mark.parametrize("file", [BUS, ENVIROCAR], ids=lambda file: file.name)
def test_every_row_is_sent_once_and_differs_where_the_files_rows_do(file: RealFile) -> None:
    feed = open_feed(file.path, load_mapping(file.name))
    count, different, newest = 0, set(), {}
    for part in feed.outgoing():
        count += len(part)
        different.update(part.payloads)
        for key, ms in zip(part.keys, part.due_ms.tolist(), strict=True):
            newest[key] = max(ms, newest.get(key, 0))
    assert count == file.rows()
    assert len(different) == file.distinct()
    assert newest == {file.prefix + device: ms for device, ms in file.newest().items()}


def test_registry_texts_come_from_the_file_where_the_mapping_says_so() -> None:
    feed = open_feed(ENVIROCAR.path, load_mapping(ENVIROCAR.name))
    for _ in feed.outgoing():
        pass
    # A device has one make throughout this file.
    query = "select device_id, any_value(manufacturer), any_value(fuelType) from read_parquet(?) group by 1"
    found = duckdb.execute(query, [str(ENVIROCAR.path)]).fetchall()
    assert {device: (known.type, known.make, known.fuel) for device, known in feed.seen.devices.items() if known} == {
        device: ("car", make, fuel) for device, make, fuel in found
    }
