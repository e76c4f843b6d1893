"""Devices' credentials and what the gateway keeps of them. Adapter of contracts.erasable."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from contracts.erasable import Counts, Remains, Scope
from contracts.names import redis_access_device
from contracts.settings import RegionSettings
from gateway.admin.devices import registry
from gateway.service.hub import tell

_OWN = ("device_token", "device_key", "revoked_certificate", "speaks_for", "last_refusal")
_NAMED = """(device_id = any(%(devices)s)
    or exists (select from unnest(%(devices)s::text[]) d where position(d in detail) > 0))"""

_REFUSED = """
insert into registry.last_refusal (device_id, refused_at, protocol, reason, detail, refusals)
values (%s, now(), '', 'canary', '', 0) on conflict (device_id) do nothing
"""
_PLANTED_S = 7 * 24 * 3600
"""An erasure that was killed and is not run again leaves its canary in Redis no longer."""


class Credentials:
    """Tokens, keys, revoked certificates, refusals and the log of access acts, of devices that are meant wholly.

    The log keeps its rows: what was done, when and by whom. The device's name goes (GDPR Art. 17(1), 5(2)).
    """

    name = "gateway"
    stores = (*(f"registry.{table}" for table in _OWN), "registry.access_audit", "redis:gateway:device")

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self, scope: Scope) -> Counts:
        """Rows and keys of the devices."""
        devices = list(scope.whole_devices)
        with registry(self._settings) as connection:
            found = {f"registry.{table}": _counted(connection, table, _where(table), devices) for table in _OWN}
            found["registry.access_audit"] = _counted(connection, "access_audit", _NAMED, devices)
        return {**found, "redis:gateway:device": self._in_redis(devices)}

    def search(self, scope: Scope) -> Counts:
        """The same: none of it is packed or hashed without a key."""
        return self.count(scope)

    def erase(self, scope: Scope) -> Counts:
        """Delete what lets them in; the gateway's processes end their sessions."""
        found, devices = self.count(scope), list(scope.whole_devices)
        if not devices:
            return found
        with registry(self._settings) as connection:
            connection.execute("set local fleetlake.erasing = 'yes'")
            for table in _OWN:
                # Names are constants of this module.
                query = f"delete from registry.{table} where {_where(table)}"  # noqa: S608
                connection.execute(query.encode(), {"devices": devices})
            query = f"update registry.access_audit set device_id = null, detail = '' where {_NAMED}"  # noqa: S608
            connection.execute(query.encode(), {"devices": devices})
            connection.execute("update registry.device set access = 'revoked' where device_id = any(%s)", [devices])
        tell(self._settings.redis_url.get_secret_value(), self._settings.region, devices)
        self._rewrite()
        return found

    def plant(self, scope: Scope) -> Sequence[str]:
        """A refusal of a device that the registry does not have, and what the gateway would remember of it."""
        import redis

        with registry(self._settings) as connection:
            connection.execute(_REFUSED, [scope.devices[0]])
        with redis.Redis.from_url(self._settings.redis_url.get_secret_value()) as client:
            client.set(redis_access_device(self._settings.region, scope.devices[0]), b"", ex=_PLANTED_S)
        return "registry.last_refusal", "redis:gateway:device"

    def expires(self, now: datetime) -> list[Remains]:
        """What processes of the gateway remember."""
        until = now + timedelta(hours=self._settings.gateway.identity_stale_h)
        return [
            Remains("what the gateway's processes remember", until, "in memory, for FLEETLAKE_GATEWAY_IDENTITY_STALE_H")
        ]

    def _in_redis(self, devices: Sequence[str]) -> int:
        import redis

        with redis.Redis.from_url(self._settings.redis_url.get_secret_value()) as client:
            keys = [redis_access_device(self._settings.region, device) for device in devices]
            return int(client.exists(*keys)) if keys else 0

    def _rewrite(self) -> None:
        """Postgres keeps bytes of deleted rows until their table is written anew."""
        with registry(self._settings) as connection:
            connection.autocommit = True
            for table in (*_OWN, "access_audit"):
                connection.execute(f"vacuum (full, analyze) registry.{table}".encode())


def _where(table: str) -> str:
    also = " or concentrator = any(%(devices)s)" if table == "speaks_for" else ""
    return f"device_id = any(%(devices)s){also}"


def _counted(connection: "psycopg.Connection[Any]", table: str, where: str, devices: list[str]) -> int:
    query = f"select count(*) from registry.{table} where {where}"  # noqa: S608 - constants of this module
    row = connection.execute(query.encode(), {"devices": devices}).fetchone()
    return int(row[0]) if row else 0
