"""Files as people have them are read as what they are by their content, and the report says what that was."""

import bz2
import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from contracts.errors import BadInputFile
from contracts.mapping import DeviceId, EventTime
from devices.replay import Mapping, open_feed
from devices.replay.csv_table import BLOCK_BYTES
from devices.replay.json_framing import documents, split_line
from devices.replay.parquet_table import ParquetTable
from tests.devices.replay.field_files import NOW, csv, drained, json_lines, mapping, parquet, records

ROW = '{"device_id":"a","ts":1795680000000,"lat":52.5}'
ROWS = [json.loads(ROW)] * 3
PACKED: dict[str, Any] = {"none": bytes, "gzip": gzip.compress, "bz2": bz2.compress}
PACKED["zstd"] = lambda data: pa.compress(data, codec="zstd", asbytes=True)


@pytest.mark.parametrize("name", ["file.csv", "FILE.CSV.GZ", "file.csv.gz"])
@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_file_is_known_by_its_content(name: str, packing: str, tmp_path: Path) -> None:
    sent, feed = drained(csv(tmp_path, PACKED[packing](f"device_id,ts\na,{NOW}\n".encode()), name))
    assert sent == [{"device_id": "a", "ts": NOW}]
    assert feed.seen.findings.decided["compression"] == packing
    lines = csv(tmp_path, PACKED[packing](f"{ROW}\n{ROW}\n".encode()), "inside.jsonl")
    assert records(lines) == ROWS[:2]


@pytest.mark.parametrize("magic", [b"PK\x03\x04 a spreadsheet", b"\xfd7zXZ\x00 packed"])
def test_what_replay_cannot_unpack_is_named(magic: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match=r"unpack or export it; replay reads \.csv"):
        records(csv(tmp_path, magic))


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8", codecs.BOM_UTF8), ("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", b"\xfe\xff")]
)
@pytest.mark.parametrize("packing", ["none", "gzip"])
def test_a_byte_order_mark_is_no_part_of_the_text(encoding: str, mark: bytes, packing: str, tmp_path: Path) -> None:
    text = f"device_id,ts,route\na,{NOW},Köln\n"
    table = csv(tmp_path, PACKED[packing](mark + text.encode(encoding)))
    assert records(table)[0]["attributes"] == {"route": "Köln"}
    lines = csv(tmp_path, PACKED[packing](mark + f"{ROW}\n{ROW}\n{ROW}".encode(encoding)), "file.jsonl")
    assert records(lines) == ROWS
    assert records(lines, Mapping(description="as they are")) == ROWS


def test_marks_of_files_that_were_joined_are_no_part_of_a_record(tmp_path: Path) -> None:
    path = csv(tmp_path, b"\xef\xbb\xbf" + ROW.encode() + b"\n\xef\xbb\xbf" + ROW.encode() + b"\n", "file.jsonl")
    assert drained(path)[1].not_json == 0


def test_another_encoding_is_asked_for(tmp_path: Path) -> None:
    path = csv(tmp_path, f"device_id,ts,route\na,{NOW},Köln\n".encode("windows-1252"))
    with pytest.raises(BadInputFile, match='line 2 is not UTF-8; name the encoding in a mapping: encoding = "windows'):
        records(path)
    assert records(path, Mapping(encoding="windows-1252"))[0]["attributes"] == {"route": "Köln"}


@pytest.mark.parametrize("as_objects", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        ROW * 3,
        f"{ROW}\n{ROW}{ROW}\n",
        f"[{ROW},{ROW},\n{ROW}]",
        f"[{ROW}]\n[{ROW},{ROW}]\n",
        "\n".join([json.dumps(ROWS[0], indent=2)] * 3),
        json.dumps(ROWS, indent=1),
        f"\x1e{ROW}\n\x1e{ROW}\n\x1e{ROW}\n",
        f"{ROW}, {ROW}\r\n\r\n{ROW}",
    ],
)
def test_json_records_are_found_wherever_they_stand(text: str, as_objects: bool, tmp_path: Path) -> None:
    sent, feed = drained(csv(tmp_path, text, "file.json"), Mapping(rest="drop") if as_objects else None)
    assert (sent, feed.not_json) == (ROWS, 0)


def test_one_broken_record_among_others_costs_itself_alone(tmp_path: Path) -> None:
    broken = '{"device_id":"a","ts":17'
    feed = open_feed(csv(tmp_path, f"{ROW}{ROW}{broken}\n{ROW}\n", "file.jsonl"), Mapping())
    sent = [payload for part in feed.outgoing() for payload in part.payloads]
    assert sent == [ROW.encode(), ROW.encode(), broken.encode(), ROW.encode()]
    assert feed.not_json == 1


