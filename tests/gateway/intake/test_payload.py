"""What a payload is taken apart into, byte for byte, and who may send it."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.record import MAX_RECORD_BYTES
from gateway.identity.model import Access, Identity, KnownDevice
from gateway.intake.payload import MOST_RECORDS, check_record, records_of
from gateway.refusals import Refusal, Refused
from ingest.decode.exact import Unplaceable, read_exactly

ME = Identity(KnownDevice("me", "acme", Access.ACTIVE, speaks_for=frozenset({"mine"})))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def refusal(data: bytes) -> Refusal | None:
    try:
        for record in records_of(data):
            check_record(record, ME)
    except Refused as refused:
        return refused.refusal
    return None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), min_size=1, max_size=4), st.booleans())
def test_arrays_and_lines_keep_the_bytes_of_each_record(objects: list[dict[str, object]], spaced: bool) -> None:
    each = [json.dumps(one, separators=(", ", " : ") if spaced else (",", ":")).encode() for one in objects]
    assert records_of(b" [" + b" ,\n".join(each) + b"]\n") == each
    assert records_of(b"\n".join(each)) == each


def test_one_object_on_several_lines_is_one_record() -> None:
    pretty = json.dumps({"device_id": "me", "signals": {"a": 1}}, indent=2).encode() + b"\n"
    assert records_of(pretty) == [pretty]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"device_id":"me"}', None),
        (b'{"device_id":"mine"}', None),
        (b'{"device_id":"you"}', Refusal.OTHER_DEVICE),
        (b'{"device_id":"you","device_id":"me"}', Refusal.BAD_PAYLOAD),
        (b'{"device_id":"me","device_\\u0069d":"you"}', Refusal.BAD_PAYLOAD),
        (b'{"attributes":{"device_id":"you"},"device_id":"me"}', None),
        (b'{"note":"\\\\","device_id":"me"}', None),
        (b'{"device_id":7}', Refusal.BAD_PAYLOAD),
        (b'{"ts":1}', Refusal.BAD_PAYLOAD),
        (b"{", Refusal.BAD_PAYLOAD),
        (b"", Refusal.BAD_PAYLOAD),
        (b"[]", Refusal.BAD_PAYLOAD),
        (b"[1]", Refusal.BAD_PAYLOAD),
        (b"7", Refusal.BAD_PAYLOAD),
        (b'\xef\xbb\xbf{"device_id":"you"}', Refusal.BAD_PAYLOAD),
        (b'{"device_id":"me"}{"device_id":"you"}', Refusal.BAD_PAYLOAD),
        (b"[" * 100_000, Refusal.BAD_PAYLOAD),
        (b'{"device_id":"me","x":' + b"[" * 60_000, Refusal.BAD_PAYLOAD),
        (b'{"device_id":"me","x":"' + b"a" * MAX_RECORD_BYTES + b'"}', Refusal.TOO_LARGE),
        (b"[" + b",".join([b"{}"] * (MOST_RECORDS + 1)) + b"]", Refusal.TOO_LARGE),
    ],
)
def test_what_may_come_and_what_may_not(data: bytes, expected: Refusal | None) -> None:
    assert refusal(data) is expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40) | st.lists(st.sampled_from([*'{}[]",:\\ \n', "device_id", "me", "you"])).map("".join))
def test_whatever_comes_is_refused_or_of_a_device_of_the_sender(data: bytes | str) -> None:
    """The consumer's exact reader sees no other device in what the gateway lets through."""
    payload = data if isinstance(data, bytes) else data.encode()
    if refusal(payload) is not None:
        return
    for record in records_of(payload):
        with suppress(Unplaceable):
            assert ME.may_speak_for(read_exactly(record).values["device_id"])
