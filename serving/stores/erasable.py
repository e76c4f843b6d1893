"""What the read API keeps of devices: guest links, events for webhooks, and who read their past: an adapter."""

import hmac
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg

from contracts.erasable import Counts, Remains, Scope
from contracts.settings import RegionSettings

_SHOWN = "devices && %s::text[]"
_COUNT_SHARES = f"select count(*) from registry.share where {_SHOWN}"  # noqa: S608 - a constant
_COUNT_READINGS = "select count(*) from privacy.past_read where device_hmac = any(%s)"
_PLANT = """
insert into privacy.past_read (subject, token_id, role, device_hmac, what) values ('', '', 'canary', %s, 'canary')
"""
_EVENTS = """from ops.event e where exists (
    select from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) as meant (device_id, start_ts, end_ts)
    where meant.device_id = e.device_id and e.happened_at >= coalesce(meant.start_ts, '-infinity')
        and e.happened_at < coalesce(meant.end_ts, 'infinity')
)"""
_NARROW = """
update registry.share set devices = array(select unnest(devices) except select unnest(%s::text[]))
where devices && %s::text[]
"""


class SharesEventsAndReadings:
    """registry.share and privacy.past_read, of devices that are meant wholly; ops.event of any that are meant.

    A link goes on with its other devices. Who read the past of a device that is gone is said no more: a keyed hash of
    its id is still personal data (GDPR Art. 4(5), recital 26).
    """

    name = "serving"
    stores = ("registry.share", "ops.event", "privacy.past_read")

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self, scope: Scope) -> Counts:
        """Links that show one of the devices, events, and readings."""
        devices = list(scope.whole_devices)
        return {
            "registry.share": _value(self._fleet(), _COUNT_SHARES, devices),
            "ops.event": _value(self._fleet(), f"select count(*) {_EVENTS}", *_spans(scope)),
            "privacy.past_read": _value(self._privacy(), _COUNT_READINGS, self._hashed(devices)),
        }

    def search(self, scope: Scope) -> Counts:
        """The same rows."""
        return self.count(scope)

    def erase(self, scope: Scope) -> Counts:
        """Take the devices out of links, end links that show nothing any more, and delete events and readings."""
        found, devices = self.count(scope), list(scope.whole_devices)
        with closing(self._fleet()) as fleet:
            fleet.execute(f"delete {_EVENTS}".encode(), _spans(scope))
            fleet.execute("vacuum (full, analyze) ops.event")
        if not devices:
            return found
        with closing(self._fleet()) as fleet:
            fleet.execute(_NARROW, [devices, devices])
            fleet.execute("delete from registry.share where devices = '{}'")
            fleet.execute("vacuum (full, analyze) registry.share")
        with closing(self._privacy()) as privacy:
            privacy.execute("delete from privacy.past_read where device_hmac = any(%s)", [self._hashed(devices)])
            privacy.execute("vacuum (full, analyze) privacy.past_read")
        return found

    def plant(self, scope: Scope) -> Sequence[str]:
        """A reading of a past that nobody has."""
        with closing(self._privacy()) as privacy:
            privacy.execute(_PLANT, self._hashed(list(scope.devices)))
        return ("privacy.past_read",)

    def expires(self, now: datetime) -> list[Remains]:
        """A process believes a link for seconds after it has changed."""
        return []

    def _hashed(self, devices: list[str]) -> list[bytes]:
        key = self._settings.release_key.get_secret_value().encode()
        return [hmac.digest(key, device.encode(), sha256) for device in devices]

    def _fleet(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._settings.postgres_dsn.get_secret_value(), autocommit=True, connect_timeout=10)

    def _privacy(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._settings.privacy_dsn.get_secret_value(), autocommit=True, connect_timeout=10)


def _spans(scope: Scope) -> tuple[list[str], list[datetime | None], list[datetime | None]]:
    """Devices, and from when to when each is meant."""
    portions = scope.portions
    return [one.device_id for one in portions], [one.start for one in portions], [one.end for one in portions]


def _value(connection: "psycopg.Connection[Any]", query: str, *values: Any) -> int:
    with closing(connection):
        row = connection.execute(query.encode(), values).fetchone()
    return int(row[0]) if row else 0
