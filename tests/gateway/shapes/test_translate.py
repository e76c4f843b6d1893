"""Messages of devices in the field become the contract's records, as replay makes them of a file with such lines."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import BadMapping
from contracts.mapping import Mapping
from contracts.record import MAX_RECORD_BYTES
from devices.replay import open_feed
from gateway.intake.payload import MOST_RECORDS
from gateway.refusals import Refusal, Refused
from gateway.shapes.translate import Translator

OWNTRACKS = """
rest = "drop"
[ts]
column = "tst"
unit = "s"
[fields]
altitude_m = "alt"
speed_kmh = "vel"
heading_deg = "cog"
event_id = "_id"
[signals]
accuracy_m = "acc"
battery_pct = "batt"
[attributes]
tracker = "tid"
trigger = "t"
"""
LOCATION = (
    b'{"_type":"location","acc":8,"alt":47,"batt":88,"cog":271,"lat":52.51631,"lon":13.37777,"t":"u","tid":"k7",'
    b'"tst":1795417366,"vac":3,"vel":43}'
)
TRACKER = """
[device_id]
column = "imei"
prefix = "vt-"
[ts]
column = "gps.time"
format = "%d%m%y%H%M%S"
zone = "UTC"
[fields]
lat = { column = "gps.lat", convert = "degrees_minutes", hemisphere = "gps.ns" }
lon = { column = "gps.lon", convert = "degrees_minutes", hemisphere = "gps.ew" }
speed_kmh = { column = "gps.kn", factor = 1.852, decimals = 3 }
engine_on = "io.ignition"
fault_codes = { column = "dtc", separator = "," }
odometer_km = { column = "io.odo", factor = 0.001 }
[signals]
supply_v = { column = "io.supply_mv", factor = 0.001, decimals = 2 }
[constants]
driver_id = "pool"
"""
FLAT = (
    b'{"imei":866907051234567,"gps":{"time":"231126083412","lat":"5230.9786","ns":"N","lon":"01322.6662","ew":"W",'
    b'"kn":23.9},"io":{"ignition":"on","odo":18233410,"supply_mv":12652,"din":[1,0]},"dtc":"P0420, P0171","fw":"3.1"}'
)


def translator(text: str, records: str | None = None) -> Translator:
    return Translator(msgspec.toml.decode(text, type=Mapping), records)


def made(text: str, payload: bytes, *, named: str | None = None, records: str | None = None) -> list[Any]:
    return [json.loads(record) for record in translator(text, records).records_of(payload, "sender", named)]


def refusal(text: str, payload: bytes, *, records: str | None = None) -> Refusal:
    with pytest.raises(Refused) as refused:
        made(text, payload, records=records)
    return refused.value.refusal


def test_owntracks_location() -> None:
    assert made(OWNTRACKS, LOCATION, named="phone-7") == [
        {
            "device_id": "phone-7",
            "ts": 1795417366000,
            "lat": 52.51631,
            "lon": 13.37777,
            "altitude_m": 47,
            "speed_kmh": 43,
            "heading_deg": 271,
            "signals": {"accuracy_m": 8, "battery_pct": 88},
            "attributes": {"tracker": "k7", "trigger": "u"},
        }
    ]


def test_a_vendors_tracker() -> None:
    (record,) = made(TRACKER, FLAT)
    assert record == {
        "device_id": "vt-866907051234567",
        "ts": "2026-11-23T08:34:12Z",
        "lat": pytest.approx(52 + 30.9786 / 60, abs=1e-9),
        "lon": pytest.approx(-(13 + 22.6662 / 60), abs=1e-9),
        "speed_kmh": 44.263,
        "odometer_km": 18233.41,
        "engine_on": True,
        "fault_codes": ["P0420", "P0171"],
        "driver_id": "pool",
        "signals": {"supply_v": 12.65},
        "attributes": {"io.din": "[1,0]", "fw": "3.1"},
    }


@pytest.mark.parametrize(("mapping", "line"), [(OWNTRACKS, LOCATION), (TRACKER, FLAT)])
def test_replay_makes_the_same_of_a_file(mapping: str, line: bytes, tmp_path: Path) -> None:
    parsed = msgspec.toml.decode(mapping, type=Mapping)
    if "imei" not in mapping:
        line = line[:-1] + b',"device_id":"phone-7"}'
    # A field that nothing of the file has is misuse in a replay; a device may or may not send it.
    parsed = msgspec.structs.replace(parsed, fields={k: v for k, v in parsed.fields.items() if v != "_id"})
    (tmp_path / "lines.jsonl").write_bytes(line + b"\n")
    (outgoing,) = list(open_feed(tmp_path / "lines.jsonl", parsed).outgoing())
    ours = json.loads(Translator(parsed).records_of(line, "sender", "phone-7")[0])
    theirs = json.loads(outgoing.payloads[0])
    assert ours.pop("attributes", {}).keys() == theirs.pop("attributes", {}).keys()
    assert ours == theirs


def test_records_in_a_list_have_what_stands_around_it() -> None:
    payload = b'{"unit":"a1","data":{"fw":7,"positions":[{"ts":1795417366001,"lat":1.5,"lon":2},{"ts":1795417366002}]}}'
    found = made('[device_id]\ncolumn = "unit"', payload, records="data.positions")
    assert [(one["device_id"], one["ts"], one.get("lat")) for one in found] == [
        ("a1", 1795417366001, 1.5),
        ("a1", 1795417366002, None),
    ]
    assert found[0]["signals"] == {"data.fw": 7}


def test_lines_and_arrays_are_several_records() -> None:
    assert len(made("", b'[{"ts":1795417366001},{"ts":1795417366002}]')) == 2
    assert len(made("", b'{"ts":1795417366001}\n{"ts":1795417366002}')) == 2


def test_without_a_device_of_its_own_a_record_is_of_the_topics_or_else_the_senders() -> None:
    prefixed = '[device_id]\nprefix = "p-"'
    assert made(prefixed, b'{"ts":1795417366001,"device_id":"x"}', named="t")[0]["device_id"] == "p-x"
    assert made(prefixed, b'{"ts":1795417366001}', named="t")[0]["device_id"] == "p-t"
    assert made(prefixed, b'{"ts":1795417366001}')[0]["device_id"] == "sender"


def test_a_stray_id_or_time_does_not_stand_for_the_mapped_one() -> None:
    mapping = '[device_id]\ncolumn = "imei"\n[ts]\ncolumn = "at"'
    (record,) = made(mapping, b'{"imei":"a","device_id":"b","at":1795417366001,"ts":1}')
    assert (record["device_id"], record["ts"]) == ("a", 1795417366001)


def test_the_same_message_gives_the_same_bytes() -> None:
    one = translator(TRACKER)
    assert one.records_of(FLAT, "s", None) == one.records_of(FLAT, "s", None)


@pytest.mark.parametrize(
    ("sent", "ts"),
    [(b'"soon"', "soon"), (b"null", None), (b"true", None), (b"[1]", None), (b"1e300", None), (b'""', "")],
)
def test_a_time_that_cannot_be_read_is_left_to_the_consumer(sent: bytes, ts: Any) -> None:
    assert made("", b'{"ts":%b,"speed_kmh":3}' % sent)[0].get("ts") == ts


@pytest.mark.parametrize(
    ("payload", "records", "why"),
    [
        (b"", None, Refusal.BAD_PAYLOAD),
        (b"$GPRMC,083412,A*6A", None, Refusal.BAD_PAYLOAD),
        (b"[1,2]", None, Refusal.BAD_PAYLOAD),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, None, Refusal.BAD_PAYLOAD),
        (b'{"a":NaN}', None, Refusal.BAD_PAYLOAD),
        (b'{"a":"\xff"}', None, Refusal.BAD_PAYLOAD),
        (b'{"positions":3}', "positions", Refusal.BAD_PAYLOAD),
        (b'{"positions":[3]}', "positions", Refusal.BAD_PAYLOAD),
        (b'{"positions":[]}', "positions", Refusal.BAD_PAYLOAD),
        (b'{"positions":[' + b",".join([b"{}"] * (MOST_RECORDS + 1)) + b"]}", "positions", Refusal.TOO_LARGE),
    ],
)
def test_what_is_no_message_of_the_shape_is_refused(payload: bytes, records: str | None, why: Refusal) -> None:
    assert refusal("", payload, records=records) is why


@pytest.mark.parametrize(
    "sent", [b"1" * 30, b"1" * 400, b"-" + b"1" * 400, b'"1e9999"', b'"' + b"9" * 400 + b'"', b"1e308"]
)
@pytest.mark.parametrize(
    "name", [b"ts", b"lat", b"v", b"x", b"device_id", b"event_id", b"engine_on", b"other", b"signals"]
)
def test_numbers_that_no_double_holds_cost_themselves_alone(sent: bytes, name: bytes) -> None:
    mapping = '[fields]\nspeed_kmh = { column = "v", factor = 1e10, decimals = 300 }\n[signals]\nx = "x"'
    for value in (sent, b"[" + sent + b"]", b'{"a":' + sent + b"}"):
        (record,) = made(mapping, b'{"altitude_m":7,"%b":%b}' % (name, value))
        assert record["altitude_m"] == 7
        assert all(abs(number) < 1e309 for number in record.get("signals", {}).values())


@pytest.mark.parametrize("name", [b"ts", b"lat", b"angle", b"v", b"x", b"engine_on", b"fault_codes"])
@pytest.mark.parametrize("text", [b"x" + b" " * 60_000 + b"x", b"1" * 60_000, b"N" + b" " * 60_000])
def test_a_long_text_takes_no_time(name: bytes, text: bytes) -> None:
    angle = 'lon = { column = "angle", convert = "degrees_minutes" }'
    mapping = f'[fields]\nspeed_kmh = {{ column = "v", factor = 2.0 }}\n{angle}'
    began_s = time.process_time()
    made(mapping, b'{"%b":"%b"}' % (name, text))
    assert time.process_time() - began_s < 0.5


def test_a_small_message_cannot_become_a_flood() -> None:
    """What stands around the list goes into each record: 60 KB that would be 150 MB."""
    payload = b'{"x":"' + b"y" * 50_000 + b'","positions":[' + b",".join([b"{}"] * 3_000) + b"]}"
    assert len(payload) < MAX_RECORD_BYTES
    assert refusal("", payload, records="positions") is Refusal.TOO_LARGE


@pytest.mark.parametrize(
    "text",
    [
        'delimiter = ";"',
        'encoding = "latin-1"',
        'sort_by = "ts"',
        '[registry]\nfleet = "f"\nname = "F"',
        '[constants]\ndevice_id = "all-the-same"',
        '[ts]\nzone = "Mars/Olympus"',
    ],
)
def test_words_that_are_for_files_are_misuse(text: str) -> None:
    with pytest.raises(BadMapping):
        translator(text)


numbers = st.integers(-(2**70), 2**70) | st.just(-(10**400)) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("imei", "gps", "io", "dtc", "ts", "lat", "signals", "attributes", "device_id", "engine_on", "x")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=8), st.sampled_from([OWNTRACKS, TRACKER, ""]))
def test_any_object_becomes_a_record_or_is_refused(found: dict[str, Any], mapping: str) -> None:
    payload = json.dumps(found, allow_nan=False).encode()
    try:
        records = translator(mapping).records_of(payload, "sender", None)
    except Refused as refused:
        assert refused.refusal in (Refusal.BAD_PAYLOAD, Refusal.TOO_LARGE)
        return
    for record in records:
        read = json.loads(record)
        assert isinstance(read["device_id"], str)
        assert all(isinstance(value, int | float) for value in read.get("signals", {}).values())
        assert all(isinstance(value, str) for value in read.get("attributes", {}).values())
