"""Times leave in a form that the consumer reads, whatever form the file has them in; a file of none is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputFile
from contracts.mapping import EventTime
from devices.replay import Mapping, open_feed
from devices.replay.times import epoch_ms
from ingest.decode.times import parse_text

FORMS = (
    "{:%Y-%m-%d %H:%M:%S%z}",  # +0130
    "{:%Y-%m-%dT%H:%M%z}",
    "{:%Y%m%dT%H%M%S%z}",
    "{:%G-W%V-%uT%H:%M:%S%z}",
)
zones = st.integers(-14 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
moments = st.datetimes(datetime(2000, 1, 2), datetime(2090, 1, 1), timezones=zones)


def replayed(folder: Path, times: list[str], rule: EventTime | None = None) -> list[Any]:
    path = folder / "times.csv"
    path.write_text("device_id,ts\n" + "".join(f"a,{time}\n" for time in times))
    feed = open_feed(path, Mapping(ts=rule or EventTime()))
    return [json.loads(payload)["ts"] for part in feed.outgoing() for payload in part.payloads]


@given(moment=moments, form=st.sampled_from(FORMS))
def test_any_iso_8601_time_reaches_the_consumer_as_the_moment_that_it_is(
    moment: datetime, form: str, tmp_path_factory: Any
) -> None:
    text = form.format(moment)
    (sent,) = replayed(tmp_path_factory.mktemp("times"), [text])
    assert parse_text(sent) == epoch_ms(datetime.fromisoformat(text))


@given(moment=moments, separator=st.sampled_from("T t"), zulu=st.sampled_from("Zz"))
def test_what_the_consumer_reads_is_sent_as_it_stands(
    moment: datetime, separator: str, zulu: str, tmp_path_factory: Any
) -> None:
    texts = [moment.isoformat(separator), moment.astimezone(UTC).isoformat(separator).replace("+00:00", zulu)]
    assert replayed(tmp_path_factory.mktemp("times"), texts) == texts


def test_the_time_that_postgres_copies_out_is_one(tmp_path: Path) -> None:
    assert replayed(tmp_path, ["2024-01-01 00:00:00+00", "2024-01-01 05:30:00.25+05:30"]) == [
        "2024-01-01T00:00:00Z",
        "2024-01-01 05:30:00.25+05:30",
    ]


@pytest.mark.parametrize(
    ("texts", "unit", "sent"),
    [
        (["1700000000.25", "1700000001"], "s", [1_700_000_000_250, 1_700_000_001_000]),
        (["1700000000.25", "n/a"], "s", [1_700_000_000_250, "n/a"]),
        (["1.7e9", "2024-01-01T00:00:00Z"], "s", [1_700_000_000_000, "2024-01-01T00:00:00Z"]),
        (["1700000000000.0", "x"], "ms", [1_700_000_000_000, "x"]),
        (["1700000000000123456", "x"], "ns", [1_700_000_000_000, "x"]),
        (["1700000000", "1" * 400, "x"], "s", [1_700_000_000_000, "1" * 400, "x"]),
    ],
)
def test_numbers_with_a_fraction_are_numbers_in_a_text_file(
    tmp_path: Path, texts: list[str], unit: Any, sent: list[Any]
) -> None:
    assert replayed(tmp_path, texts, EventTime(unit=unit)) == sent


@pytest.mark.parametrize(
    ("times", "unit", "message"),
    [
        (["yesterday", "", "noon"], "ms", "none of the first 3 values of 'ts' is a time; the first is 'yesterday'"),
        (["", ""], "ms", "none of the first 2 values of 'ts' is a time; the first is ''"),
        (["0001-01-01T00:00:00+05:00"], "ms", "none of the first 1 values"),
        (["1700000000", "1700000001"], "ms", r"such as 1700000000, lie outside 2000 to 2100 in ms.*\[ts\] unit"),
        (["1700000000000.5", "x"], "s", "such as 1700000000000.5, lie outside 2000 to 2100 in s"),
    ],
)
def test_a_file_without_any_time_is_refused(tmp_path: Path, times: list[str], unit: Any, message: str) -> None:
    with pytest.raises(BadInputFile, match=message):
        replayed(tmp_path, times, EventTime(unit=unit))


def test_one_time_that_can_be_read_is_enough(tmp_path: Path) -> None:
    times = ["never", "1980-01-06T00:00:00Z", ""]
    path = tmp_path / "times.csv"
    path.write_text("device_id,ts\n" + "".join(f"a,{time}\n" for time in times))
    sent = [json.loads(p).get("ts") for part in open_feed(path, Mapping()).outgoing() for p in part.payloads]
    assert sent == ["never", "1980-01-06T00:00:00Z", None]


def test_sorting_puts_what_has_no_time_last(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text("device_id,ts,speed_kmh\na,never,1\na,2024-01-02T00:00:00Z,2\na,,3\na,2024-01-01T00:00:00Z,4\n")
    sent = [json.loads(p) for part in open_feed(path, Mapping(sort_by="ts")).outgoing() for p in part.payloads]
    assert [record["speed_kmh"] for record in sent] == [4, 2, 1, 3]


@pytest.mark.parametrize("ts", ['"2024-01-01 00:00:00+00"', "1700000000.25", '"noon"', "true"])
def test_lines_whose_times_the_consumer_refuses_need_a_mapping(tmp_path: Path, ts: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"device_id":"a","ts":{ts}}}\nbroken\n' * 2)
    with pytest.raises(BadInputFile, match="none of the first 4 lines has a 'ts' that is RFC 3339 or whole epoch"):
        list(open_feed(path, Mapping()).outgoing())


def test_lines_under_a_mapping_have_their_times_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"device_id":"a","ts":"2024-01-01 00:00:00+00"}\n{"device_id":"a","ts":1704067201.5}\n')
    feed = open_feed(path, Mapping(ts=EventTime(unit="s")))
    sent = [json.loads(payload)["ts"] for part in feed.outgoing() for payload in part.payloads]
    assert sent == ["2024-01-01T00:00:00Z", 1_704_067_201_500]
