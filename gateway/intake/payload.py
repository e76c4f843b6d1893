"""Takes a payload apart into records, byte for byte, and checks who they are of."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.record import MAX_RECORD_BYTES
from gateway.identity.model import Identity
from gateway.refusals import Refusal, Refused

MOST_RECORDS = 5_000
"""Records of one message."""
_BLANKS = b" \t\r\n"
_ID = "device_id"
_MEMBER = b'"device_id"'


class _Head(msgspec.Struct):
    """What the gateway reads of a record: the decoder checks the JSON of all of it."""

    device_id: str | None = None


_record = msgspec.json.Decoder(_Head)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def records_of(payload: bytes) -> list[bytes]:
    """The records of a payload: one JSON object, an array of them, or one a line. Raises Refused for an empty one.

    The bytes of each are the device's own: the identity of a record without an event id is a hash of them.
    """
    start = payload.lstrip(_BLANKS)[:1]
    if start == b"[":
        return _elements(payload)
    if start != b"{":
        raise Refused(Refusal.BAD_PAYLOAD, "the payload is no JSON object, array of objects, or lines of them")
    if b"\n" not in payload.strip(_BLANKS) or _is_json(payload):
        return [payload]
    return _bounded([line for line in payload.split(b"\n") if line.strip(_BLANKS)])


def check_record(record: bytes, identity: Identity) -> None:
    """Raises Refused where a record is too large, no JSON object, or not of a device that the sender speaks for."""
    if len(record) > MAX_RECORD_BYTES:
        raise Refused(Refusal.TOO_LARGE, f"a record of {len(record)} bytes; it may have {MAX_RECORD_BYTES}")
    try:
        device_id = _record.decode(record).device_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Refused(Refusal.BAD_PAYLOAD, "a record is no JSON object with a text as device_id") from None
    # Which of two members counts is up to a reader; and a name may be written with escapes.
    if (b"\\" in record or record.count(_MEMBER) != 1) and _device_ids(record) > 1:
        raise Refused(Refusal.BAD_PAYLOAD, "a record has device_id more than once")
    if device_id is None:
        raise Refused(Refusal.BAD_PAYLOAD, "a record has no device_id")
    if not identity.may_speak_for(device_id):
        raise Refused(Refusal.OTHER_DEVICE, "a record is of another device than the sender's")


def _elements(payload: bytes) -> list[bytes]:
    try:
        return _bounded([bytes(element) for element in _array.decode(payload)])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Refused(Refusal.BAD_PAYLOAD, "the payload is no JSON array") from None


def _bounded(records: list[bytes]) -> list[bytes]:
    if not records:
        raise Refused(Refusal.BAD_PAYLOAD, "the payload has no record")
    if len(records) > MOST_RECORDS:
        raise Refused(Refusal.TOO_LARGE, f"{len(records)} records in one message; it may have {MOST_RECORDS}")
    return records


def _is_json(payload: bytes) -> bool:
    """Whether the whole payload is one object, on several lines."""
    try:
        _record.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return True


def _device_ids(record: bytes) -> int:
    """Members of the outermost object that are named device_id."""
    outermost: Sequence[tuple[str, Any]] = ()

    def keep(pairs: list[tuple[str, Any]]) -> None:
        nonlocal outermost
        outermost = pairs

    try:
        json.loads(record, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        raise Refused(Refusal.BAD_PAYLOAD, "a record is no JSON") from None
    return sum(name == _ID for name, _ in outermost)
