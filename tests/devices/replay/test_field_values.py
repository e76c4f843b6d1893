"""Values as CSV tools, databases and phones write them become what they stand for; nothing is lost in silence."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from contracts.errors import BadInputFile, BadMapping
from contracts.mapping import Source
from devices.replay import Mapping
from tests.devices.replay.field_files import NOW, csv, drained, dropped, json_lines, mapping, parquet, records

HEAD = f"device_id,ts,{{}}\na,{NOW},{{}}\n"


@pytest.mark.parametrize("pair", ["True False", "TRUE FALSE", "1 0", "1.0 0.0", "yes no", "Y N", "on off", "t f"])
def test_yes_and_no_in_the_spellings_of_csv_tools(pair: str, tmp_path: Path) -> None:
    yes, no = pair.split()
    path = csv(tmp_path, f"device_id,ts,engine_on\na,{NOW},{yes}\na,{NOW},{no}\na,{NOW}, {yes} \na,{NOW},NULL\n")
    assert [row.get("engine_on") for row in records(path)] == [True, False, True, None]


@pytest.mark.parametrize("values", [[1, 0], [1.0, 0.0], ["true", "FALSE"], [True, False]])
def test_yes_and_no_in_typed_files(values: list[Any], tmp_path: Path) -> None:
    path = parquet(tmp_path, {"device_id": ["a", "a"], "ts": [NOW, NOW], "engine_on": values})
    assert [row["engine_on"] for row in records(path)] == [True, False]
    lines = json_lines(tmp_path, *({"device_id": "a", "ts": NOW, "engine_on": value} for value in values))
    assert [row["engine_on"] for row in records(lines, Mapping(rest="drop"))] == [True, False]


def test_what_is_neither_yes_nor_no_is_sent_as_it_stands_and_counted(tmp_path: Path) -> None:
    sent, feed = drained(csv(tmp_path, HEAD.format("engine_on", "idle")))
    assert sent[0]["engine_on"] == "idle"
    assert feed.seen.findings.report()["sent_as_text"] == {"engine_on": 1}


def test_an_event_id_is_text_in_every_format(tmp_path: Path) -> None:
    path = csv(tmp_path, f"device_id,ts,event_id\na,{NOW},000123\na,{NOW},1e3\na,{NOW},\na,{NOW},NULL\n")
    assert [row.get("event_id") for row in records(path)] == ["000123", "1e3", None, None]
    columns = {"device_id": ["a", "a"], "ts": [NOW, NOW]}
    assert [row["event_id"] for row in records(parquet(tmp_path, columns | {"event_id": [123, 124]}))] == ["123", "124"]
    assert [row["event_id"] for row in records(parquet(tmp_path, columns | {"event_id": [1e3, 7.0]}))] == ["1000", "7"]
    lines = json_lines(tmp_path, {"device_id": "a", "ts": NOW, "event_id": 123})
    assert records(lines, Mapping(rest="drop"))[0]["event_id"] == "123"


@pytest.mark.parametrize("marker", ["NULL", "null", "-", "--", "N/A", "n/a", "NaN", "nan", "None", "\\N", "#N/A", "?"])
def test_a_null_marker_is_no_value_and_costs_its_cell_alone(marker: str, tmp_path: Path) -> None:
    text = f"device_id,ts,temp,speed_kmh,oil\na,{NOW},21.5,1,3.1\na,{NOW},{marker},{marker},3.2\na,{NOW},22.5,3,3.3\n"
    path, rules = csv(tmp_path, text), mapping(tmp_path, '[signals]\ntemp = "temp"\noil_bar = "oil"')
    sent, feed = drained(path, rules)
    assert [row["signals"] for row in sent] == [
        {"temp": 21.5, "oil_bar": 3.1},
        {"oil_bar": 3.2},
        {"temp": 22.5, "oil_bar": 3.3},
    ]
    assert [row.get("speed_kmh") for row in sent] == [1, None, 3]
    assert {column: count for (column, _), count in dropped(feed).items()} == {"temp": 1, "speed_kmh": 1}
    assert [row["signals"].get("temp") for row in records(path)] == [21.5, None, 22.5], "without a mapping too"


def test_a_cell_of_signals_that_is_no_number_costs_itself_alone(tmp_path: Path) -> None:
    rules = mapping(tmp_path, '[signals]\ntemp = "temp"\noil_bar = "oil"')
    text = f"device_id,ts,temp,oil\na,{NOW},warm,3.1\na,{NOW},1_000,3.2\na,{NOW},inf,3.3\na,{NOW},٣,3.4\n"
    sent, feed = drained(csv(tmp_path, text), rules)
    assert [row["signals"] for row in sent] == [{"oil_bar": value} for value in (3.1, 3.2, 3.3, 3.4)]
    assert dropped(feed) == {("temp", "no number"): 3, ("temp", "not a finite number"): 1}
    lines = json_lines(tmp_path, {"device_id": "a", "ts": NOW, "temp": "NULL", "oil": 3.1})
    assert records(lines, rules)[0]["signals"] == {"oil_bar": 3.1}
    typed = parquet(tmp_path, {"device_id": ["a"], "ts": [NOW], "temp": ["-"], "oil": ["3.1"]})
    assert records(typed, rules)[0]["signals"] == {"oil_bar": 3.1}


def test_null_markers_of_the_mapping_replace_the_others_in_every_column(tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD.format("speed_kmh,route,stop", "-999,-999,NULL"))
    assert records(path, Mapping(null=["-999"]))[0]["attributes"] == {"stop": "NULL"}
    assert records(csv(tmp_path, HEAD.format("route,stop", "NULL,-")))[0]["attributes"] == {"stop": "-"}


def test_text_in_a_file_that_has_nulls_of_its_own_is_what_it_says(tmp_path: Path) -> None:
    typed = parquet(tmp_path, {"device_id": ["a"], "ts": [NOW], "route": ["NULL"]})
    assert records(typed)[0]["attributes"] == {"route": "NULL"}


def test_binary_text_is_text(tmp_path: Path) -> None:
    columns = {
        "device_id": pa.array([b"truck-1"], pa.binary()),
        "ts": [NOW],
        "route": pa.array([b"R1"], pa.large_binary()),
        "zone": pa.array([b"DE"], pa.binary(2)),
        "fault_codes": pa.array([[b"P0301"]], pa.list_(pa.binary())),
        "driver": pa.array(["Li"]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.binary())),
    }
    assert records(parquet(tmp_path, columns)) == [
        {
            "device_id": "truck-1",
            "ts": NOW,
            "fault_codes": ["P0301"],
            "attributes": {"route": "R1", "zone": "DE", "driver": "Li"},
        }
    ]


def test_bytes_that_are_no_text_are_refused_by_their_columns_name(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"device_id": ["a"], "ts": [NOW], "raw": pa.array([b"\xff\x00"], pa.binary())})
    with pytest.raises(BadInputFile, match=r"column 'raw' holds bytes that are no UTF-8.*drop = \[\"raw\"\]"):
        records(path)
    assert records(path, Mapping(drop=["raw"])) == [{"device_id": "a", "ts": NOW}]


def test_an_id_that_a_tool_took_for_a_number_has_no_point(tmp_path: Path) -> None:
    ids = pa.array([1234.0, None, 356_938_035_643_809.0], pa.float64())
    sent = records(parquet(tmp_path, {"device_id": ids, "ts": [NOW] * 3}))
    assert [row.get("device_id") for row in sent] == ["1234", None, "356938035643809"]
    exact = pa.array([Decimal("12345678901234567890")], pa.decimal128(20, 0))
    assert records(parquet(tmp_path, {"device_id": exact, "ts": [NOW]}))[0]["device_id"] == "12345678901234567890"
    assert records(csv(tmp_path, f"device_id,ts\n1234.0,{NOW}\n"))[0]["device_id"] == "1234"
    assert records(csv(tmp_path, f"device_id,ts\nunit-1.0,{NOW}\n"))[0]["device_id"] == "unit-1.0"
    lines = json_lines(tmp_path, {"device_id": 1234.0, "ts": NOW})
    assert records(lines, Mapping(rest="drop"))[0]["device_id"] == "1234"
    with pytest.raises(BadInputFile, match=r"'device_id' is no text in any of the first 1 lines; the first is 1234\.0"):
        records(lines)


def test_a_decimal_becomes_the_double_nearest_to_what_it_says(tmp_path: Path) -> None:
    texts = ["52.600000", "48.858370", "-0.000001"]
    lat = pa.array([Decimal(text) for text in texts], pa.decimal128(9, 6))
    sent = records(parquet(tmp_path, {"device_id": ["a"] * 3, "ts": [NOW] * 3, "lat": lat, "oil": lat}))
    assert [row["lat"] for row in sent] == [float(text) for text in texts]
    assert [row["signals"]["oil"] for row in sent] == [float(text) for text in texts]


@pytest.mark.parametrize(
    ("cell", "separator", "codes"),
    [
        ("P0301", None, ["P0301"]),
        ('"[""P0301"", null]"', None, ["P0301"]),
        ("\"['P0301', 'P0420']\"", None, ["P0301", "P0420"]),
        ("P0301; P0420;", ";", ["P0301", "P0420"]),
        ("P0301 P0420", " ", ["P0301", "P0420"]),
        ("NULL", None, None),
        ("301", None, ["301"]),
    ],
)
def test_fault_codes_in_text(cell: str, separator: str | None, codes: Any, tmp_path: Path) -> None:
    rules = Mapping(fields={"fault_codes": Source("dtc", separator=separator)})
    assert records(csv(tmp_path, HEAD.format("dtc", cell)), rules)[0].get("fault_codes") == codes


def test_what_may_be_several_codes_is_pointed_out(tmp_path: Path) -> None:
    sent, feed = drained(csv(tmp_path, HEAD.format("fault_codes", "P0301;P0420")))
    assert sent[0]["fault_codes"] == ["P0301;P0420"]
    assert ["separator" in note for note in feed.seen.findings.report()["notes"]] == [True]


def test_a_null_or_odd_entry_of_a_map_costs_itself_alone(tmp_path: Path) -> None:
    row = {"device_id": "a", "ts": NOW, "signals": {"oil": None, "boost": 1.2, "t": "hot"}, "attributes": {"d": None}}
    sent, feed = drained(json_lines(tmp_path, row | {"fault_codes": ["P1", None]}), Mapping(description="as they are"))
    assert sent == [{"device_id": "a", "ts": NOW, "signals": {"boost": 1.2}, "fault_codes": ["P1"]}]
    assert dropped(feed)["signals", "null entry of a map or list"] == 1
    assert dropped(feed)["signals", "no number"] == 1
    maps = pa.array([[("oil", None), ("boost", 1.2), ("x", math.nan)]], pa.map_(pa.string(), pa.float64()))
    typed = parquet(tmp_path, {"device_id": ["a"], "ts": [NOW], "signals": maps})
    assert records(typed)[0]["signals"] == {"boost": 1.2}


def test_half_of_a_surrogate_pair_and_nan_cost_their_values_alone(tmp_path: Path) -> None:
    text = (
        '{"device_id":"a","ts":1795680000000,"lat":1.5,"fuel_pct":NaN}\n'
        '{"device_id":"a","ts":1795680000000,"lat":2.5,"attributes":{"driver":"Li \\ud83d","route":"7"}}\n'
    )
    sent, feed = drained(csv(tmp_path, text, "file.jsonl"), Mapping(description="as they are"))
    assert [row["lat"] for row in sent] == [1.5, 2.5]
    assert sent[1]["attributes"] == {"route": "7"}
    assert dropped(feed)["attributes", "text with half of a surrogate pair"] == 1


NMEA = '[fields]\nlat = {{ column = "lat", convert = "{0}", hemisphere = "ns" }}\n' + (
    'lon = {{ column = "lon", convert = "{0}", hemisphere = "ew" }}'
)


def test_degrees_and_minutes_by_the_mapping(tmp_path: Path) -> None:
    text = f"device_id,ts,lat,ns,lon,ew\na,{NOW},0439.8549,N,07404.3335,W\nb,{NOW},0038.5000,S,00012.2500,E\n"
    path, rules = csv(tmp_path, text), mapping(tmp_path, NMEA.format("degrees_minutes"))
    sent = records(path, rules)
    assert [(row["lat"], row["lon"]) for row in sent] == [(4.664248333, -74.072225), (-0.641666667, 0.204166667)]
    assert "attributes" not in sent[0]
    typed = parquet(
        tmp_path, {"device_id": ["a"], "ts": [NOW], "lat": [38.5], "ns": ["S"], "lon": [12.25], "ew": ["e"]}
    )
    assert [(row["lat"], row["lon"]) for row in records(typed, rules)] == [(-0.641666667, 0.204166667)]
    seconds = csv(tmp_path, f"device_id,ts,lat,ns,lon,ew\na,{NOW},523130.00,N,0132400.0,E\n")
    made = records(seconds, mapping(tmp_path, NMEA.format("degrees_minutes_seconds")))
    assert (made[0]["lat"], made[0]["lon"]) == (52.525, 13.4)


def test_an_angle_that_is_none_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = ["5261.0,N,01324.0,E", "5231.5,,01324.0,X", "5231.5,N,01324.0,N", "5231.5 N,N,NULL,E"]
    text = "device_id,ts,lat,ns,lon,ew\n" + "".join(f"a,{NOW},{row}\n" for row in rows)
    sent, feed = drained(csv(tmp_path, text), mapping(tmp_path, NMEA.format("degrees_minutes")))
    assert [row.get("lat") for row in sent] == [None, None, 52.525, 52.525]
    assert [row.get("lon") for row in sent] == [13.4, None, None, None]
    assert sum(dropped(feed).values()) == 5


@pytest.mark.parametrize("lat", ["0439.8549", "0038.5000"])
def test_degrees_and_minutes_that_no_mapping_names_are_refused(lat: str, tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD.format("lat,lon", f"{lat},00012.2500"))
    with pytest.raises(BadInputFile, match=f"'lat', such as {lat}, look like degrees and minutes.*convert = "):
        records(path)
    numbers = np.array([5231.5, 4839.25])
    columns = {"device_id": ["a"] * 2, "ts": [NOW] * 2, "lat": numbers}
    with pytest.raises(BadInputFile, match=r"such as 5231\.5, look like degrees and minutes"):
        records(parquet(tmp_path, columns | {"lon": numbers}))
    assert len(records(parquet(tmp_path, columns | {"lon": [13.4, 13.5]}))) == 2, "odd, which the consumer flags"


def test_one_value_in_degrees_and_minutes_among_degrees_is_never_taken_for_degrees(tmp_path: Path) -> None:
    sent, feed = drained(csv(tmp_path, f"device_id,ts,lat,lon\na,{NOW},52.5,13.4\na,{NOW},0038.5000,00012.25\n"))
    assert (sent[1]["lat"], sent[1]["lon"]) == ("0038.5000", "00012.25")
    assert feed.seen.findings.report()["sent_as_text"] == {"lat": 1, "lon": 1}


def test_a_hemisphere_that_nothing_takes_into_account_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, HEAD.format("lat,lon,lon_dir", "4.66,74.07,W"))
    with pytest.raises(BadInputFile, match="column 'lon_dir' says in which hemisphere 'lon' lies"):
        records(path)
    assert records(path, Mapping(fields={"lon": Source("lon", hemisphere="lon_dir")}))[0]["lon"] == -74.07
    assert records(path, Mapping(drop=["lon_dir"]))[0]["lon"] == 74.07


def test_a_file_of_one_device_gets_its_id_from_the_mapping(tmp_path: Path) -> None:
    rules = mapping(tmp_path, '[constants]\ndevice_id = "truck-7"')
    path = csv(tmp_path, f"ts,lat,lon\n{NOW},52.5,13.4\n")
    sent, feed = drained(path, rules)
    assert sent == [{"device_id": "truck-7", "ts": NOW, "lat": 52.5, "lon": 13.4}]
    assert list(feed.seen.devices) == ["truck-7"]
    assert records(csv(tmp_path, f'{{"ts":{NOW}}}\n', "file.jsonl"), rules)[0]["device_id"] == "truck-7"
    assert records(parquet(tmp_path, {"ts": [NOW]}), rules)[0]["device_id"] == "truck-7"
    with pytest.raises(BadInputFile, match=r"has no column 'device_id'; .*\[constants\] device_id = "):
        records(path)
    with pytest.raises(BadMapping, match=r"\[constants\] device_id stands against the column of that name"):
        records(csv(tmp_path, f"device_id,ts\na,{NOW}\n"), rules)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[constants]\ndevice_id = 7", r"device_id 7\.0 is no text of 1 to 128"),
        ("[constants]\nengine_on = 1", "neither true nor false"),
        ("[constants]\nlat = 'x'", "lat 'x' is no number"),
        ("delimiter = ';;'", "is not one ASCII character"),
        ("delimiter = ','\ndecimal = ','", "delimiter and decimal are both ','"),
        ("[ts]\nformat = 'ISO'", "is no strptime pattern"),
        ("[fields]\nlat = { column = 'lat', separator = ';' }", r"only a list \(fault_codes, fault_lamps\) has one"),
        ("[fields]\nevent_id = { column = 'id', factor = 2 }", "is no number"),
    ],
)
def test_words_of_a_mapping_that_cannot_apply_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match=message):
        mapping(tmp_path, text)
