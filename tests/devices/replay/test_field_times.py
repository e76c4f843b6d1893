"""Times as databases, spreadsheets and loggers write them; clock changes by one rule in every format."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputFile
from contracts.mapping import EventTime
from devices.replay import Mapping
from devices.replay.zones import PER_S, localized
from ingest.decode.times import parse_text
from tests.devices.replay.field_files import csv, drained, json_lines, parquet, records

BERLIN = Mapping(ts=EventTime(zone="Europe/Berlin"))
AT_EIGHT = 1_795_680_000_000
SPRING = ["2026-03-29 01:59:00", "2026-03-29 02:00:00", "2026-03-29 02:30:00", "2026-03-29 03:00:00"]
SPRING_UTC = ["00:59", "01:00", "01:30", "01:00"]
AUTUMN = ["2026-10-25 01:59:00", "2026-10-25 02:00:00", "2026-10-25 02:30:00", "2026-10-25 03:00:00"]
AUTUMN_UTC = ["23:59", "00:00", "00:30", "02:00"]


def table(folder: Path, times: list[Any]) -> Path:
    return csv(folder, "device_id,ts\n" + "".join(f'a,"{time}"\n' for time in times))


def typed(folder: Path, times: list[str]) -> Path:
    values = np.array(times, dtype="datetime64[us]")
    return parquet(folder, {"device_id": ["a"] * len(times), "ts": pa.array(values)})


def milliseconds(rows: list[dict[str, Any]]) -> list[int | None]:
    return [row["ts"] if isinstance(row["ts"], int) else parse_text(row["ts"]) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26 08:00:00 UTC",
        "2026-11-26T08:00:00.000 utc",
        "2026-11-26 08:00:00 GMT",
        "2026-11-26 08:00:00 Z",
        "2026-11-26 09:00:00 +01:00",
        "2026-11-26 09:00:00 +0100",
        " 2026-11-26 08:00:00Z ",
        "20261126T080000Z",
    ],
)
def test_the_words_for_utc(text: str, tmp_path: Path) -> None:
    assert milliseconds(records(table(tmp_path, [text, "2026-11-26 08:00:00Z"]))) == [AT_EIGHT] * 2


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("20261126080000", "%Y%m%d%H%M%S"),
        ("202611260800", "%Y%m%d%H%M"),
        ("26/11/2026 08:00:00", "%d/%m/%Y %H:%M:%S"),
        ("11/26/2026 08:00", "%m/%d/%Y %H:%M"),
        ("26.11.26 08:00:00.000", "%d.%m.%y %H:%M:%S.%f"),
        ("11/26/2026 08:00:00 AM", "%m/%d/%Y %I:%M:%S %p"),
        ("26/11/2026 09:00:00 +0100", "%d/%m/%Y %H:%M:%S %z"),
        ("2026/11/26 08:00:00", "%Y/%m/%d %H:%M:%S"),
    ],
)
def test_the_hint_names_the_format_that_reads_the_file(text: str, pattern: str, tmp_path: Path) -> None:
    path = table(tmp_path, [text, text])
    with pytest.raises(BadInputFile) as refused:
        records(path)
    assert f'[ts] format = "{pattern}"' in str(refused.value)
    rules = Mapping(ts=EventTime(format=pattern, zone="UTC"))
    assert milliseconds(records(path, rules)) == [AT_EIGHT] * 2
    assert milliseconds(records(json_lines(tmp_path, {"device_id": "a", "ts": text}), rules)) == [AT_EIGHT]


def test_a_day_that_may_come_first_or_second_is_left_to_the_user(tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match=r"where the day comes first, .* where the month does"):
        records(table(tmp_path, ["03/04/2026 08:00:00"]))


def test_a_number_may_have_a_format_and_a_format_needs_a_zone(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"device_id": ["a"], "ts": [20261126080000]})
    assert milliseconds(records(path, Mapping(ts=EventTime(format="%Y%m%d%H%M%S", zone="UTC")))) == [AT_EIGHT]
    with pytest.raises(BadInputFile, match="have no zone; name it in a mapping"):
        records(path, Mapping(ts=EventTime(format="%Y%m%d%H%M%S")))
    with pytest.raises(BadInputFile, match=r"The mapping's \[ts\] format '%d/%m/%Y' does not fit it"):
        records(path, Mapping(ts=EventTime(format="%d/%m/%Y", zone="UTC")))


def test_one_time_that_does_not_fit_is_sent_as_it_stands_and_counted(tmp_path: Path) -> None:
    rules = Mapping(ts=EventTime(format="%d/%m/%Y %H:%M:%S", zone="UTC"))
    sent, feed = drained(table(tmp_path, ["26/11/2026 08:00:00", "31/11/2026 08:00:00"]), rules)
    assert sent[1]["ts"] == "31/11/2026 08:00:00"
    assert feed.seen.findings.report()["no_time"] == 1


def test_the_hint_names_the_unit_that_fits(tmp_path: Path) -> None:
    with pytest.raises(BadInputFile, match=r'\[ts\] unit = "us" \(or "s", "ms", "ns"\)'):
        records(table(tmp_path, [1_795_680_000_000_000]))


@pytest.mark.parametrize(
    ("local", "utc", "skipped", "doubled"), [(SPRING, SPRING_UTC, 2, 0), (AUTUMN, AUTUMN_UTC, 0, 2)]
)
def test_a_clock_change_is_read_by_one_rule_in_every_format(
    local: list[str], utc: list[str], skipped: int, doubled: int, tmp_path: Path
) -> None:
    lines = json_lines(tmp_path, *({"device_id": "a", "ts": time} for time in local))
    for path in (table(tmp_path, local), lines, typed(tmp_path, local)):
        sent, feed = drained(path, BERLIN)
        clocks = [datetime.fromtimestamp((ms or 0) / 1000, UTC).strftime("%H:%M") for ms in milliseconds(sent)]
        assert clocks == utc
        assert feed.seen.findings.report()["clock_changes"] == {"skipped_hour": skipped, "doubled_hour": doubled}


@given(
    st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2037, 1, 1)), min_size=1, max_size=20),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata"]),
    st.sampled_from(["s", "ms", "us"]),
)
def test_local_times_become_what_pythons_calendar_says(moments: list[datetime], zone: str, unit: str) -> None:
    near = [moments[0] + timedelta(hours=hours) for hours in range(0, 24 * 9, 5)]
    for some in (moments, near):
        local = np.array(some, dtype=f"datetime64[{unit}]").astype(np.int64)
        found = localized(local, unit, ZoneInfo(zone)).utc
        for moment, value in zip(local.tolist(), found.tolist(), strict=True):
            at = datetime(1970, 1, 1) + timedelta(seconds=moment // PER_S[unit])
            offset_s = at.replace(tzinfo=ZoneInfo(zone)).utcoffset() or timedelta()
            assert moment - value == int(offset_s.total_seconds()) * PER_S[unit]


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("1795737599999600", "us"),
        ("1795737599999999999", "ns"),
        ("1795737599.9996", "s"),
        ("1795737599.9999996", "s"),
        ("1795737599999.9", "ms"),
        ("1795737599999999.75", "us"),
    ],
)
def test_a_fine_time_is_cut_and_never_rounded_into_the_next_day(value: str, unit: Any, tmp_path: Path) -> None:
    rules = Mapping(ts=EventTime(unit=unit))
    assert records(table(tmp_path, [value]), rules)[0]["ts"] == 1_795_737_599_999
    number = float(value) if "." in value else int(value)
    assert records(parquet(tmp_path, {"device_id": ["a"], "ts": [number]}), rules)[0]["ts"] == 1_795_737_599_999


@given(ms=st.integers(946_684_800_000, 4_000_000_000_000))
def test_seconds_with_a_fraction_keep_their_millisecond(ms: int, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("times")
    path = parquet(folder, {"device_id": ["a"], "ts": [ms / 1000]})
    assert records(path, Mapping(ts=EventTime(unit="s")))[0]["ts"] == ms
