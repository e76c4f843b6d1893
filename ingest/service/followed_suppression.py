"""The region's suppression list as a consumer follows it: read from privacy_R at its start and every few seconds.

A copy on this machine's disk, of hashes alone, lets a consumer start while Postgres is away. A list older than one that
was acknowledged is never applied: the consumer waits.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import psycopg
import structlog

from contracts.errors import SinkUnavailable
from contracts.pseudonyms import SUPPRESSION, key_for
from contracts.settings import RegionSettings
from ingest.leases.protocol import Leases
from ingest.runtime.offload import aside
from ingest.suppression import EVER, HashedSuppression, Spans

EVERY_S = 5.0
_WITHIN_S = 10.0
_AGAIN_S = 1.0
_READ = "select device_hmac, from_ts, to_ts from privacy.suppression where lifted_at is null"
_VERSION = "select coalesce(max(version), 0) from privacy.suppression"
_log = structlog.get_logger()


class KeptList(msgspec.Struct, frozen=True):
    """A version of the list. Of each entry: the hash, and when in epoch milliseconds; None is open."""

    version: int
    entries: list[tuple[bytes, int | None, int | None]]


class FollowedSuppression:
    """A Suppression that `follow` keeps up to date; a change takes effect with the next batch."""

    def __init__(self, settings: RegionSettings) -> None:
        self._dsn = settings.privacy_dsn.get_secret_value()
        self._key = key_for(settings.release_key, SUPPRESSION)
        self._path = settings.state / f"suppression-{settings.region}.msgpack"
        self._now = HashedSuppression(self._key, (), 0)

    @property
    def version(self) -> int:
        """Version of the list that is applied."""
        return self._now.version

    @property
    def empty(self) -> bool:
        """Whether nobody is on it."""
        return self._now.empty

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """See Suppression."""
        return self._now.matches(device_ids)

    def spans(self, device_id: str) -> Spans:
        """See Suppression."""
        return self._now.spans(device_id)

    async def begin(self, leases: Leases) -> None:
        """Read the list, as Postgres has it or the copy. Waits while neither has the version that leases acknowledge.

        Where Postgres is away and no lease acknowledges any, nothing was erased whose records could come back.
        """
        while not await self._read_again():
            self._take(_copy(self._path))
            with suppress(SinkUnavailable):
                acknowledged = max((row.suppression_version for row in await leases.rows()), default=0)
                if self.version >= acknowledged:
                    break
                _log.warning("suppression.awaited", version=self.version, acknowledged=acknowledged)
            await asyncio.sleep(_AGAIN_S)
        else:
            return
        _log.warning("suppression.copied", version=self.version, why="Postgres does not answer")

    async def follow(self) -> None:
        """Read the list again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self._read_again()

    async def _read_again(self) -> bool:
        try:
            read = await aside(partial(_read, self._dsn, self.version), within_s=_WITHIN_S)
        except (psycopg.Error, TimeoutError) as error:
            _log.warning("suppression.not_read", error=type(error).__name__)
            return False
        if read is not None:
            self._take(read)
            _keep(self._path, read)
        return True

    def _take(self, read: KeptList) -> None:
        if read.version <= self.version:
            return
        whole = {device for device, start, end in read.entries if start is None and end is None}
        parts: dict[bytes, Spans] = {}
        for device, start, end in read.entries:
            span = (EVER[0] if start is None else start, EVER[1] if end is None else end)
            parts[device] = (*parts.get(device, ()), span)
        self._now = HashedSuppression(self._key, whole, read.version, ranges=parts)
        _log.info("suppression.applied", version=read.version, entries=len(read.entries))


def _read(dsn: str, known: int) -> KeptList | None:
    """The list, where it is another one than that of version `known`."""
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        (version,) = connection.execute(_VERSION).fetchone() or (0,)
        if version == known:
            return None
        rows: Iterable[tuple[bytes, object, object]] = connection.execute(_READ).fetchall()
        return KeptList(version, [(bytes(device), _ms(start), _ms(end)) for device, start, end in rows])


def _ms(moment: object) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)  # type: ignore[attr-defined]


def _copy(path: Path) -> KeptList:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=KeptList)
    except (OSError, msgspec.MsgspecError):
        return KeptList(0, [])


def _keep(path: Path, read: KeptList) -> None:
    """Without a copy the consumer starts only while Postgres answers."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.msgpack.encode(read))
        fresh.chmod(0o600)
        fresh.replace(path)
    except OSError as error:
        _log.warning("suppression.not_kept", error=type(error).__name__)
