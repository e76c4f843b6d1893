"""Every file and mapping that cannot be replayed is refused before anything is sent, with what is wrong."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import BadInputFile, BadMapping, FleetlakeError
from contracts.mapping import DeviceId, EventTime
from devices.replay import Mapping, load_mapping, open_feed, shipped_mappings

_WHOLE = gzip.compress(b'{"device_id":"a","ts":1}\n', mtime=0)
NO_DEFLATE = _WHOLE[:10] + b"\xff" + _WHOLE[11:]
"""A gzip file whose first block is of no kind that there is."""


def drained(path: Path, mapping: Mapping) -> None:
    for _ in open_feed(path, mapping).outgoing():
        pass


def csv(folder: Path, text: str, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match=r"no file .*gone\.csv"):
        open_feed(tmp_path / "gone.csv", Mapping())


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match="is a folder; name one file of it"):
        open_feed(tmp_path, Mapping())


def test_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match=r"file\.xlsx: replay reads \.csv, \.csv\.gz, \.jsonl"):
        open_feed(csv(tmp_path, "x", "file.xlsx"), Mapping())


@pytest.mark.parametrize("name", ["file.csv", "file.parquet", "file.jsonl"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputFile, match=f"{name} is empty"):
        open_feed(csv(tmp_path, "", name), Mapping())


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    pq.write_table(pa.table({"device_id": pa.array([], pa.string()), "ts": pa.array([], pa.int64())}), path)
    with pytest.raises(BadInputFile, match="has no rows"):
        open_feed(path, Mapping())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("file.parquet", b"PAR1 no, not really", "is no readable Parquet file"),
        ("file.csv.gz", b"plain text, not gzip", "is no readable CSV file"),
        ("file.jsonl.gz", gzip.compress(b'{"device_id":"a","ts":1}\n' * 9, mtime=0)[:-9], "is damaged"),
        ("file.jsonl.gz", NO_DEFLATE, r"file\.jsonl\.gz is damaged"),
        ("file.csv", b"device_id,ts\na,1700000000000\na,1,2,3\n", "Expected 2 columns, got 4"),
    ],
)
def test_a_damaged_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInputFile, match=message):
        drained(path, Mapping())


@pytest.mark.parametrize(("header", "missing"), [("vehicle,ts", "device_id"), ("device_id,time", "ts")])
def test_a_file_without_a_required_column(tmp_path: Path, header: str, missing: str) -> None:
    path = csv(tmp_path, f"{header}\na,1700000000000\n")
    with pytest.raises(BadInputFile, match=f"has no column '{missing}'; it has {header.replace(',', ', ')}"):
        open_feed(path, Mapping())


@pytest.mark.parametrize("missing", ["device_id", "ts"])
def test_lines_without_a_required_field(tmp_path: Path, missing: str) -> None:
    other = "ts" if missing == "device_id" else "device_id"
    path = csv(tmp_path, f'{{"{other}": "x"}}\n[1]\n', "file.jsonl")
    with pytest.raises(BadInputFile, match=f"none of the first 2 lines is a JSON object with '{missing}'"):
        drained(path, Mapping())


@pytest.mark.parametrize(
    ("mapping", "place"),
    [
        (Mapping(device_id=DeviceId("vin")), r"\[device_id\] names column 'vin'"),
        (Mapping(ts=EventTime("vin")), r"\[ts\] names column 'vin'"),
        (Mapping(fields={"lat": "vin"}), r"\[fields\] lat names column 'vin'"),
        (Mapping(signals={"oil": "vin"}), r"\[signals\] oil names column 'vin'"),
        (Mapping(attributes={"route": "vin"}), r"\[attributes\] route names column 'vin'"),
        (Mapping(drop=["vin"]), "drop names column 'vin'"),
    ],
)
def test_a_mapping_that_names_a_missing_column(tmp_path: Path, mapping: Mapping, place: str) -> None:
    path = csv(tmp_path, "device_id,ts,speed\na,1700000000000,3\n")
    with pytest.raises(BadMapping, match=place + r".*does not have; it has device_id, ts, speed"):
        open_feed(path, mapping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is not TOML", "is malformed"),
        ("[feilds]\nlat = 'x'", "unknown field `feilds`"),
        ("[fields]\nlatitude = 'x'", r"\[fields\] sets 'latitude', which is none of the record's event_id, lat, lon"),
        ("[fields.lat]\ncolumn = 'x'\nfactor = 'two'", "Expected `float`, got `str`"),
        ("[fields]\nlat = 'x'\n[constants]\nlat = 1", r"'lat' is both in \[fields\] and in \[constants\]"),
        ("[ts]\nunit = 'minutes'", "Invalid enum value 'minutes'"),
        ("sort_by = 'speed'", "Invalid enum value 'speed'"),
        ("[registry]\nfleet='f'\nname='F'\ntype='tram'", "type 'tram' is none of car, van"),
    ],
)
def test_a_malformed_mapping(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(BadMapping, match=message):
        load_mapping(str(path))


def test_a_mapping_that_is_not_there() -> None:
    with pytest.raises(BadMapping, match="no mapping 'nope': neither a file nor one of ap_malaysia_rail, eu_germany"):
        load_mapping("nope")


@pytest.mark.parametrize("text", ["2026-07-01T12:00:00", "2026-07-01 12:00:00"])
def test_times_without_a_zone(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputFile, match="have no zone; name it in a mapping"):
        drained(csv(tmp_path, f"device_id,ts\na,{text}\n"), Mapping())


def test_a_zone_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="'Berlin' is no IANA zone"):
        drained(csv(tmp_path, "device_id,ts\na,2026-07-01T12:00:00\n"), Mapping(ts=EventTime(zone="Berlin")))


def test_times_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    pq.write_table(pa.table({"device_id": ["a"], "ts": [True]}), path)
    with pytest.raises(BadInputFile, match="column 'ts' is bool, which is no time"):
        drained(path, Mapping())


def test_lines_cannot_be_sorted(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="sort_by works on Parquet and CSV"):
        open_feed(csv(tmp_path, '{"device_id":"a","ts":1}\n', "file.jsonl"), Mapping(sort_by="ts"))


def test_all_of_it_is_misuse() -> None:
    for error in (BadInputFile, BadMapping):
        assert issubclass(error, FleetlakeError)
        assert error.exit_code == 2


def test_every_shipped_mapping_can_be_read() -> None:
    assert [load_mapping(name).registry is not None for name in shipped_mappings()] == [True] * 4
