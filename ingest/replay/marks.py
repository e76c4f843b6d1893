"""Marks of rejected records that were put back: small objects beside rejected/, never rewritten."""

from collections.abc import Sequence
from uuid import uuid4

import msgspec

from contracts.names import replayed_prefix
from ingest.landing import ObjectStore


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected record that was put back, and its new position on the stream. It names no device."""

    sequence_number: str
    sub_sequence: int
    replayed_at_ms: int
    put_shard_id: str
    put_sequence_number: str


class Marks:
    """The marks of one region's rejected objects.

    Promises
    - After `add` has returned, every later `of` finds its marks; nothing removes them.
    - Two replays may mark the same record.
    Raises SinkUnavailable.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def of(self, rejected_key: str) -> list[Mark]:
        """The marks of an object's records."""
        found: list[Mark] = []
        async for key in self._store.list(replayed_prefix(rejected_key)):
            found += msgspec.json.decode(await self._store.get(key), type=list[Mark])
        return found

    async def add(self, rejected_key: str, marks: Sequence[Mark]) -> None:
        """Store these marks."""
        if marks:
            await self._store.put_new(f"{replayed_prefix(rejected_key)}{uuid4().hex}.json", msgspec.json.encode(marks))
