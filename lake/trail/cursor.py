"""Where a reader is in the records of several devices: what a page gives and the next page goes on from."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import msgspec

from contracts.errors import BadCursor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CHECK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Just behind a record, in the order of devices, event times and record ids.

    record_id: None is behind all records of that device and moment, "" is before them all.
    """

    device_id: str
    ts: datetime
    record_id: str | None


def cursor_of(place: Place) -> str:
    """The place as text that fits into an URL. Readers hand it back as it is."""
    body = msgspec.json.encode([place.device_id, (place.ts - _EPOCH) // _MICROSECOND, place.record_id])
    return base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """The place that a cursor names. Raises BadCursor."""
    body = _checked(cursor)
    try:
        device_id, ts_us, record_id = msgspec.json.decode(body or b"", type=tuple[str, int, str | None])
    except msgspec.DecodeError:
        raise BadCursor(f"{cursor[:60]!r} is no cursor; hand back the text that the page before gave, whole") from None
    return Place(device_id, _EPOCH + ts_us * _MICROSECOND, record_id)


def _checked(cursor: str) -> bytes | None:
    """What is in a cursor; None where it is cut or changed."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    body = raw[_CHECK_BYTES:]
    return body if raw[:_CHECK_BYTES] == _check(body) else None


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK_BYTES, person=b"trail.cursor.1").digest()
