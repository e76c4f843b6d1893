"""What a replayed record says is what the file says: properties over files made at random."""

import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.mapping import DeviceId, EventTime, Source
from devices.outgoing import NO_KEY, Outgoing
from devices.replay import Mapping, open_feed
from devices.replay.replay import timed
from devices.replay.times import UNKNOWN

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
numbers = st.one_of(st.none(), st.floats(width=64))
texts = st.one_of(st.none(), st.text(max_size=12))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "device_id": st.one_of(st.none(), st.text(min_size=1, max_size=8)),
            "ts": st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(
                lambda moment: moment.replace(tzinfo=UTC)
            ),
            "lat": numbers,
            "speed": numbers,
            "engine_on": st.one_of(st.none(), st.booleans()),
            "oil": numbers,
            "route": texts,
        }
    ),
    min_size=1,
    max_size=40,
)
SCHEMA = pa.schema(
    {
        "device_id": pa.string(),
        "ts": pa.timestamp("us", "UTC"),
        "lat": pa.float64(),
        "speed": pa.float64(),
        "engine_on": pa.bool_(),
        "oil": pa.float64(),
        "route": pa.string(),
    }
)
MAPPING = Mapping(
    device_id=DeviceId(prefix="p-"),
    fields={"speed_kmh": Source("speed", factor=3.6)},
    signals={"oil_bar": "oil"},
    attributes={"route_id": "route"},
)


def replayed(path: Path, mapping: Mapping) -> list[Any]:
    return [json.loads(payload) for part in open_feed(path, mapping).outgoing() for payload in part.payloads]


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """The record of a row, by the mapping's words alone."""
    whole = (row["ts"] - EPOCH) // timedelta(microseconds=1)
    record = {
        "device_id": row["device_id"] and "p-" + row["device_id"],
        "ts": whole // 1000 if whole % 1000 == 0 else row["ts"].isoformat().replace("+00:00", "Z"),
        "lat": finite(row["lat"]),
        "speed_kmh": None if row["speed"] is None else finite(row["speed"] * 3.6),
        "engine_on": row["engine_on"],
        "signals": None if finite(row["oil"]) is None else {"oil_bar": row["oil"]},
        "attributes": None if row["route"] is None else {"route_id": row["route"]},
    }
    return {name: value for name, value in record.items() if value is not None}


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@given(rows=rows)
@settings(max_examples=60, deadline=None)
def test_a_parquet_row_becomes_the_record_that_the_mapping_says(
    rows: list[dict[str, Any]], tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, row_group_size=7)
    assert replayed(path, MAPPING) == [expected(row) for row in rows]


@given(rows=rows)
@settings(max_examples=25, deadline=None)
def test_replaying_twice_gives_the_same_bytes(rows: list[dict[str, Any]], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    first, second = ([part.payloads for part in open_feed(path, MAPPING).outgoing()] for _ in range(2))
    assert first == second


TELLING = [
    {
        "device_id": "007",
        "ts": "2026-11-20T06:00:00.250Z",
        "lat": 52.5,
        "lon": 13.25,
        "speed_kmh": 50.0,
        "engine_on": True,
    },
    {
        "device_id": "007",
        "ts": "2026-11-20T07:00:01+01:00",
        "lat": 52.5,
        "lon": 13.5,
        "speed_kmh": 51.5,
        "engine_on": False,
    },
]


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"telling{suffix}"
    if suffix.startswith(".jsonl"):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in TELLING)
        path.write_bytes(gzip.compress(lines) if suffix.endswith(".gz") else lines)
    else:
        with pa.CompressedOutputStream(path, "gzip") if suffix.endswith(".gz") else pa.OSFile(str(path), "wb") as sink:
            pa_csv.write_csv(pa.Table.from_pylist(TELLING), sink)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz"])
def test_text_files_say_the_same_as_they_hold(suffix: str, tmp_path: Path) -> None:
    """Numbers as numbers, flags as flags, times and ids as the text they are: 007 keeps its zeros."""
    assert replayed(written(tmp_path, suffix), Mapping()) == TELLING


def test_a_csv_value_that_is_no_number_is_sent_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(
        "device_id,ts,speed_kmh,fault_codes,signals\n"
        'a,1700000000000,12.5,"[""P0420""]","{""oil"": 3}"\n'
        "a,1700000001000,fast,P0420,\n"
        "a,1700000002000,,,\n"
    )
    assert replayed(path, Mapping()) == [
        {"device_id": "a", "ts": 1700000000000, "speed_kmh": 12.5, "fault_codes": ["P0420"], "signals": {"oil": 3}},
        {"device_id": "a", "ts": 1700000001000, "speed_kmh": "fast", "fault_codes": ["P0420"]},
        {"device_id": "a", "ts": 1700000002000},
    ]


