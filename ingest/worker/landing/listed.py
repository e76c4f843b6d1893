"""Which objects the ledger lists, asked in pages and remembered: an entry never changes, so what is listed stays so."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from ingest.batch import ShardId
from ingest.leases.protocol import Ledger

MOST_REMEMBERED = 8_000_000
"""Objects, at 8 bytes each; of what is beyond, the ledger is asked again."""
_MOST_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class FlushObject:
    """An object of a flush, by its key."""

    key: str
    shard_id: ShardId
    last_seq: str
    fence: int


class ListedObjects:
    """Objects that were found listed, from one sweep over the bucket to the next.

    Promises
    - What is remembered of an object is 8 bytes, a hash. Where two keys have one hash, an object that is not listed may
      be kept; none that is listed is ever removed.
    - An object that a whole sweep did not meet exists no more, and is forgotten.
    """

    def __init__(self) -> None:
        self._known = np.empty(0, np.uint64)
        self._met: list[np.ndarray] = []

    def begin(self) -> None:
        """A sweep begins. What an earlier one proved and did not finish counts as well."""
        self._known, self._met = _sorted([self._known, *self._met]), []

    def finish(self) -> None:
        """The sweep has met every object."""
        self._known, self._met = _sorted(self._met), []

    def unknown(self, objects: Sequence[FlushObject]) -> list[FlushObject]:
        """Those of these objects that were not found listed before."""
        hashes = _hashes(objects)
        places = np.searchsorted(self._known, hashes)
        known = places < len(self._known)
        known[known] = self._known[places[known]] == hashes[known]
        self._met.append(hashes[known])
        return [each for each, is_known in zip(objects, known.tolist(), strict=True) if not is_known]

    def add(self, objects: Sequence[FlushObject]) -> None:
        """These objects are listed."""
        if sum(map(len, self._met)) + len(objects) <= MOST_REMEMBERED:
            self._met.append(_hashes(objects))


async def unlisted(ledger: Ledger, objects: Sequence[FlushObject]) -> list[FlushObject]:
    """Those of these objects that no entry of the ledger lists, as of now."""
    by_shard: dict[ShardId, list[FlushObject]] = {}
    for each in objects:
        by_shard.setdefault(each.shard_id, []).append(each)
    found: list[FlushObject] = []
    for shard_id, own in by_shard.items():
        listed = await _listed_keys(ledger, shard_id, sorted({int(each.last_seq) for each in own}))
        found += [each for each in own if each.key not in listed]
    return found


async def _listed_keys(ledger: Ledger, shard_id: ShardId, ends: Sequence[int]) -> set[str]:
    """The keys listed by the entries that end at these sequence numbers, which ascend.

    Entries side by side come in one page; where most of a page was not asked for, the next one is smaller.
    """
    keys, done, most = set[str](), 0, _MOST_A_PAGE
    while done < len(ends):
        page = await ledger.entries(shard_id, str(ends[done] - 1), most=min(most, len(ends) - done))
        if not page:
            break
        keys.update(landed.key for entry in page for landed in entry.objects)
        before, done = done, bisect_right(ends, int(page[-1].last_seq))
        most = min(_MOST_A_PAGE, 2 * (done - before))
    return keys


def _hashes(objects: Sequence[FlushObject]) -> np.ndarray:
    digests = b"".join(blake2b(each.key.encode(), digest_size=8).digest() for each in objects)
    return np.frombuffer(digests, np.uint64)


def _sorted(parts: Sequence[np.ndarray]) -> np.ndarray:
    joined: np.ndarray = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))
    return joined
