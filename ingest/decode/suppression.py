"""The suppression list: devices whose records are no longer accepted, stored as keyed hashes of their ids."""

import hmac
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Protocol

import numpy as np


class Suppression(Protocol):
    """The suppression list that a decoder applies.

    Promises
    - `version` grows whenever a device is added, and `matches` answers for at least that version.
    - `matches` returns one boolean per device id, in their order.
    """

    @property
    def version(self) -> int: ...

    def matches(self, device_ids: Sequence[str]) -> np.ndarray: ...


class NoSuppression:
    """An empty list."""

    version = 0

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """None of them."""
        return np.zeros(len(device_ids), bool)


class HashedSuppression:
    """A list of HMAC-SHA256 of device ids under the region's key.

    Results are cached for `remembered` devices, so that a device costs one hash, not one per batch.
    """

    def __init__(self, key: bytes, hashes: Collection[bytes], version: int, remembered: int = 200_000) -> None:
        self._key = key
        self._hashes = frozenset(hashes)
        self._answers: dict[str, bool] = {}
        self._remembered = remembered
        self.version = version

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """Which of these devices are on the list."""
        return np.fromiter(map(self._is_on, device_ids), bool, len(device_ids))

    def _is_on(self, device_id: str) -> bool:
        answer = self._answers.get(device_id)
        if answer is None:
            if len(self._answers) >= self._remembered:
                self._answers.clear()
            answer = hashed_device(self._key, device_id) in self._hashes
            self._answers[device_id] = answer
        return answer


def hashed_device(key: bytes, device_id: str) -> bytes:
    """The keyed hash that stands for a device on the suppression list."""
    return hmac.digest(key, device_id.encode(), sha256)
