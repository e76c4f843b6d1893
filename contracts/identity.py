"""The identity of a record: (device_id, ts in UTC milliseconds, record_id)."""

import re
from hashlib import blake2b

IDENTITY: tuple[str, str, str] = ("device_id", "ts", "record_id")
OF_EVENT = "e:"
OF_BYTES = "b:"
EXPORTED = "fleetlake:"
"""Begins the event id of an exported record that has none of its own; its record_id follows."""
_OF_BYTES = re.compile(r"b:[0-9a-f]{32}")


def record_id(event_id: str | None, original: bytes) -> str:
    """The third part of a record's identity.

    `e:` and the device's own message id, or `b:` and BLAKE2b-128 (32 hexadecimal digits) of the original bytes of
    the user record where it sent none or an empty one. The tags keep an event id that looks like a hash apart from a
    hash. An event id as `exported_event_id` gives it stands for the record_id in it: the exported record comes back as
    the same record.
    """
    if not event_id:
        return OF_BYTES + blake2b(original, digest_size=16).hexdigest()
    exported = event_id.removeprefix(EXPORTED)
    if exported != event_id and _OF_BYTES.fullmatch(exported):
        return exported
    return OF_EVENT + event_id


def exported_event_id(identity: str) -> str | None:
    """The event id under which a record that has none is exported, from its record_id; None for any other record_id."""
    return EXPORTED + identity if _OF_BYTES.fullmatch(identity) else None
