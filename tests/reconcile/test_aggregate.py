"""The reconciliation's own count of user records agrees with the contract's framing, without sharing its code."""

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.kpl import MAGIC, aggregate
from reconcile.aggregate import user_records


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=300)), max_size=50))
def test_an_aggregate_counts_what_went_in(records: list[tuple[str, bytes]]) -> None:
    assert user_records(aggregate(records)) == len(records)


def test_many_keys_and_long_records_count() -> None:
    assert user_records(aggregate((f"key-{n}", b"x" * n) for n in range(1000))) == 1000


@given(st.binary(max_size=200))
def test_what_does_not_start_as_an_aggregate_is_one_record(data: bytes) -> None:
    assert user_records(b"{" + data) == 1


def framed(body: bytes) -> bytes:
    return MAGIC + body + md5(body, usedforsecurity=False).digest()


@pytest.mark.parametrize(
    "data",
    [
        aggregate([("a", b"1"), ("b", b"2")])[:-1],
        framed(b"\x1a\x7f"),
        framed(b"\x1a\x02\x08\x00"),
        framed(b"\x1b"),
        framed(b"\x1a" + b"\xff" * 11),
        MAGIC,
        aggregate(("k", b"") for _ in range(100_001)),
    ],
    ids=["cut", "overrun", "no data", "group", "endless", "bare", "too many"],
)
def test_a_broken_aggregate_is_rejected_whole_so_it_is_one(data: bytes) -> None:
    assert user_records(data) == 1
