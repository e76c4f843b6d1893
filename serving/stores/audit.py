"""Who read which device's past. The row is written before the past is read: without it there is no answer."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from serving.access.caller import Caller
from serving.stores.postgres import Postgres, Row

_PUT = """
insert into privacy.past_read (subject, token_id, role, device_hmac, what, from_ts, to_ts)
values (%s, %s, %s, %s, %s, %s, %s)
"""
_PUT_ALL = """
insert into privacy.past_read (subject, token_id, role, device_hmac, what)
select %s, %s, %s, device, %s from unnest(%s::bytea[]) device
"""
_LIST = """
select id, read_at, subject, token_id, role, what, from_ts, to_ts from privacy.past_read
where device_hmac = %s and id < %s order by id desc limit %s
"""


class Audit:
    """The region's own record of readings; a device stands there as its HMAC."""

    def __init__(self, postgres: Postgres, key: bytes) -> None:
        self._postgres, self._key = postgres, key

    async def note(
        self, caller: Caller, device_id: str, what: str, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Write that the caller reads it. Raises StoreAway."""
        values = (caller.subject, caller.token_id, caller.role.value, self._hashed(device_id), what, start, end)
        await self._postgres.do(_PUT, values)

    async def note_all(self, caller: Caller, devices: Sequence[str], what: str) -> None:
        """Write that the caller reads it of each of these devices. Raises StoreAway."""
        hashed = [self._hashed(device) for device in devices]
        await self._postgres.do(_PUT_ALL, (caller.subject, caller.token_id, caller.role.value, what, hashed))

    async def readings(self, device_id: str, before: int, limit: int) -> list[Row]:
        """Readings of a device's past, the newest first."""
        return await self._postgres.rows(_LIST, (self._hashed(device_id), before, limit))

    def _hashed(self, device_id: str) -> bytes:
        return hmac.digest(self._key, device_id.encode(), sha256)
