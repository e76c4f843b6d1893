"""The suppression list: devices whose records are no longer accepted, stored as keyed hashes of their ids."""

import hmac
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Protocol

import numpy as np
import pyarrow as pa

Spans = tuple[tuple[int, int], ...]
"""Ranges [start, end) of event time in epoch milliseconds."""
EVER: tuple[int, int] = (-(2**63), 2**63 - 1)


class Suppression(Protocol):
    """The suppression list that a decoder applies.

    Promises
    - `version` grows whenever the list changes, and `matches` answers for at least that version.
    - `matches` returns one boolean per device id, in their order: whether the device is on the list at all.
    - `spans` says when; a device that is on the list whenever it was has EVER alone.
    """

    @property
    def version(self) -> int: ...

    @property
    def empty(self) -> bool: ...

    def matches(self, device_ids: Sequence[str]) -> np.ndarray: ...

    def spans(self, device_id: str) -> Spans: ...


class NoSuppression:
    """An empty list."""

    version = 0
    empty = True

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """None of them."""
        return np.zeros(len(device_ids), bool)

    def spans(self, device_id: str) -> Spans:
        """Never."""
        return ()


class Either:
    """What is on one list or on the other."""

    def __init__(self, one: Suppression, other: Suppression) -> None:
        self._one, self._other = one, other

    @property
    def version(self) -> int:
        """Grows with either."""
        return self._one.version + self._other.version

    @property
    def empty(self) -> bool:
        """Whether nobody is on either."""
        return self._one.empty and self._other.empty

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """Which of these devices are on one of them."""
        found: np.ndarray = self._one.matches(device_ids) | self._other.matches(device_ids)
        return found

    def spans(self, device_id: str) -> Spans:
        """When records of the device are left out by one of them."""
        spans = (*self._one.spans(device_id), *self._other.spans(device_id))
        return (EVER,) if EVER in spans else spans


class HashedSuppression:
    """A list of HMAC-SHA256 of device ids under the region's key.

    hashes: of devices whose records are left out whenever they were made; ranges: of those of which only some are.
    Results are cached for `remembered` devices, so that a device costs one hash, not one per batch.
    """

    def __init__(
        self,
        key: bytes,
        hashes: Collection[bytes],
        version: int,
        remembered: int = 200_000,
        ranges: Mapping[bytes, Spans] | None = None,
    ) -> None:
        self._key = key
        self._listed: dict[bytes, Spans] = {**(ranges or {}), **dict.fromkeys(hashes, (EVER,))}
        self._answers: dict[str, Spans] = {}
        self._remembered = remembered
        self.version = version

    @property
    def empty(self) -> bool:
        """Whether nobody is on the list."""
        return not self._listed

    def matches(self, device_ids: Sequence[str]) -> np.ndarray:
        """Which of these devices are on the list."""
        if not self._listed:
            return np.zeros(len(device_ids), bool)
        return np.fromiter((bool(spans) for spans in map(self.spans, device_ids)), bool, len(device_ids))

    def spans(self, device_id: str) -> Spans:
        """When records of the device are left out."""
        answer = self._answers.get(device_id)
        if answer is None:
            if len(self._answers) >= self._remembered:
                self._answers.clear()
            answer = self._listed.get(hashed_device(self._key, device_id), ())
            self._answers[device_id] = answer
        return answer


def hashed_device(key: bytes, device_id: str) -> bytes:
    """The keyed hash that stands for a device on the suppression list."""
    return hmac.digest(key, device_id.encode(), sha256)


def kept(suppression: Suppression, device_ids: pa.Array, ts_ms: np.ndarray) -> np.ndarray:
    """Which of these rows are accepted. A device is looked up once, however many rows it has."""
    if suppression.empty:
        return np.ones(len(device_ids), bool)
    coded = device_ids.dictionary_encode()
    names, places = coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
    listed = suppression.matches(names)
    accepted: np.ndarray = ~listed[places]
    for number in np.flatnonzero(listed).tolist():
        spans = suppression.spans(names[number])
        if spans == (EVER,):
            continue
        own = np.flatnonzero(places == number)
        times = ts_ms[own]
        accepted[own] = ~np.logical_or.reduce([(times >= start) & (times < end) for start, end in spans])
    return accepted


def accepted_rows(suppression: Suppression, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of contracts.record.LANDING_SCHEMA without those that are on the list."""
    if suppression.empty or not rows.num_rows:
        return rows
    ts_ms = rows.column("ts").view(pa.int64()).to_numpy() // 1000
    mask = kept(suppression, rows.column("device_id"), ts_ms)
    return rows if mask.all() else rows.filter(pa.array(mask))
