"""What is unpacked of a Kinesis record, the same by the consumer and by the reconciliation, which shares no code."""

import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.kpl import BadAggregate, aggregate
from contracts.names import DOCUMENTS, GZIP, PACKINGS, ZSTD
from contracts.packing import MAX_UNPACKED_BYTES, BadPacking, documents, users_in
from reconcile.packed import user_records

ONE, TWO = b'{"device_id":"a","text":"}{ \\" [ "}', b'{"device_id":"b","signals":{"x":1}}'
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.text('{}[]" \\,:\n', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text('a}{"', max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def zstd(data: bytes) -> bytes:
    return pa.Codec(ZSTD).compress(data, asbytes=True)


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b"  \n\t"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["as it is", "gzip", "zstd"])
def test_documents_in_a_row_and_on_lines_are_taken_apart(between: bytes, pack: type[bytes]) -> None:
    data = pack(between.join((ONE, TWO, ONE)) + b"\n")
    assert users_in(data, PACKINGS) == [ONE, TWO, ONE]
    assert users_in(aggregate([("k", data), ("k", TWO)]), PACKINGS) == [ONE, TWO, ONE, TWO]
    assert user_records(aggregate([("k", data), ("k", TWO)]), PACKINGS) == 4


@pytest.mark.parametrize(
    "data", [ONE, b'[{"a":1},{"b":2}]', b'{"a":1}{"b":2', b'{"a":1} x {"b":2}', b'1{"a":1}{"b":2}', b""]
)
def test_what_is_not_several_objects_stays_whole(data: bytes) -> None:
    assert list(users_in(data, PACKINGS)) == [data]
    assert user_records(data, PACKINGS) == 1


def test_nothing_is_unpacked_that_is_not_asked_for() -> None:
    for data in (gzip.compress(ONE), zstd(ONE), ONE + TWO):
        assert list(users_in(data)) == [data]
    assert list(users_in(gzip.compress(ONE + TWO), [GZIP])) == [ONE + TWO]
    assert list(users_in(gzip.compress(ONE + TWO), [DOCUMENTS, ZSTD])) == [gzip.compress(ONE + TWO)]


def test_members_of_gzip_follow_each_other() -> None:
    data = gzip.compress(ONE) + gzip.compress(TWO)
    assert users_in(data, PACKINGS) == [ONE, TWO]
    assert user_records(data, PACKINGS) == 2


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize("size", [4_000_000, MAX_UNPACKED_BYTES + 1])
def test_a_bomb_is_refused_whole(pack: type[bytes], size: int) -> None:
    bomb = pack(bytes(size))
    with pytest.raises(BadPacking, match="exceeds"):
        users_in(bomb, PACKINGS)
    assert user_records(bomb, PACKINGS) == 1


@pytest.mark.parametrize(
    "data",
    [gzip.compress(ONE)[:-4], gzip.compress(ONE) + b"?", b"\x1f\x8b?", zstd(ONE)[:-3], zstd(ONE)[:4] + b"??"],
    ids=["short gzip", "more than gzip", "no gzip", "short zstd", "no zstd"],
)
def test_what_does_not_decompress_is_refused_whole(data: bytes) -> None:
    with pytest.raises(BadPacking):
        users_in(data, PACKINGS)
    assert user_records(data, PACKINGS) == 1


def test_a_small_record_may_grow_much() -> None:
    line = json.dumps({"device_id": "a" * 60_000}).encode()
    assert users_in(gzip.compress(line), PACKINGS) == [line]


def test_too_many_documents_are_refused_whole() -> None:
    data = b"{}" * 100_001
    with pytest.raises(BadAggregate, match="100001"):
        users_in(data, PACKINGS)
    assert user_records(data, PACKINGS) == 1


@settings(deadline=None)
@given(
    st.lists(JSON.map(lambda value: json.dumps({"v": value}).encode()), min_size=2, max_size=4),
    st.sampled_from([b"", b"\n"]),
)
def test_documents_are_those_that_were_joined(made: list[bytes], between: bytes) -> None:
    data = between.join(made)
    assert documents(data) == made
    assert user_records(data, PACKINGS) == len(made)


@settings(deadline=None)
@given(st.text('{}[]"\\ a1:,\n', max_size=30).map(str.encode))
def test_the_reconciliation_counts_any_bytes_as_the_consumer_does(data: bytes) -> None:
    assert user_records(data, PACKINGS) == len(users_in(data, PACKINGS))
