"""The devices whose processing is restricted, as a consumer follows them: they are landed, and kept out of live state.

GDPR Art. 18(2): stored, and not otherwise processed. The list is read from the registry every few seconds; a device
that comes onto it is forgotten. A consumer that starts while Postgres is away writes live state of all devices until it
has read the list, for the stream does not wait.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
import psycopg
import structlog

from contracts.errors import SinkUnavailable
from contracts.settings import RegionSettings
from ingest.live.protocol import LiveState
from ingest.runtime.offload import aside
from ingest.suppression import EVER, Spans

EVERY_S = 5.0
_WITHIN_S = 10.0
_READ = "select device_id from registry.restriction"
_log = structlog.get_logger()


class FollowedRestriction:
    """A Suppression of live state alone, that `follow` keeps up to date. Its version counts the changes seen here."""

    def __init__(self, settings: RegionSettings) -> None:
        self._dsn = settings.postgres_dsn.get_secret_value()
        self._devices: frozenset[str] = frozenset()
        self.version = 0

    @property
    def empty(self) -> bool:
        """Whether no device is restricted, as far as is known."""
        return not self._devices

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """See Suppression."""
        return np.fromiter((one in self._devices for one in device_ids), bool, len(device_ids))

    def spans(self, device_id: str) -> Spans:
        """See Suppression."""
        return (EVER,) if device_id in self._devices else ()

    async def read(self) -> frozenset[str]:
        """Read the list; the devices that came onto it. What was known holds on while Postgres is away."""
        try:
            now = await aside(partial(_restricted, self._dsn), within_s=_WITHIN_S)
        except (psycopg.Error, TimeoutError) as error:
            _log.warning("restriction.not_read", error=type(error).__name__)
            return frozenset()
        fresh = now - self._devices
        if now != self._devices:
            self._devices, self.version = now, self.version + 1
            _log.info("restriction.applied", devices=len(now))
        return fresh

    async def follow(self, live: LiveState) -> None:
        """Read it again and again, until cancelled, and have live state forget who came onto it."""
        waiting: frozenset[str] = frozenset()
        while True:
            waiting |= await self.read()
            if waiting:
                try:
                    await live.forget(sorted(waiting))
                    waiting = frozenset()
                except SinkUnavailable as error:
                    _log.warning("restriction.not_forgotten", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)


def _restricted(dsn: str) -> frozenset[str]:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        return frozenset(device for (device,) in connection.execute(_READ).fetchall())
