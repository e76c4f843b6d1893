"""No table cuts a figure or a key, on a narrow terminal or piped."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from rich.table import Table

from cli import bench, consume, process, reconcile, replay, replay_rejected, simulate, status_table, trail_answer
from cli.demo import show as demo
from cli.demo.show import SUMS
from cli.tables import aligned, figure, key, open_console, print_table, text
from lake.trail.model import Trail

SPAN = {"first": "2026-11-20-00:00", "last": "2026-11-23-23:00"}


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Reported:
    """Any report that the command prints as its values."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def report(self) -> dict[str, Any]:
        return self._values


def _process() -> list[str]:
    steps = {"us__history_day": 1_234.5, "us__staging": 99.25}
    run = {"work": "history and trips", **SPAN, "assets": 11_220, "seconds": 98_765.4, "steps": steps, "ok": True}
    run |= {"failed_checks": ["us/history_day/no_conflicts"], "warnings": []}
    process._table([{"region": "us/history_day", "ok": True, "runs": [run], "seconds": 1.0}])
    return ["us/history_day", *SPAN.values(), "11220", "98765.4", "1234.5", "us/history_day/no_conflicts"]


def _reconcile() -> list[str]:
    stages = {"stream": 11_220_334, "landed": 11_219_990, "rejected": 344}
    regions = [f"region{n}" for n in range(8)]
    noted = f"{' '.join(regions)} 123,456,789"
    reconcile._show(
        [{"region": name, "stages": stages, "ok": True, "notes": [noted], "differences": []} for name in regions]
    )
    return ["11,220,334", "11,219,990", noted, *regions]


def _consume() -> list[str]:
    report = {"region": "us", "rejected": {"bad_ts": 1_234_567, "not_json": 89_012}, "seconds": 12_345.6}
    report |= dict.fromkeys(("read", "landed", "suppressed", "objects", "records_per_s"), 987_654_321)
    consume._show([report], as_json=False, single=True)
    return ["987,654,321", "1,234,567", "89,012", "12,345.6"]


def _bench() -> list[str]:
    row = {"what": "whole path, one core", "value": 1_234_567, "unit": "records/s", "ratio": 123.4}
    rows = [row | {"peer": "the reference implementation", "peer_value": 7_654_321}]
    print_table(bench._table({"name": "consumer", "machine": "a machine with 123456789 cores", "rows": rows}))
    return ["1,234,567", "7,654,321", "123.40x", "123456789"]


def _status() -> list[str]:
    counts = dict.fromkeys(("landed", "rejected", "history", "live_devices"), 9_876_543_210)
    row = {"counts": counts, "lag_ms": 123_456_789, "backlog_records": 1_234_567, "problems": []}
    row["watermark"] = "2026-11-20T06:07:00+00:00"
    found = {"services": {"s3": "up"}, "state": "/a/rather/long/folder" * 3, "problems": [], "regions": {"us": row}}
    status_table.show(found)
    return ["9,876,543,210", "123,456.8 s", "1,234,567", "11-20 06:07", found["state"]]


def _replay() -> list[str]:
    values = dict.fromkeys(("records", "kinesis_records", "bytes", "devices", "not_json"), 123_456_789)
    values |= {"first_ts": "2026-11-20T06:00:00.000Z", "last_ts": "2026-11-21T06:00:00.000Z"}
    report: Any = Reported(**values, seconds=98_765.4, rate=1_234_567.8, dropped_columns=["a_very_long_column"] * 3)
    report.findings = SimpleNamespace(lines=lambda: [("clock changes", "2026-10-25 02:30:00, 9,876,543 lines")])
    print_table(replay._table("rows.csv on telemetry-us", report))
    return ["123,456,789", "2026-11-20T06:00:00.000Z", "98,765.4", "1,234,568", "a_very_long_column", "9,876,543"]


def _replay_rejected() -> list[str]:
    names = ("found", "put", "replayed_before", "rejected_again", "refused", "gone")
    report = {"region": "us-east", **dict.fromkeys(names, 12_345_678)}
    replay_rejected._show([report], as_json=False, single=True)
    return ["us-east", "12,345,678"]


def _simulate() -> list[str]:
    names = ("records", "distinct", "duplicates", "kinesis_records", "bytes")
    values: dict[str, Any] = dict.fromkeys(names, 123_456_789) | {"mess": {"null_island": 7_654_321}}
    values |= {"devices": 9_999, "region": "us", "expect": {"rejected": {"bad_ts": 1_122_334}}, "rate": 1_234_567.8}
    report: Any = Reported(**values, first_ts="2026-11-20T06:00:00.000Z", last_ts=None, seconds=98_765.4)
    print_table(simulate._table(report))
    return ["123,456,789", "7,654,321", "1,122,334", "2026-11-20T06:00:00.000Z", "98,765.4", "1,234,568"]


