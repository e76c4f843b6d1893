"""Whether a device was erased: one that is on the suppression list is not taken in at first contact."""

import asyncio

import psycopg

from contracts.errors import StoreUnavailable
from contracts.pseudonyms import SUPPRESSION, key_for, keyed_hash
from contracts.settings import RegionSettings

_WITHIN_S = 5.0
_QUERY = """
select exists (select from privacy.suppression where device_hmac = %s and lifted_at is null
    and from_ts is null and to_ts is null)
"""


class SuppressionList:
    """The region's list, asked anew each time: first contacts are few."""

    def __init__(self, settings: RegionSettings) -> None:
        self._dsn = settings.privacy_dsn.get_secret_value()
        self._key = key_for(settings.release_key, SUPPRESSION)

    async def has(self, device_id: str) -> bool:
        """Whether the device is on it, whenever its records are made. Raises StoreUnavailable within seconds."""
        try:
            async with asyncio.timeout(_WITHIN_S), await psycopg.AsyncConnection.connect(self._dsn) as connection:
                cursor = await connection.execute(_QUERY, [keyed_hash(self._key, device_id)])
                row = await cursor.fetchone()
        except (psycopg.Error, TimeoutError) as error:
            raise StoreUnavailable(f"Postgres does not answer the gateway ({type(error).__name__})") from None
        return bool(row and row[0])