def test_records_are_found_across_blocks_byte_for_byte() -> None:
    records_ = [f'{{"device_id":"ä{n}",  "ts":{NOW + n}, "n":"\\u00e4"}}'.encode() for n in range(50)]
    whole = b"[" + b",\n".join(records_) + b"]"
    for size in (1, 7, 64, 4096):
        blocks = [whole[place : place + size] for place in range(0, len(whole), size)]
        assert list(documents(blocks)) == records_
    assert split_line(b"".join(records_)) == records_
    assert split_line(b'{"a":[{"b":1},{"c":2}') == [b'{"a":[{"b":1},{"c":2}'], "a broken record stays in one piece"


def test_a_cell_of_several_lines_is_read_wherever_it_stands(tmp_path: Path) -> None:
    """As 150,000 rows with a note of three lines, over more than one block of the file."""
    plain = f"a,{NOW},52.5,a plain note of a driver\n"
    rows = BLOCK_BYTES // len(plain) + 5_000
    text = "device_id,ts,lat,note\n" + plain * rows + f'a,{NOW},52.5,"one\ntwo, ""2""\nthree"\n' + plain * 10
    path = csv(tmp_path, text)
    parts = [part.payloads for part in open_feed(path, Mapping()).outgoing()]
    assert sum(map(len, parts)) == rows + 11
    assert json.loads(parts[-1][-11])["attributes"] == {"note": 'one\ntwo, "2"\nthree'}


def test_a_file_that_cannot_be_read_to_its_end_says_how_far_it_came(tmp_path: Path) -> None:
    plain = f"a,{NOW},52.5\n"
    rows = BLOCK_BYTES // len(plain) + 5_000
    path = csv(tmp_path, "device_id,ts,lat\n" + plain * rows + f"a,{NOW}\n")
    with pytest.raises(BadInputFile, match=r"damaged after its first [0-9,]+ rows: .*Expected 3 columns, got 2.*again"):
        records(path)
    lines = csv(tmp_path, gzip.compress(f"{ROW}\n".encode() * 60_000)[:-200], "file.jsonl.gz")
    with pytest.raises(BadInputFile, match=r"is damaged: .*it was read for [1-9][0-9,]+ records"):
        records(lines)


@pytest.mark.parametrize("header", ["speed_kmh,speed_kmh", "speed_kmh, speed_kmh"])
def test_a_column_that_is_named_twice_is_refused(header: str, tmp_path: Path) -> None:
    message = r"names column 'speed_kmh' twice \(columns 3 and 4\)"
    with pytest.raises(BadInputFile, match=message):
        records(csv(tmp_path, f"device_id,ts,{header}\na,{NOW},50,51\n"))
    twice = pa.Table.from_arrays([["a"], [NOW], [50.0], [51.0]], names=["device_id", "ts", "speed_kmh", "speed_kmh"])
    path = parquet(tmp_path, {"x": [1]})
    pa.parquet.write_table(twice, path)
    with pytest.raises(BadInputFile, match=message):
        records(path)


def test_a_column_without_a_name_is_named_for_its_place(tmp_path: Path) -> None:
    assert records(csv(tmp_path, f",device_id,ts,\n0,a,{NOW},x\n")) == [
        {"device_id": "a", "ts": NOW, "signals": {"column_1": 0}, "attributes": {"column_4": "x"}}
    ]


def test_blanks_after_commas_are_the_files(tmp_path: Path) -> None:
    text = f'device_id, ts, lat, event_id, route\na, {NOW}, 52.5, 007, "R 1"\na, {NOW}, 52.6, 008, R2\n'
    sent, feed = drained(csv(tmp_path, text))
    assert sent[0] == {"device_id": "a", "ts": NOW, "event_id": "007", "lat": 52.5, "attributes": {"route": "R 1"}}
    assert feed.seen.findings.decided["blank_after_delimiter"]
    kept = records(csv(tmp_path, f"device_id,ts,lat,route\n a ,{NOW} , 52.5, R1\na,{NOW},52.5,R2\n"))
    assert kept[0] == {"device_id": "a", "ts": NOW, "lat": 52.5, "attributes": {"route": " R1"}}, "a text's own blanks"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(delimiter: str, tmp_path: Path) -> None:
    text = f"device_id,ts,lat,note\na,{NOW},52.5,x\n".replace(",", delimiter)
    sent, feed = drained(csv(tmp_path, text))
    assert sent[0] | {"attributes": {}} == {"device_id": "a", "ts": NOW, "lat": 52.5, "attributes": {}}
    assert feed.seen.findings.decided["delimiter"] == {"\t": "tab"}.get(delimiter, delimiter)
    assert records(csv(tmp_path, text), Mapping(delimiter=delimiter)) == sent


