"""The decoder keeps the record contract: what lands, what is flagged, what is rejected and why."""

from typing import Any

import msgspec
import numpy as np
import pytest

from contracts.identity import exported_event_id, record_id
from contracts.kpl import MAGIC
from contracts.record import CONTRACT, LANDING_SCHEMA, REJECTED_SCHEMA, Flag
from ingest.batch import Batch
from ingest.decode import HashedSuppression, JsonDecoder, hashed_device
from ingest.decode import decoder as decoder_module
from ingest.decode.exact import read_exactly
from ingest.decode.fields import record_struct
from ingest.decode.reader import read_structs, values_of
from tests.builders.ingest import ARRIVAL_MS, SHARD, aggregated, kinesis, payload, telemetry

ROLLOVER_MS = 619_315_200_000
"""1,024 weeks."""

HEAD = b'{"device_id":"d","ts":1795420800000,'


def decoded(*datas: bytes) -> Batch:
    batch = JsonDecoder().decode(SHARD, kinesis(datas))
    assert batch.rows.schema.equals(LANDING_SCHEMA, check_metadata=True)
    assert batch.rejected.schema.equals(REJECTED_SCHEMA, check_metadata=True)
    assert batch.user_records == batch.rows.num_rows + batch.rejected.num_rows + batch.suppressed
    batch.rows.validate(full=True)
    return batch


def row(data: bytes) -> dict[str, Any]:
    batch = decoded(data)
    assert batch.rejected.to_pylist() == []
    return dict(batch.rows.to_pylist()[0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_json"),
        (b"[]", "not_json"),
        (b"null", "not_json"),
        (HEAD, "not_json"),
        (HEAD + b'"lat":NaN}', "not_json"),
        (HEAD + b'"lat":-Infinity}', "not_json"),
        (HEAD + b'"x":"\xff"}', "not_json"),
        (HEAD + b'"x":"\\ud800}', "not_json"),
        (b'{"device_id":"d\\ud800","ts":1795420800000}', "bad_device_id"),
        (b'{"device_id":"d","ts":"\\udc00"}', "bad_ts"),
        (HEAD + b'"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "not_json"),
        (b"\xef\xbb\xbf" + payload(), "not_json"),
        (payload() + payload(), "not_json"),
        (payload(attributes={"a": "x" * 70_000}), "too_large"),
        (b"\x00" * (1 << 20), "too_large"),
        (b"{}", "bad_device_id"),
        (payload(device_id=7), "bad_device_id"),
        (payload(device_id=""), "bad_device_id"),
        (payload(device_id="a b"), "bad_device_id"),
        (payload(device_id="a\n"), "bad_device_id"),
        (payload(device_id="ü"), "bad_device_id"),
        (payload(device_id="x" * 129), "bad_device_id"),
        (b'{"device_id":"d"}', "bad_ts"),
        (payload(ts=1795420800000.0), "bad_ts"),
        (payload(ts=True), "bad_ts"),
        (payload(ts="2026-11-23T08:00:00"), "bad_ts"),
        (payload(ts="2026-02-30T08:00:00Z"), "bad_ts"),
        (payload(ts="2026-11-23T08:00:00+24:00"), "bad_ts"),
        (payload(ts=946_684_799_999), "impossible_ts"),
        (payload(ts=ARRIVAL_MS + 300_001), "impossible_ts"),
        (payload(ts=-1), "impossible_ts"),
        (b'{"device_id":"d","ts":' + b"9" * 5000 + b"}", "impossible_ts"),
        (MAGIC + b"broken", "bad_aggregate"),
    ],
)
def test_a_record_that_cannot_be_placed_is_rejected_with_its_reason_and_bytes(data: bytes, reason: str) -> None:
    batch = decoded(payload(), data, payload())
    assert batch.rows.num_rows == 2
    (rejected,) = batch.rejected.to_pylist()
    assert (rejected["reason"], rejected["data"]) == (reason, data)
    assert rejected["sequence_number"] == kinesis([b""] * 2)[1].sequence_number
    assert rejected["partition_key"] == "key-1"


def test_rejections_say_what_was_wrong_without_the_records_values() -> None:
    batch = decoded(payload(device_id="secret van"), payload(ts="secret"), b'{"secret"')
    assert not any("secret" in error for error in batch.rejected["error"].to_pylist())


@pytest.mark.parametrize(
    ("ts", "ms"),
    [
        (ARRIVAL_MS, ARRIVAL_MS),
        ("2026-11-23T08:00:00Z", ARRIVAL_MS),
        ("2026-11-23t08:00:00.5z", ARRIVAL_MS + 500),
        ("2026-11-23 10:00:00+02:00", ARRIVAL_MS),
        ("2026-11-23T03:30:00.123999-04:30", ARRIVAL_MS + 123),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2026-11-23T08:05:00Z", ARRIVAL_MS + 300_000),
        (946_684_800_000, 946_684_800_000),
    ],
)
def test_event_times_are_whole_milliseconds_in_utc(ts: int | str, ms: int) -> None:
    assert round(row(payload(ts=ts))["ts"].timestamp() * 1000) == ms


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"lat": 48.1, "lon": 11.5}, 0),
        ({"lat": 0.0, "lon": 0.0000009}, Flag.NULL_ISLAND),
        ({"lat": 0, "lon": 10}, 0),
        ({"lat": 90.1, "lon": 0.5}, Flag.POSITION_OUT_OF_RANGE),
        ({"lat": 48}, Flag.POSITION_INCOMPLETE),
        ({"lon": 11}, Flag.POSITION_INCOMPLETE),
        ({"engine_rpm": -1}, Flag.VALUE_OUT_OF_RANGE),
        ({"speed_kmh": 300.5}, Flag.IMPOSSIBLE_SPEED),
        ({"speed_kmh": 300, "fuel_pct": 100}, 0),
        ({"ts": ARRIVAL_MS + 5000}, 0),
        ({"ts": ARRIVAL_MS + 5001}, Flag.CLOCK_AHEAD),
        ({"ts": ARRIVAL_MS - ROLLOVER_MS}, Flag.WEEK_ROLLOVER),
        ({"ts": ARRIVAL_MS - ROLLOVER_MS - 86_400_000}, Flag.WEEK_ROLLOVER),
        ({"ts": ARRIVAL_MS - ROLLOVER_MS + 86_400_000}, Flag.WEEK_ROLLOVER),
        ({"ts": ARRIVAL_MS - ROLLOVER_MS - 86_400_001}, 0),
        ({"ts": ARRIVAL_MS - ROLLOVER_MS + 86_400_001}, 0),
        ({"speed_kmh": 255.996, "engine_rpm": 8191.875}, Flag.NOT_AVAILABLE),
        ({"speed_kmh": 255.9, "engine_rpm": 8191}, 0),
        ({"fuel_rate_lph": 3276.75}, Flag.NOT_AVAILABLE | Flag.VALUE_OUT_OF_RANGE),
        ({"lat": "48", "lon": 11, "speed_kmh": -1}, Flag.WRONG_TYPE | Flag.POSITION_INCOMPLETE | Flag.IMPOSSIBLE_SPEED),
    ],
)
def test_odd_values_are_kept_as_sent_with_their_bits(fields: dict[str, Any], flags: int) -> None:
    kept = row(payload(**fields))
    assert kept["flags"] == flags
    for name, value in fields.items():
        if name != "ts" and not isinstance(value, str):
            assert kept[name] == value


