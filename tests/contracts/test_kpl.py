"""KPL framing: what is packed comes out, what is damaged is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.kpl import BadAggregate, aggregate, deaggregate, is_aggregate

RECORDS = st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=200)), max_size=30)


@given(RECORDS)
def test_what_is_packed_comes_out_in_order(records: list[tuple[str, bytes]]) -> None:
    packed = aggregate(records)
    assert is_aggregate(packed)
    assert list(deaggregate(packed)) == [data for _, data in records]


@given(RECORDS.filter(bool), st.data())
def test_any_changed_byte_after_the_magic_is_refused(records: list[tuple[str, bytes]], data: st.DataObject) -> None:
    packed = bytearray(aggregate(records))
    place = data.draw(st.integers(4, len(packed) - 1))
    packed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadAggregate):
        deaggregate(bytes(packed))


def test_a_known_frame_of_the_producer_library_decodes() -> None:
    # Built by hand from the format's description: one key, one record "hi" under key index 0.
    from hashlib import md5

    body = b"\x0a\x01k" + b"\x1a\x06" + b"\x08\x00" + b"\x1a\x02hi"
    assert deaggregate(b"\xf3\x89\x9a\xc2" + body + md5(body).digest()) == [b"hi"]


def test_too_many_user_records_are_refused() -> None:
    packed = aggregate([("k", b"")] * 100_001)
    with pytest.raises(BadAggregate, match="100001 user records"):
        deaggregate(packed)
