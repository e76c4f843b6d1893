"""What privacy_R holds of a person or their devices, as parts of an answer: who read, and what was asked for."""

import hmac
from collections.abc import Iterator
from functools import partial
from hashlib import sha256

import pyarrow as pa

from contracts.erasable import Scope
from contracts.portable import Part
from contracts.settings import RegionSettings
from privacy.database import transaction
from privacy.requests import of_subject

_READ = """
select read_at, subject, role, what, from_ts, to_ts from privacy.past_read where device_hmac = %s order by id
"""
_TIME = pa.timestamp("us", "UTC")
_READINGS = pa.schema(
    [
        *(("device_id", pa.string()), ("read_at", _TIME), ("reader", pa.string()), ("role", pa.string())),
        *(("what", pa.string()), ("from_ts", _TIME), ("to_ts", _TIME)),
    ]
)
_REQUESTS = pa.schema([("kind", pa.string()), ("state", pa.string()), ("created_at", _TIME), ("done_at", _TIME)])


def privacy_parts(settings: RegionSettings, scope: Scope) -> list[Part]:
    """Both of them."""
    return [
        Part(
            "readings",
            "Who read the past",
            "Each time that somebody read the device's past by the API: when, who by the name of their token, what.",
            "privacy",
            partial(_readings, settings, scope),
        ),
        Part(
            "requests",
            "Requests",
            "What was asked for before: access, erasure, restriction.",
            "privacy",
            partial(_requests, settings, scope),
        ),
    ]


def _readings(settings: RegionSettings, scope: Scope) -> Iterator[pa.Table]:
    """Recipients by name: CJEU C-154/21. A reading of a range that is not the person's own is of another's data."""
    key = settings.release_key.get_secret_value().encode()
    rows = []
    with transaction(settings) as connection:
        for device in scope.devices:
            name = hmac.digest(key, device.encode(), sha256)
            for read_at, *said in connection.execute(_READ, [name]).fetchall():
                *_, start, end = said
                if any(
                    one.device_id == device and one.touches(start or read_at, end or read_at) for one in scope.portions
                ):
                    rows.append(dict(zip(_READINGS.names, [device, read_at, *said], strict=True)))
    yield pa.Table.from_pylist(rows, schema=_READINGS)


def _requests(settings: RegionSettings, scope: Scope) -> Iterator[pa.Table]:
    names = [scope.subject] if scope.subject else list(scope.devices)
    found = [request for name in names for request in of_subject(settings, name)]
    rows = [
        {"kind": one.kind.value, "state": one.state.value, "created_at": one.created_at, "done_at": one.done_at}
        for one in found
    ]
    yield pa.Table.from_pylist(rows, schema=_REQUESTS)