def _trail() -> list[str]:
    row = dict.fromkeys(trail_answer._COLUMNS, -123.456789) | {"ts": datetime(2026, 11, 20, 6, 7, 8, tzinfo=UTC)}
    records = pa.Table.from_pylist([row | {"flags": 1_024, "odometer_km": 1_234_567.8, "engine_on": True}])
    print_table(trail_answer._table(_found(records), None))
    return ["2026-11-20T06:07:08.000Z", "-123.45679", "1234567.8", "1024", "11,220,334", "987,654,321"]


def _found(records: pa.Table) -> Trail:
    sources: Any = SimpleNamespace(history=11_220_334, landing=5_678_901, live=1)
    start = datetime(2026, 11, 20, tzinfo=UTC)
    return Trail(
        devices=("us-a-device-with-a-long-name-0001",),
        start=start,
        end=start + timedelta(days=1),
        records=records,
        sources=sources,
        files_read=12_345,
        bytes_read=987_654_321,
        seconds=1.25,
    )


def _demo() -> list[str]:
    stages = dict.fromkeys({*" ".join(SUMS).split()} - {"=", "<=", "+"}, 123_456_789)
    regions = {f"region{n}": {"stages": stages, "ok": True, "notes": [], "differences": []} for n in range(4)}
    fleet = {"fleet_id": "us-fleet-0001-of-the-north", "day": "2026-11-20", "km": 11_220_334, "trips": None}
    record = {"device_id": "us-bus-0001-of-the-north", "ts": "2026-11-20T06:00:00Z", "lat": 50.12345, "lon": -8.98765}
    live = {"devices": 9_999, "key": "us:latest:*", "newest": [record]}
    read = {"records": 1_234_567, "seconds": 0.5, "bytes_read": 1_000_000, "files_read": 12_345}
    where = {"device": "us-bus-0001", "day": "2026-11-20", "region": "us", "map": "/map.html", "trips": 7}
    document = {"ok": True, "seconds": 1, "processor_s": 1, "peak_memory_gib": 1, "regions": regions}
    document |= {"steps": [{"step": "process", "region": "region3", "seconds": 98_765.4}]}
    counts = dict.fromkeys(("acknowledged", "messages", "slept", "roamed", "reconnects"), 2_345_678_901)
    document |= {
        "gateway": {"region": "region0", "via": "mqtt", "refused": {"payload_format_invalid": 3_456_789}, **counts}
    }
    document |= {"highlights": {"live": live, "trail": read, **where}}
    document |= {name: {"region": "us", "query": "select 1", "rows": [fleet]} for name in ("fleet_day", "world")}
    demo.show(document)
    told = ["2,345,678,901", "3,456,789 payload_format_invalid"]
    return ["123,456,789", "493,827,156", "98765.4", *told, *map(str, record.values()), fleet["fleet_id"], "11,220,334"]


@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize(
    "show",
    [_process, _reconcile, _consume, _bench, _status, _replay, _replay_rejected, _simulate, _trail, _demo],
    ids=lambda show: show.__name__.strip("_"),
)
def test_piped_output_has_every_figure_and_key_whole(
    show: Callable[[], list[str]], width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    expected = show()
    printed = capsys.readouterr().out
    assert [word for word in expected if word not in printed] == []
    assert "…" not in printed


@pytest.mark.parametrize("width", [80, 40])
def test_a_table_is_wider_than_a_terminal_that_is_too_narrow(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    terminal = Terminal()
    table = Table(key("region"), figure("read"), figure("landed"), text("result"))
    table.add_row(
        "us/history_day/2026-11-20",
        "11,220,334",
        "9,876,543,210",
        "failed: 123,456,789 rows and more words than one line has",
    )
    print_table(table, open_console(terminal))
    printed = terminal.getvalue()
    for word in ("us/history_day/2026-11-20", "11,220,334", "9,876,543,210", "123,456,789"):
        assert word in printed
    assert "…" not in printed
    assert "rows and more words than one line has" not in printed, "text takes several lines"


def test_the_points_of_a_columns_numbers_stand_one_below_the_other() -> None:
    assert aligned([83.6, 83.0, None, 0.0]) == ["83.6", "83.0", "", "0.0"]
    assert aligned([52.551772, 13.0]) == ["52.55177", "13.00000"]
    assert aligned([Decimal("57200.0"), Decimal("64400.0")], grouped=True) == ["57,200", "64,400"]


def test_a_trail_is_shown_with_aligned_figures() -> None:
    records = pa.table({"ts": [datetime(2026, 11, 20, tzinfo=UTC)] * 2, "speed_kmh": [0.0, 82.9]})
    table = trail_answer._table(_found(records), ["ts", "speed_kmh"])
    assert list(table.columns[1].cells) == ["0.0", "82.9"]
