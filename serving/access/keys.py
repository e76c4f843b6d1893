"""The keys whose signatures are believed: a JSON Web Key Set from a file or from an OIDC provider."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from contracts.errors import BadSettings

_LEAST_PAUSE_S = 10.0
"""Between two readings for keys that are not known: a stream of made-up key names must not become one of requests."""
_MOST_BYTES = 1 << 20
_WITHIN_S = 5.0
_log = structlog.get_logger(__name__)


class Keys:
    """A key set that is read again when it is old, and when a token names a key that it lacks.

    Promise: while the provider is away, the keys that were read last are believed on.
    """

    def __init__(self, where: str, age_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._where, self._age_s, self._clock = where, age_s, clock
        self._keys: KeySet | None = None
        self._read_at_s = self._tried_at_s = float("-inf")
        self._reading = asyncio.Lock()

    async def open(self) -> None:
        """Read the set. Raises BadSettings where that fails: a service that believes nobody is of no use."""
        await self._read()
        if self._keys is None:
            raise BadSettings(f"FLEETLAKE_SERVING_JWKS: no key set can be read from {self._where!r}")

    async def get(self, key_id: str | None) -> KeySet:
        """The set, read again first where it is old or lacks that key."""
        old = self._clock() - self._read_at_s > self._age_s
        if old or not self._has(key_id):
            await self._read()
        return self._keys or KeySet([])

    def _has(self, key_id: str | None) -> bool:
        return self._keys is not None and (key_id is None or any(key.kid == key_id for key in self._keys.keys))

    async def _read(self) -> None:
        async with self._reading:
            if self._clock() - self._tried_at_s < _LEAST_PAUSE_S:
                return
            self._tried_at_s = self._clock()
            try:
                document = await self._document()
                self._keys = KeySet.import_key_set(_decoded(document))
                self._read_at_s = self._clock()
            except (OSError, ValueError, TypeError, KeyError, JoseError, aiohttp.ClientError, TimeoutError) as error:
                _log.warning("serving.keys_unread", where=self._where, error=type(error).__name__)

    async def _document(self) -> bytes:
        if not self._where.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(self._where).read_bytes)
        timeout = aiohttp.ClientTimeout(total=_WITHIN_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(self._where) as answer,
        ):
            answer.raise_for_status()
            return await answer.content.read(_MOST_BYTES)


def _decoded(document: bytes) -> Any:
    found = msgspec.json.decode(document, type=dict[str, list[dict[str, object]]], strict=False)
    # Only keys that sign: a set may have others, and a symmetric one in it must never verify.
    usable = [key for key in found["keys"] if key.get("kty") in ("EC", "OKP", "RSA") and key.get("use", "sig") == "sig"]
    return {"keys": [{name: value for name, value in key.items() if isinstance(value, str)} for key in usable]}
