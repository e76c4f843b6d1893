"""The identity of a record: (device_id, ts in UTC milliseconds, record_id)."""

from hashlib import blake2b

IDENTITY: tuple[str, str, str] = ("device_id", "ts", "record_id")
OF_EVENT = "e:"
_OF_BYTES = "b:"


def record_id(event_id: str | None, original: bytes) -> str:
    """The third part of a record's identity.

    `e:` and the device's own message id, or `b:` and BLAKE2b-128 (32 hexadecimal digits) of the original bytes of
    the user record where it sent none or an empty one. The tags keep an event id that looks like a hash apart from
    a hash.
    """
    if event_id:
        return OF_EVENT + event_id
    return _OF_BYTES + blake2b(original, digest_size=16).hexdigest()