def test_an_optional_field_of_the_wrong_type_becomes_null_and_is_kept_as_sent() -> None:
    kept = row(HEAD + b'"lat": "48\\u00b0" , "signals":{"a":"b"},"engine_on":1,"attributes":{"route":"7"}}')
    assert (kept["lat"], kept["signals"], kept["engine_on"]) == (None, None, None)
    assert dict(kept["attributes"]) == {
        "route": "7", "lat": '"48\\u00b0"', "signals": '{"a":"b"}', "engine_on": "1",
    }  # fmt: skip


def test_an_attribute_of_the_same_name_is_not_lost_to_a_wrong_value() -> None:
    kept = row(payload(lat=[1], attributes={"lat": "mine"}))
    assert dict(kept["attributes"]) == {"lat": "mine", "lat.sent": "[1]"}


def test_half_of_a_surrogate_pair_costs_its_field_and_no_more() -> None:
    """As where a tool cuts a text in the middle of an emoji: the position stays, what was sent is kept as JSON."""
    kept = row(HEAD + b'"lat":52.5,"lon":13.4,"attributes":{"driver":"Li \\ud83d","route":"7"}}')
    assert (kept["lat"], kept["lon"], kept["flags"]) == (52.5, 13.4, Flag.WRONG_TYPE)
    assert dict(kept["attributes"]) == {"attributes": '{"driver":"Li \\ud83d","route":"7"}'}
    assert row(HEAD + b'"event_id":"\\udc00","lat":1,"lon":2}')["record_id"].startswith("b:")
    assert dict(row(HEAD + b'"attributes":{"a":"\\ud83d\\ude00","b":"\\\\ud83d"}}')["attributes"]) == {
        "a": "\U0001f600",
        "b": "\\ud83d",
    }


def test_half_of_a_surrogate_pair_in_an_unknown_field_is_no_fault_of_the_record() -> None:
    batch = decoded(HEAD + b'"x":"\\ud800","n\\udfff":[1],"lat":1,"lon":2}')
    assert (batch.rows["lat"].to_pylist(), batch.rows["flags"].to_pylist()) == ([1.0], [0])
    assert batch.unknown_fields == {"x": 1, "n\ufffd": 1}


