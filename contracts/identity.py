"""The identity of a record: (device_id, ts in UTC milliseconds, record_id)."""

import re
from hashlib import blake2b

IDENTITY: tuple[str, str, str] = ("device_id", "ts", "record_id")
OF_EVENT = "e:"
OF_BYTES = "b:"
_EXPORTED = re.compile(r"b:[0-9a-f]{32}")


def record_id(event_id: str | None, original: bytes) -> str:
    """The third part of a record's identity.

    `e:` and the device's own message id, or `b:` and BLAKE2b-128 (32 hexadecimal digits) of the original bytes of
    the user record where it sent none or an empty one. The tags keep an event id that looks like a hash apart from a
    hash; but an event id that is itself such a record_id, as an exported record without an event id carries it, is
    taken for it, so that the record is the same one when it comes back.
    """
    if event_id:
        if is_identity_of_bytes(event_id):
            return event_id
        return OF_EVENT + event_id
    return OF_BYTES + blake2b(original, digest_size=16).hexdigest()


def is_identity_of_bytes(text: str | None) -> bool:
    """Whether it is the record_id of a record that had no event id."""
    return text is not None and _EXPORTED.fullmatch(text) is not None
