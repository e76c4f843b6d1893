"""The columnar decoder says of every record what the slow oracle says, on made, mutated and real payloads."""

import json
import math
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.record import CONTRACT
from ingest.decode import JsonDecoder
from tests.builders.ingest import ARRIVAL_MS, SHARD, aggregated, kinesis, mutated, packed, telemetry
from tests.ingest.decode.oracle import expected, unknown_names

NAMES = [column.name for column in CONTRACT]
WHITE = st.sampled_from(["", " ", "\n", "\t \r"])
TIMES = st.one_of(
    st.integers(ARRIVAL_MS - 10**9, ARRIVAL_MS + 400_000).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.datetimes().map(lambda at: json.dumps(at.isoformat() + "Z")),
    st.builds(
        lambda s, f, z: json.dumps(f"2026-11-23T0{s % 8}:59:{s:02d}{f}{z}"),
        st.integers(0, 61),
        st.sampled_from(["", ".", ".1", ".12", ".123", ".123456", ".123456789", ".1234567890123", ".x"]),
        st.sampled_from(["Z", "z", "+00:00", "-00:30", "+0100", "+23:59", "+24:00", "", "-12:60"]),
    ),
)
DEVICES = st.one_of(st.text("abcXYZ019._:-", min_size=1, max_size=12), st.text(max_size=8), st.just("x" * 129)).map(
    json.dumps
)
LITERALS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.floats(-200, 400).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["0", "-0", "0.0", "1e999", "-1E400", "1e-999", "01", "1.", ".5", "NaN", "null", "true", "false"]),
    st.text(max_size=70).map(json.dumps),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
        max_leaves=6,
    ).map(json.dumps),
    st.sampled_from(
        [
            '"\\ud800"',
            '"\\\\ud800"',
            '{"\\udfff":"\\ud83d\\ud83d\\ude00"}',
            '{"a":null,"b":1,"a":2}',
            '{"a":"x","a":null}',
            '"\\udc00x"',
            '"\\ud83d\\ude00"',
            '"\\u0000"',
            '{"a":1,"a":"b"}',
            "[" * 70 + "]" * 70,
        ]
    ),
)
PLAUSIBLE: dict[str, st.SearchStrategy[str]] = {
    "device_id": DEVICES,
    "ts": TIMES,
    "event_id": st.text(max_size=70).map(json.dumps),
    "engine_on": st.sampled_from(["true", "false", "null"]),
    "driver_id": st.text(max_size=20).map(json.dumps),
    "fault_codes": st.lists(st.text(max_size=5), max_size=3).map(json.dumps),
    "fault_lamps": st.lists(st.sampled_from(["red_stop", "protect", "", "\u00e4"]), max_size=3).map(json.dumps),
    "signals": st.dictionaries(st.text(max_size=4), st.one_of(st.none(), st.floats(allow_nan=False)), max_size=3).map(
        json.dumps
    ),
    "attributes": st.dictionaries(
        st.sampled_from(["lat", "ts", "route", "ü"]), st.one_of(st.none(), st.text(max_size=4), st.just("\ud83d"))
    ).map(json.dumps),
}
FIELD = st.one_of(
    st.sampled_from(NAMES).flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(PLAUSIBLE.get(name, st.floats(-200, 400).map(repr)), LITERALS))
    ),
    st.tuples(st.text(max_size=5), LITERALS),
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """A JSON text of many odd sorts, sometimes broken."""
    fields = [("device_id", draw(DEVICES)), ("ts", draw(TIMES)), *draw(st.lists(FIELD, max_size=6))]
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    text = ",".join(f"{draw(WHITE)}{json.dumps(name)}{draw(WHITE)}:{literal}{draw(WHITE)}" for name, literal in fields)
    data = f"{{{text}}}".encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        return mutated(random.Random(draw(st.integers(0, 2**32))), data)
    return data