@pytest.mark.parametrize("plain", [True, False])
def test_a_null_in_a_map_is_left_out_and_costs_nothing_else(plain: bool) -> None:
    data = HEAD + b'"signals":{"oil_bar":null,"boost":1.2},"attributes":{"route":"7","driver":null}}'
    decoder = JsonDecoder(plain=plain)
    (kept,) = decoder.decode(SHARD, kinesis([data])).rows.to_pylist()
    assert (kept["signals"], kept["attributes"], kept["flags"]) == ([("boost", 1.2)], [("route", "7")], 0)
    (kept,) = decoder.decode(SHARD, kinesis([HEAD + b'"signals":{"a":1,"a":null,"b":2}}'])).rows.to_pylist()
    assert kept["signals"] == [("b", 2.0)]


def test_the_exported_identity_of_a_record_without_an_event_id_is_that_record() -> None:
    without, own = row(payload(lat=1)), row(payload(event_id="000123"))
    again = decoded(
        payload(event_id=exported_event_id(without["record_id"]), odometer_km=5),
        payload(event_id="000123"),
        payload(event_id=without["record_id"]),
        payload(event_id="fleetlake:000123"),
    )
    assert again.rows["record_id"].to_pylist() == [
        without["record_id"],
        own["record_id"],
        f"e:{without['record_id']}",
        "e:fleetlake:000123",
    ]


def test_a_long_event_id_is_of_the_wrong_type_and_the_identity_is_that_of_the_bytes() -> None:
    long = row(payload(event_id="é" * 65))
    assert (long["event_id"], long["flags"]) == (None, Flag.WRONG_TYPE)
    assert long["record_id"].startswith("b:")
    assert row(payload(event_id="é" * 64))["record_id"] == "e:" + "é" * 64


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("extra", [{}, {"new": 1}, {"speed_kmh": "fast"}])
def test_an_empty_event_id_is_none_and_two_records_of_one_moment_stay_two(plain: bool, extra: dict[str, Any]) -> None:
    datas = [payload(event_id="", engine_rpm=rpm, **extra) for rpm in (800, 1_900)]
    rows = JsonDecoder(plain=plain).decode(SHARD, kinesis(datas)).rows.to_pylist()
    assert [row["event_id"] for row in rows] == [None, None]
    assert [row["record_id"] for row in rows] == [record_id(None, data) for data in datas]
    assert len({row["record_id"] for row in rows}) == 2


def test_numbers_beyond_a_double_are_of_the_wrong_type() -> None:
    for literal in (b"1e999", b"-1E+400", b"9" * 400):
        kept = row(HEAD + b'"odometer_km":' + literal + b"}")
        assert kept["odometer_km"] is None
        assert dict(kept["attributes"]) == {"odometer_km": literal.decode()}


def test_the_last_of_equal_keys_counts_and_null_is_absent() -> None:
    kept = row(HEAD + b'"lat":"x","lat":1,"lon":2,"lon":null,"signals":{"a":1,"a":2}}')
    assert (kept["lat"], kept["lon"], kept["signals"]) == (1.0, None, [("a", 2.0)])
    assert kept["flags"] == Flag.POSITION_INCOMPLETE