def test_lines_are_sent_byte_for_byte_broken_ones_too(tmp_path: Path) -> None:
    lines = [
        b'{"ts": 1700000000000,  "device_id":"a"}',
        b'{"device_id":"a","ts":17',
        b"\xff\xfe",
        b'{"device_id":"b","ts":1}',
    ]
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\r\n".join(lines) + b"\n\n")
    feed = open_feed(path, Mapping())
    parts = list(feed.outgoing())
    assert [payload for part in parts for payload in part.payloads] == lines
    assert [key for part in parts for key in part.keys] == ["a", NO_KEY, NO_KEY, "b"]
    assert feed.not_json == 2


def test_mapped_lines_keep_broken_ones_in_their_places(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"id":"a","at":1700000000,"v":10}\nnot json\n{"id":"b","at":1700000001,"v":"fast"}\n')
    mapping = Mapping(
        device_id=DeviceId("id"), ts=EventTime("at", unit="s"), fields={"speed_kmh": Source("v", factor=3.6)}
    )
    feed = open_feed(path, mapping)
    (part,) = feed.outgoing()
    assert part.payloads == [
        b'{"device_id":"a","ts":1700000000000,"speed_kmh":36.0}',
        b"not json",
        b'{"device_id":"b","ts":1700000001000,"speed_kmh":"fast"}',
    ]
    assert feed.not_json == 1


def test_a_field_that_turns_up_late_goes_where_an_early_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "late.jsonl"
    early = [{"device_id": "a", "ts": 1_700_000_000_000 + n, "gear": None} for n in range(20_000)]
    late = [
        {"device_id": "a", "ts": 1_700_000_100_000, "gear": 3, "oil": 2.5, "route": "7", "speed_kmh": 80},
        {"device_id": "a", "ts": 1_700_000_100_001, "secret": 1},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*early, *late]))
    feed = open_feed(path, Mapping(description="as they are"))
    sent = [json.loads(payload) for part in feed.outgoing() for payload in part.payloads]
    assert sent[0] == {"device_id": "a", "ts": 1_700_000_000_000}
    assert sent[20_000] == {
        "device_id": "a",
        "ts": 1_700_000_100_000,
        "speed_kmh": 80,
        "signals": {"gear": 3, "oil": 2.5},
        "attributes": {"route": "7"},
    }
    assert sent[20_001]["signals"] == {"secret": 1}
    assert len(feed.seen.devices) == 1
    assert feed.dropped == ()

    feed = open_feed(path, Mapping(rest="drop"))
    sent = [json.loads(payload) for part in feed.outgoing() for payload in part.payloads]
    assert sent[20_000] == {"device_id": "a", "ts": 1_700_000_100_000, "speed_kmh": 80}
    assert feed.dropped == ("gear", "oil", "route", "secret")


def test_columns_that_nothing_names_go_to_signals_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "more.parquet"
    row = {"device_id": "a", "ts": 1_700_000_000_000, "oil": 2.5, "gear": 3, "route": "7", "record_id": "b:00"}
    pq.write_table(pa.Table.from_pylist([row]), path)
    sent = {"device_id": "a", "ts": 1_700_000_000_000}
    assert replayed(path, Mapping()) == [sent | {"signals": {"oil": 2.5, "gear": 3}, "attributes": {"route": "7"}}]
    assert replayed(path, Mapping(rest="drop")) == [sent]
    assert open_feed(path, Mapping(rest="drop")).dropped == ("oil", "gear", "route", "record_id")
    assert replayed(path, Mapping(rest="drop", constants={"engine_on": True})) == [sent | {"engine_on": True}]


def test_sorting_by_time_keeps_ties_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "unsorted.csv"
    path.write_text("device_id,ts,speed_kmh\n" + "".join(f"a,{1_700_000_000_000 + n % 5},{n}\n" for n in range(50)))
    sent = replayed(path, Mapping(sort_by="ts"))
    assert [row["ts"] for row in sent] == sorted(row["ts"] for row in sent)
    assert [row["speed_kmh"] for row in sent[:10]] == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]


def test_times_without_a_zone_take_the_mappings(tmp_path: Path) -> None:
    path = tmp_path / "naive.csv"
    path.write_text("device_id,ts\na,2026-07-01T12:00:00\na,2026-12-01T12:00:00.123456\n")
    sent = replayed(path, Mapping(ts=EventTime(zone="Europe/Berlin")))
    assert [row["ts"] for row in sent] == ["2026-07-01T10:00:00Z", "2026-12-01T11:00:00.123456Z"]


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(10**12, 2 * 10**12)), max_size=6), max_size=5))
def test_a_record_without_a_time_is_due_with_the_one_before(batches: list[list[int | None]]) -> None:
    parts = [
        Outgoing([""] * len(b), [b""] * len(b), np.array([UNKNOWN if v is None else v for v in b], np.int64))
        for b in batches
        if b
    ]
    due = [int(v) for part in timed(iter(parts)) for v in part.due_ms]
    flat = [value for batch in batches for value in batch]
    assert len(due) == len(flat)
    for place, value in enumerate(flat):
        if value is not None:
            assert due[place] == value
        elif place and any(before is not None for before in flat[:place]):
            assert due[place] == due[place - 1]
