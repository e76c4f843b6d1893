"""Keeps a worker's list of devices that are at home in another region as the registry has it."""

import asyncio
from functools import partial

import psycopg
import structlog

from contracts.settings import RegionSettings
from ingest.decode import AwayDevices
from ingest.runtime.offload import aside

READ_EVERY_S = 10.0
_log = structlog.get_logger()


def read_away(dsn: str) -> frozenset[bytes]:
    """The hashes of registry.away_device. Raises psycopg's errors, within three seconds."""
    with psycopg.connect(dsn, connect_timeout=3) as connection:
        connection.execute("set local statement_timeout = '3s'")
        return frozenset(bytes(one) for (one,) in connection.execute("select device_hmac from registry.away_device"))


async def take_in(settings: RegionSettings, away: AwayDevices) -> None:
    """Read the list once. Where Postgres does not answer, the list that there is stays, and a warning says so: records
    do not wait for the registry.
    """
    dsn = settings.postgres_dsn.get_secret_value()
    try:
        away.replace(await aside(partial(read_away, dsn), within_s=READ_EVERY_S))
    except (psycopg.Error, TimeoutError) as error:
        _log.warning("away.not_read", error=type(error).__name__)


async def follow(settings: RegionSettings, away: AwayDevices) -> None:
    """Read the list again and again."""
    while True:
        await asyncio.sleep(READ_EVERY_S)
        await take_in(settings, away)