def assert_as_expected(decoder: JsonDecoder, datas: list[bytes], arrival_ms: int = ARRIVAL_MS) -> Counter[str]:
    """Compare one batch with the oracle; returns outcomes, landed and each reason."""
    records = kinesis(datas, arrival_ms=arrival_ms)
    batch = decoder.decode(SHARD, records)
    assert decoder.decode(SHARD, packed(records)) == batch
    meant = [expected(data, arrival_ms) for data in datas]
    rows = [_plain(row) for row in batch.rows.to_pylist()]
    refused = [(row["reason"], row["data"]) for row in batch.rejected.to_pylist()]
    assert rows == [row for row in meant if not isinstance(row, str)]
    assert refused == [(why, data) for why, data in zip(meant, datas, strict=True) if isinstance(why, str)]
    names = Counter(
        name for data, why in zip(datas, meant, strict=True) if why not in ("not_json", "too_large")
        for name in unknown_names(data)
        if not isinstance(why, str)
    )  # fmt: skip
    if len(names) < 1000 and not any(isinstance(why, str) for why in meant):
        assert batch.unknown_fields == names
    return Counter(why if isinstance(why, str) else "landed" for why in meant)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    plain = {name: row[name] for name in (*NAMES, "record_id", "flags")}
    plain["ts_ms"] = round(plain.pop("ts").timestamp() * 1000)
    for name in ("signals", "attributes"):
        plain[name] = None if plain[name] is None else dict(plain[name])
    return plain


_LONG_LIVED = JsonDecoder(part_rows=7)


_STRUCTS_ALONE = JsonDecoder(plain=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(payloads(), min_size=1, max_size=20))
def test_fast_equals_slow_on_made_payloads(datas: list[bytes]) -> None:
    assert_as_expected(JsonDecoder(), datas)
    assert_as_expected(_LONG_LIVED, datas)
    assert_as_expected(_STRUCTS_ALONE, datas)


def test_fast_equals_slow_on_twenty_thousand_hostile_records() -> None:
    chance, decoder = random.Random(20261123), _STRUCTS_ALONE
    seen: Counter[str] = Counter()
    for seed in range(20):
        seen += assert_as_expected(decoder, [mutated(chance, data) for data in telemetry(seed, 1000)])
    assert min(seen[kind] for kind in ("landed", "not_json", "bad_device_id", "bad_ts", "impossible_ts")) > 20
    assert seen["landed"] > 2000


def test_hostile_aggregates_are_conserved() -> None:
    chance, decoder = random.Random(7), JsonDecoder()
    frames = [mutated(chance, frame) for seed in range(20) for frame in aggregated(telemetry(seed, 100), 5)]
    batch = decoder.decode(SHARD, kinesis(frames))
    assert batch.user_records == batch.rows.num_rows + batch.rejected.num_rows
    assert batch.user_records >= len(frames)
    assert set(batch.rejected["reason"].to_pylist()) >= {"bad_aggregate"}


def _real_payloads(path: Path, count: int) -> list[bytes]:
    table = pq.ParquetFile(path).iter_batches(batch_size=count)
    columns = {"device_id", "ts", "lat", "lon"}
    out = []
    for row in next(table).to_pylist():
        record = {name: row[name] for name in columns & row.keys() if row[name] is not None}
        record["ts"] = record["ts"].isoformat()
        record["attributes"] = {k: v for k, v in row.items() if isinstance(v, str) and k not in columns}
        numbers = {k: v for k, v in row.items() if isinstance(v, float) and k not in columns}
        record["signals"] = {k: v for k, v in numbers.items() if not math.isnan(v)}
        out.append(json.dumps(record).encode())
    return out


@pytest.mark.real_data
def test_fast_equals_slow_on_real_payloads_whole_and_mutated() -> None:
    folder = Path(os.environ.get("FLEETLAKE_REAL_DATA", Path(__file__).parents[4] / "shared" / "data"))
    files = sorted(folder.glob("*.parquet"))
    if not files:
        pytest.skip(f"no real telemetry below {folder}; set FLEETLAKE_REAL_DATA")
    chance, decoder = random.Random(3), JsonDecoder()
    for path in files:
        datas = _real_payloads(path, 1000)
        assert assert_as_expected(decoder, datas)["landed"] == len(datas)
        assert_as_expected(decoder, [mutated(chance, data) for data in datas])
