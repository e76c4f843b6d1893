"""Per-shard high-water mark in live state, and the gap above it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.batch import ShardId


@dataclass(slots=True)
class _ShardProgress:
    written: str
    """The high-water mark: live state has every record up to here."""
    gap_to: str | None = None
    """Records between `written` and here are missing; None where there is no gap."""
    beyond_gap: str = ""
    """Live state has every record between the gap and here."""


class LiveProgress:
    """The sequence number of each shard up to which live state has every record, and the gap above it.

    Promise: `written` stays below a gap until `filled` closes it; then it moves to the last record written above.
    """

    def __init__(self) -> None:
        self._shards: dict[ShardId, _ShardProgress] = {}
        self._gap_opened = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether no shard has a gap."""
        return all(shard.gap_to is None for shard in self._shards.values())

    def begin(self, shard_id: ShardId, written: str, gap_to: str | None) -> None:
        """Add a shard. gap_to: live state may lack records up to here, including records of the shard's ancestors."""
        self._shards[shard_id] = _ShardProgress(written, gap_to)

    def end(self, shard_id: ShardId) -> None:
        """Forget a shard."""
        self._shards.pop(shard_id, None)

    def written(self, shard_id: ShardId) -> str:
        """The shard's high-water mark; empty for an unknown shard."""
        shard = self._shards.get(shard_id)
        return "" if shard is None else shard.written

    def has_gap(self, shard_id: ShardId) -> bool:
        """Whether live state lacks records that were read."""
        shard = self._shards.get(shard_id)
        return shard is not None and shard.gap_to is not None

    async def gap_opened(self, shard_id: ShardId) -> None:
        """Wait until the shard has a gap."""
        while not self.has_gap(shard_id):
            self._gap_opened.clear()
            await self._gap_opened.wait()

    def wrote(self, marks: Mapping[ShardId, str]) -> None:
        """Live state took what these shards offered up to these sequence numbers, except what was dropped."""
        for shard_id, seq in marks.items():
            if (shard := self._shards.get(shard_id)) is not None:
                shard.beyond_gap = _later(shard.beyond_gap, seq)
                self._raise_mark(shard)

    def dropped(self, marks: Mapping[ShardId, str]) -> None:
        """Some records that these shards offered, up to these sequence numbers, were dropped: a gap opens."""
        for shard_id, seq in marks.items():
            if (shard := self._shards.get(shard_id)) is not None:
                shard.gap_to = _later(shard.gap_to or "", seq)
        self._gap_opened.set()

    def filled(self, shard_id: ShardId, seq: str) -> None:
        """Live state has every record of the shard and its ancestors up to here; a gap that ends by here closes."""
        if (shard := self._shards.get(shard_id)) is not None:
            shard.written = _later(shard.written, seq)
            if shard.gap_to is not None and _number(shard.written) >= _number(shard.gap_to):
                shard.gap_to = None
            self._raise_mark(shard)

    @staticmethod
    def _raise_mark(shard: _ShardProgress) -> None:
        if shard.gap_to is None:
            shard.written = _later(shard.written, shard.beyond_gap)


def _later(one: str, other: str) -> str:
    return max(one, other, key=_number)


def _number(seq: str) -> int:
    return int(seq or 0)
