"""Packed records through the decoder: each object is a user record, and what does not unpack is rejected whole."""

import gzip
import json
from typing import Any

import pyarrow as pa
import pytest

from contracts.identity import record_id
from contracts.kpl import MAX_AGGREGATE_BYTES, aggregate
from contracts.names import PACKINGS
from contracts.record import RejectReason
from ingest.decode import JsonDecoder
from tests.builders.ingest import ARRIVAL_MS, SHARD, kinesis, packed


def line(number: int, **more: Any) -> bytes:
    return json.dumps({"device_id": f"d{number}", "ts": ARRIVAL_MS - number, **more}).encode()


@pytest.mark.parametrize("plain", [True, False])
def test_objects_of_packed_records_are_user_records(plain: bool) -> None:
    lines = [line(number) for number in range(6)]
    datas = [
        gzip.compress(b"\n".join(lines[:3])),
        lines[3],
        pa.Codec("zstd").compress(lines[4] + b"not json", asbytes=True),
        lines[4] + lines[5],
        gzip.compress(bytes(10_000_000)),
    ]
    for records in (kinesis(datas), packed(kinesis(datas))):
        batch = JsonDecoder(plain=plain, packings=PACKINGS).decode(SHARD, records)
        assert batch.adds_up
        assert batch.rows["device_id"].to_pylist() == ["d0", "d1", "d2", "d3", "d4", "d5"]
        assert batch.rows["sub_sequence"].to_pylist() == [0, 1, 2, 0, 0, 1]
        assert batch.rows["record_id"].to_pylist() == [record_id(None, data) for data in lines]
        reasons = dict(zip(batch.rejected["reason"].to_pylist(), batch.rejected["data"].to_pylist(), strict=True))
        assert reasons == {RejectReason.NOT_JSON: lines[4] + b"not json", RejectReason.BAD_AGGREGATE: datas[4]}


def test_an_aggregate_of_ten_mebibytes_is_taken_apart() -> None:
    users = [(f"d{number}", line(number, attributes={"x": "y" * 400})) for number in range(20_000)]
    whole = aggregate(users)
    assert 9_000_000 < len(whole) <= MAX_AGGREGATE_BYTES
    batch = JsonDecoder().decode(SHARD, kinesis([whole]))
    assert (batch.kinesis_records, batch.rows.num_rows, batch.rejected.num_rows) == (1, 20_000, 0)


def test_a_record_of_ten_mebibytes_that_is_no_aggregate_is_rejected_with_its_bytes() -> None:
    data = line(1, attributes={"x": "y" * 10_000_000})
    batch = JsonDecoder().decode(SHARD, kinesis([data]))
    assert batch.rejected["reason"].to_pylist() == [RejectReason.TOO_LARGE]
    assert batch.rejected["data"][0].as_py() == data
