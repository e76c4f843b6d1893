"""What is reported as wrong is what is wrong with what was sent: counted again from the bytes."""

import re
from collections import Counter
from datetime import timedelta
from functools import cache
from typing import Any

import msgspec
import pytest

from contracts.errors import Misuse
from contracts.identity import record_id
from contracts.record import DEVICE_ID_PATTERN, EARLIEST_TS_MS, READINGS, Record
from devices.fleet import Mess
from devices.fleet.mess import GPS_EPOCH_MS, NOT_A_TIME
from devices.replay.lines import _ms
from devices.replay.times import UNKNOWN
from devices.send import send
from producer import Producer
from tests.builders.devices import A_WEDNESDAY, QUICK, messy, payloads, scripted_kinesis, simulation

BOUNDS = {column.name: (column.low, column.high) for column in READINGS}
FIELDS = set(Record.__struct_fields__)


@cache
def sent() -> tuple[list[bytes], dict[str, Any]]:
    """All records and the report of a messy fleet, as they come off the stream."""
    made = messy(devices=36)
    with scripted_kinesis() as (kinesis, client):
        with Producer(client, "telemetry-eu", rules=QUICK) as producer:
            done = send(made.outgoing(), producer, rate=None)
        return kinesis.user_records(), {**done.report(), **made.tally.report()}


def what_is_wrong(payload: bytes) -> str:  # noqa: PLR0911
    """The kind of mess in one record, by looking at it."""
    try:
        record = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return "truncated_json"
    if "device_id" not in record:
        return "missing_device_id"
    if record["ts"] == NOT_A_TIME:
        return "bad_ts"
    if _ms(record["ts"]) < EARLIEST_TS_MS:
        return "impossible_ts"
    if record["lat"] == record["lon"] == 0:
        return "null_island"
    if set(record) - FIELDS:
        return "unknown_field"
    try:
        msgspec.json.decode(payload, type=Record)
    except msgspec.ValidationError:
        return "wrong_type"
    readings = ((name, record[name]) for name in BOUNDS if name in record)
    return "" if all(BOUNDS[name][0] <= value <= BOUNDS[name][1] for name, value in readings) else "out_of_range"


def test_every_record_is_reported_and_arrives() -> None:
    records, report = sent()
    assert len(records) == report["records"] == report["distinct"] + report["duplicates"]
    assert report["bytes"] == sum(map(len, records))
    assert report["duplicates"] == report["mess"]["duplicate"] > 0
    assert len(set(records)) == report["distinct"]


def test_each_kind_is_there_as_often_as_reported() -> None:
    records, report = sent()
    found = Counter(what_is_wrong(payload) for payload in set(records))
    once = {kind: found[kind] for kind in report["mess"] if kind not in ("duplicate", "late") and "clock" not in kind}
    assert once == {kind: report["mess"][kind] for kind in once}
    assert min(once.values()) > 20


def test_what_a_consumer_should_make_of_it_is_reported() -> None:
    records, report = sent()
    placed = set()
    rejected: Counter[str] = Counter()
    for payload in set(records):
        try:
            record = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            rejected["not_json"] += 1
            continue
        ms = _ms(record["ts"])
        if not re.match(DEVICE_ID_PATTERN, record.get("device_id", "")):
            rejected["bad_device_id"] += 1
        elif ms == UNKNOWN:
            rejected["bad_ts"] += 1
        elif ms < EARLIEST_TS_MS:
            rejected["impossible_ts"] += 1
        else:
            placed.add((record["device_id"], ms, record_id(record.get("event_id"), payload)))
    assert dict(rejected) == report["expect"]["rejected"]
    assert len(placed) == report["expect"]["history"]
    assert report["records"] == report["expect"]["history"] + report["expect"]["duplicates"] + sum(rejected.values())


def test_clean_fleets_have_no_mess() -> None:
    made = simulation()
    records = payloads(made)
    assert {what_is_wrong(payload) for payload in records} == {""}
    assert len(set(records)) == len(records)
    assert set(made.tally.mess.values()) == {0}


def test_mess_changes_only_what_it_is_said_to_change() -> None:
    """A record that nothing is wrong with is the same in a clean and in a messy fleet."""
    clean = set(payloads(simulation(devices=36)))
    records, report = sent()
    same = len(clean & set(records))
    touched = sum(count for kind, count in report["mess"].items() if kind != "late")
    assert same >= len(clean) - touched
    assert same > 0.4 * len(clean)


def test_dead_zones_deliver_late_and_in_one_go() -> None:
    made = messy()
    late = 0
    newest = 0
    for outgoing in made.outgoing():
        assert (outgoing.due_ms[1:] >= outgoing.due_ms[:-1]).all()
        for payload in outgoing.payloads:
            if what_is_wrong(payload) in ("truncated_json", "missing_device_id", "bad_ts", "impossible_ts"):
                continue
            ms = _ms(msgspec.json.decode(payload)["ts"])
            newest = max(newest, ms)
            late += newest - ms > 3_600_000
    assert made.tally.mess["late"] > 100
    assert late >= 0.5 * made.tally.mess["late"]


def test_clocks_are_off_in_both_directions_but_never_impossibly() -> None:
    noon = A_WEDNESDAY + timedelta(hours=11)
    made = messy(devices=60, start=noon, hours=2)
    records = payloads(made)
    assert made.tally.mess["clock_ahead"] > 0
    assert made.tally.mess["clock_behind"] > 0
    start = int(noon.timestamp() * 1000)
    end = start + 2 * 3_600_000
    times = [_ms(msgspec.json.decode(one)["ts"]) for one in records if what_is_wrong(one) in ("", "null_island")]
    assert start - 41 * 60_000 <= min(times) < start
    assert end < max(times) <= end + 4 * 60_000


@pytest.mark.parametrize("share", [0, -0.1, 0.6, float("nan")])
def test_a_share_that_is_none_is_misuse(share: float) -> None:
    with pytest.raises(Misuse, match="is no share of records"):
        Mess(share)


def test_constants_agree_with_the_contract() -> None:
    assert GPS_EPOCH_MS < EARLIEST_TS_MS
    assert _ms(NOT_A_TIME) == UNKNOWN