def test_a_decimal_comma_is_found_out_where_it_is_plain(tmp_path: Path) -> None:
    sent, feed = drained(csv(tmp_path, f"device_id;ts;lat;lon;oil\na;{NOW};52,5;13,400;3,1\nb;{NOW};52,5;-;4\n"))
    assert sent[0] == {"device_id": "a", "ts": NOW, "lat": 52.5, "lon": 13.4, "signals": {"oil": 3.1}}
    assert feed.seen.findings.decided["decimal"] == ","
    assert "lon" not in sent[1]
    assert records(csv(tmp_path, f'device_id,ts,lat\na,{NOW},"52,5"\n'))[0]["lat"] == 52.5


def test_a_comma_that_may_part_thousands_is_pointed_out_and_not_guessed(tmp_path: Path) -> None:
    path = csv(tmp_path, f"device_id;ts;odometer_km\na;{NOW};1,234\n")
    sent, feed = drained(path)
    assert sent[0]["odometer_km"] == "1,234"
    assert "decimal" in feed.seen.findings.report()["notes"][0]
    assert records(path, Mapping(decimal=","))[0]["odometer_km"] == 1.234
    mixed = csv(tmp_path, f"device_id;ts;odometer_km;oil\na;{NOW};1.234;2,5\n")
    assert records(mixed, Mapping(decimal=","))[0]["odometer_km"] == "1.234", "a point is no decimal mark there"


def test_a_path_leads_into_objects_and_structs(tmp_path: Path) -> None:
    rules = mapping(
        tmp_path,
        '[device_id]\ncolumn = "deviceId"\n[ts]\ncolumn = "fix.time"\n[fields]\nlat = "position.latitude"\n'
        'engine_on = "attributes.ignition"\nodometer_km = { column = "attributes.odometer", factor = 0.001 }',
    )
    row = {
        "deviceId": "c17",
        "fix": {"time": "2026-11-26T08:00:00.000+00:00"},
        "position": {"latitude": 52.5, "accuracy": {"m": 3.5}},
        "attributes": {"ignition": True, "odometer": 1200},
    }
    expected = {
        "device_id": "c17",
        "ts": "2026-11-26T08:00:00.000+00:00",
        "lat": 52.5,
        "odometer_km": 1.2,
        "engine_on": True,
        "attributes": {"ignition": "true", "odometer": "1200"},
        "signals": {"position.accuracy.m": 3.5},
    }
    assert records(json_lines(tmp_path, row), rules) == [expected]
    typed = parquet(tmp_path, {name: [value] for name, value in row.items()})
    assert records(typed, rules) == [expected]
    lost = {name: [None] if name == "position" else [value] for name, value in row.items()}
    struct = pa.array([None], pa.struct({"latitude": pa.float64()}))
    assert "lat" not in records(parquet(tmp_path, lost | {"position": struct}), rules)[0]
    assert ParquetTable.is_csv is False


def test_a_column_of_that_very_name_goes_before_a_path(tmp_path: Path) -> None:
    rules = Mapping(device_id=DeviceId("d"), ts=EventTime("t"), fields={"lat": "position.latitude"})
    row = {"d": "a", "t": NOW, "position.latitude": 1.5, "position": {"latitude": 2.5}}
    assert records(json_lines(tmp_path, row), rules)[0]["lat"] == 1.5
    assert records(csv(tmp_path, f"d,t,position.latitude\na,{NOW},1.5\n"), rules)[0]["lat"] == 1.5


def test_the_report_says_how_a_file_was_read(tmp_path: Path) -> None:
    _, feed = drained(
        csv(tmp_path, gzip.compress(f"device_id;ts;lat\na;{NOW};52,5\n".encode())),
        Mapping(ts=EventTime(zone="Europe/Berlin")),
    )
    decided = feed.seen.findings.report()["decided"]
    assert {name: decided[name] for name in ("format", "compression", "encoding", "delimiter", "decimal", "zone")} == {
        "format": "csv",
        "compression": "gzip",
        "encoding": "utf-8",
        "delimiter": ";",
        "decimal": ",",
        "zone": "Europe/Berlin",
    }
