"""An answer's records read in one pass are those that msgspec reads, or are left to it."""

import json
import random
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.batch import KinesisRecord
from ingest.kinesis.response import decode_response
from ingest.records import PackedRecords
from tests.builders.ingest import ARRIVAL_MS, kinesis, mutated, packed, telemetry


class Answer(msgspec.Struct, rename="pascal"):
    """As GetRecords gives it."""

    records: list[KinesisRecord]
    next_shard_iterator: str | None = None
    millis_behind_latest: int | None = 0


whole = msgspec.json.Decoder(Answer).decode


def body(records: list[KinesisRecord], **style: Any) -> bytes:
    """An answer of Kinesis that holds them."""
    rows = [
        {
            "SequenceNumber": record.sequence_number,
            "ApproximateArrivalTimestamp": record.approximate_arrival_timestamp,
            "Data": b64encode(record.data).decode(),
            "PartitionKey": record.partition_key,
            "EncryptionType": None,
        }
        for record in records
    ]
    document = {"MillisBehindLatest": 7, "Records": rows, "NextShardIterator": 'it"Records":'}
    return json.dumps(document, **style).encode()


RECORDS = st.lists(
    st.builds(
        KinesisRecord,
        st.text("0123456789", min_size=1, max_size=56),
        st.floats(0, 3e9),
        st.binary(max_size=40),
        st.one_of(st.text("abc-019", max_size=9), st.text(max_size=6)),
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(RECORDS, st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}]))
def test_records_are_those_that_were_put(records: list[KinesisRecord], style: dict[str, Any]) -> None:
    answer, found = decode_response(body(records, **style), whole)
    assert list(found) == records
    assert (answer.millis_behind_latest, answer.next_shard_iterator) == (7, 'it"Records":')


@settings(max_examples=300, deadline=None)
@given(RECORDS, st.integers(0, 2**32))
def test_a_broken_answer_is_refused_or_read_as_msgspec_reads_it(records: list[KinesisRecord], seed: int) -> None:
    broken = mutated(random.Random(seed), body(records))
    try:
        meant: Any = whole(broken).records
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        with pytest.raises(type(error)):
            decode_response(broken, whole)
    else:
        assert list(decode_response(broken, whole)[1]) == meant


@pytest.mark.parametrize("arrival", ["1.795420800123E9", "1795420800", "1795420800.123"])
def test_times_are_read_however_the_service_writes_them(arrival: str) -> None:
    plain = body(kinesis([b"x"])).replace(str(ARRIVAL_MS / 1000).encode(), arrival.encode())
    (record,) = decode_response(plain, whole)[1]
    assert record.approximate_arrival_timestamp == float(arrival)


def test_a_plain_answer_is_read_in_one_pass() -> None:
    records = kinesis(telemetry(3, 500))
    _, found = decode_response(body(records, separators=(",", ":")), whole)
    assert isinstance(found, PackedRecords)
    assert list(found) == records


def test_packed_records_are_a_sequence_of_them() -> None:
    records = kinesis(telemetry(4, 20))
    side_by_side = packed(records)
    assert len(side_by_side) == 20
    assert [side_by_side[0], side_by_side[-1]] == [records[0], records[-1]]
    assert list(side_by_side[5:9]) == records[5:9]
    assert list(side_by_side[5:9][1:][:2]) == records[6:8]
    with pytest.raises(IndexError):
        side_by_side[20]
    with pytest.raises(ValueError, match="runs"):
        side_by_side[::2]
