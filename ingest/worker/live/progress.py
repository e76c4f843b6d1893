"""How far each shard has reached live state, and what it lacks on the way."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.batch import ShardId


@dataclass(slots=True)
class _Way:
    written: str
    lacks_to: str | None = None
    """Up to here something is missing after `written`; None where nothing is."""
    beyond: str = ""
    """Of what follows, everything up to here is in the store."""


class Reached:
    """Of each shard, the sequence number up to which live state has everything.

    Promise: `written` never passes what was missed, until `made_good` has; then it takes in what was written beyond.
    """

    def __init__(self) -> None:
        self._ways: dict[ShardId, _Way] = {}
        self._lacking = asyncio.Event()

    @property
    def whole(self) -> bool:
        """Whether no shard lacks anything."""
        return all(way.lacks_to is None for way in self._ways.values())

    def begin(self, shard_id: ShardId, written: str, lacks_to: str | None) -> None:
        """A shard comes. lacks_to: where live state may lack something before that, even before all of the shard."""
        self._ways[shard_id] = _Way(written, lacks_to)

    def end(self, shard_id: ShardId) -> None:
        """A shard goes."""
        self._ways.pop(shard_id, None)

    def written(self, shard_id: ShardId) -> str:
        """Up to here the store has everything."""
        way = self._ways.get(shard_id)
        return "" if way is None else way.written

    def lacks(self, shard_id: ShardId) -> bool:
        """Whether something is missing that was read."""
        way = self._ways.get(shard_id)
        return way is not None and way.lacks_to is not None

    async def lacking(self, shard_id: ShardId) -> None:
        """Come back once the shard lacks something."""
        while not self.lacks(shard_id):
            self._lacking.clear()
            await self._lacking.wait()

    def wrote(self, marks: Mapping[ShardId, str]) -> None:
        """The store took in what these shards offered up to there, but for what was missed."""
        for shard_id, seq in marks.items():
            if (way := self._ways.get(shard_id)) is not None:
                way.beyond = _later(way.beyond, seq)
                self._settle(way)

    def missed(self, marks: Mapping[ShardId, str]) -> None:
        """Something that these shards offered, up to there, was dropped."""
        for shard_id, seq in marks.items():
            if (way := self._ways.get(shard_id)) is not None:
                way.lacks_to = _later(way.lacks_to or "", seq)
        self._lacking.set()

    def made_good(self, shard_id: ShardId, seq: str) -> None:
        """The store has everything of the shard up to there after all, and of those that it came from."""
        if (way := self._ways.get(shard_id)) is not None:
            way.written = _later(way.written, seq)
            if way.lacks_to is not None and _number(way.written) >= _number(way.lacks_to):
                way.lacks_to = None
            self._settle(way)

    @staticmethod
    def _settle(way: _Way) -> None:
        if way.lacks_to is None:
            way.written = _later(way.written, way.beyond)


def _later(one: str, other: str) -> str:
    return max(one, other, key=_number)


def _number(seq: str) -> int:
    return int(seq or 0)