@pytest.mark.parametrize("size", [1, 7, 100])
def test_aggregated_records_decode_as_plain_ones_do(size: int) -> None:
    datas = telemetry(seed=5, count=100)
    plain, packed = decoded(*datas), decoded(*aggregated(datas, size))
    assert (packed.user_records, packed.kinesis_records) == (100, -(-100 // size))
    names = [name for name in LANDING_SCHEMA.names if name not in ("sequence_number", "sub_sequence")]
    assert packed.rows.select(names).equals(plain.rows.select(names))
    assert packed.rows["sub_sequence"].to_pylist() == [i % size for i in range(100)]
    assert len(set(packed.rows["sequence_number"].to_pylist())) == packed.kinesis_records


def test_a_broken_aggregate_is_one_rejected_record_among_good_ones() -> None:
    datas = telemetry(seed=6, count=20)
    good, broken = aggregated(datas, 10), bytearray(aggregated(datas, 10)[0])
    broken[20] ^= 1
    batch = decoded(good[0], bytes(broken), payload(), good[1])
    assert (batch.kinesis_records, batch.user_records, batch.rows.num_rows) == (4, 22, 21)
    (rejected,) = batch.rejected.to_pylist()
    assert (rejected["reason"], rejected["data"]) == ("bad_aggregate", bytes(broken))


def test_unknown_fields_are_counted_by_name_and_never_fatal() -> None:
    decoder = JsonDecoder(part_rows=32)
    datas = [payload(firmware="1", cell={"mcc": i}) if i % 2 else payload(firmware=None) for i in range(200)]
    first, second = (decoder.decode(SHARD, kinesis(datas)) for _ in range(2))
    assert first.unknown_fields == second.unknown_fields == {"firmware": 100, "cell": 100}
    assert first.rows.equals(second.rows)
    assert first.rows.num_rows == 200


def test_unknown_values_are_checked_as_strictly_once_their_name_is_familiar() -> None:
    decoder = JsonDecoder()
    datas = [payload(x="y")] * 20
    decoder.decode(SHARD, kinesis(datas))
    odd = [HEAD + b'"x":"\xff"}', HEAD + b'"x":' + b"[" * 64 + b"]" * 64 + b"}", HEAD + '"x":"ü"}'.encode()]
    batch = decoder.decode(SHARD, kinesis([*datas, *odd]))
    assert batch.unknown_fields == {"x": 21}
    assert batch.rejected["reason"].to_pylist() == ["not_json", "not_json"]


def test_names_beyond_the_bound_count_together() -> None:
    batch = decoded(*(payload(**{f"n{i:04d}": 1}) for i in range(1100)), payload(**{"x" * 200: 1}))
    assert len(batch.unknown_fields) == 1001
    assert batch.unknown_fields["*"] == 101
    assert sum(batch.unknown_fields.values()) == 1101


def test_records_of_suppressed_devices_are_dropped_and_counted() -> None:
    key = b"k" * 32
    suppression = HashedSuppression(key, {hashed_device(key, "gone")}, version=3)
    datas = [payload(device_id=name) for name in ("kept", "gone", "kept", "gone")]
    batch = JsonDecoder(suppression).decode(SHARD, kinesis([*datas, b"x"]))
    assert (batch.suppressed, batch.suppression_version) == (2, 3)
    assert batch.rows["device_id"].to_pylist() == ["kept", "kept"]
    assert (batch.user_records, batch.rejected.num_rows) == (5, 1)


def test_what_breaks_the_decoder_is_rejected_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decoder_module.decode_part

    def breaks(reader: Any, suppression: Any, shard: str, users: Any, *rest: Any) -> Any:
        if any(b"poison" in data for data in users.datas):
            raise ZeroDivisionError
        return whole(reader, suppression, shard, users, *rest)

    monkeypatch.setattr(decoder_module, "decode_part", breaks)
    datas = [payload(attributes={"n": str(i)}) for i in range(50)]
    datas[17] = payload(attributes={"n": "poison"})
    batch = decoded(*datas)
    assert batch.rows.num_rows == 49
    (rejected,) = batch.rejected.to_pylist()
    assert (rejected["reason"], rejected["error"], rejected["data"]) == ("poison", "ZeroDivisionError", datas[17])


def test_a_single_record_that_finds_no_memory_is_not_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_none(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(decoder_module, "decode_part", finds_none)
    with pytest.raises(MemoryError):
        decoded(payload(), payload())


def test_a_batch_in_parts_is_the_batch_in_one() -> None:
    records = kinesis([*telemetry(seed=7, count=300), b"x", *telemetry(seed=8, count=50)])
    whole = JsonDecoder().decode(SHARD, records)
    parts = JsonDecoder(part_rows=13).decode(SHARD, records)
    assert parts.rows.equals(whole.rows)
    assert parts.rejected.equals(whole.rejected)
    assert parts.unknown_fields == whole.unknown_fields


def test_arrivals_are_those_of_each_kinesis_record() -> None:
    arrivals = [ARRIVAL_MS + i for i in range(5)]
    batch = JsonDecoder().decode(SHARD, kinesis([payload()] * 5, arrivals=arrivals))
    assert batch.max_arrival_ms == arrivals[-1]
    assert (np.array(batch.rows["arrival_ts"].cast("int64")) == np.array(arrivals) * 1000).all()


def test_every_field_of_the_contract_has_its_values() -> None:
    names = tuple(column.name for column in CONTRACT)
    row = record_struct()("d", 1, *range(len(CONTRACT) - 2))
    assert values_of([row, row]) == {name: (getattr(row, name),) * 2 for name in names}
    assert values_of([]) == dict.fromkeys(names, ())


def test_a_record_with_unknown_names_is_read_as_the_exact_reader_reads_it() -> None:
    datas = [
        payload(firmware={"major": 1}, altitude_m=3.5),
        HEAD + b'"lat":1,"\\u0066irmware":[1],"lat":"x"}',
        HEAD + b'"firmware":"' + "Überland".encode() + b'","lat":2,"device_id":"other"}',
    ]
    read = read_structs(datas)
    assert read.unknown == {"firmware": 3}
    assert read.wrong == [1]
    for row, data in zip(read.rows, datas, strict=True):
        exact = read_exactly(data).values
        assert {name: value for name, value in msgspec.structs.asdict(row).items() if value is not None} == exact
