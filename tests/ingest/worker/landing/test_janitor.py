"""The sweep over all objects asks the ledger little, and once: what was found listed stays listed."""

from typing import Any

from contracts.ledger import LandedObject, LeaseRow, LedgerEntry, hour_of
from contracts.names import landing_key, padded_sequence
from ingest.landing import MemoryStore
from ingest.leases.memory import MemoryLeases
from ingest.worker.landing import listed
from ingest.worker.landing.janitor import Janitor
from ingest.worker.landing.listed import FlushObject, unlisted
from tests.builders.virtual_time import VirtualClock, run_virtually, true_ms

SHARD = "shardId-000000000000"


class Counting(MemoryLeases):
    """Counts the requests for entries, and the entries that they read."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.read = 0

    async def entries(self, *args: Any, **more: Any) -> list[LedgerEntry]:
        found = await super().entries(*args, **more)
        self.requests, self.read = self.requests + 1, self.read + len(found)
        return found

    def land(self, store: MemoryStore, number: int, *, fence: int = 1, list_it: bool = True) -> str:
        """An object of a flush that ends at this sequence number."""
        key = landing_key(hour_of(true_ms()), SHARD, str(number), str(number), fence)
        store.objects[key] = b""
        if list_it:
            landed = LandedObject(key=key, kind="landed", hour_ms=0, rows=1, bytes=1, sha256="")
            self._entries[(SHARD, padded_sequence(str(number)))] = _entry(number, [landed])
        return key


def _entry(number: int, objects: list[LandedObject]) -> LedgerEntry:
    return LedgerEntry(
        shard_id=SHARD,
        after_seq=str(number - 1),
        last_seq=str(number),
        fence=1,
        worker="x",
        committed_ms=0,
        kinesis_records=1,
        user_records=1,
        landed=1,
        rejected={},
        suppressed=0,
        watermark_ms=0,
        objects=objects,
    )


def _world() -> tuple[Counting, MemoryStore, Janitor]:
    leases, store = Counting(), MemoryStore()
    leases._rows[SHARD] = LeaseRow(shard_id=SHARD, owner="w", fence=2, position="9" * 20)
    return leases, store, Janitor(store, leases, VirtualClock())


def test_what_a_sweep_found_listed_is_not_asked_for_again() -> None:
    async def story() -> None:
        leases, store, janitor = _world()
        for number in range(1, 2_001):
            leases.land(store, number)
        left = leases.land(store, 5_000, list_it=False)
        assert await janitor.sweep_all([SHARD]) == 1
        assert (left in store.objects, len(store.objects)) == (False, 2_000)
        assert leases.requests <= 15
        leases.requests = 0
        later = leases.land(store, 6_000)
        left = leases.land(store, 1_000, fence=0, list_it=False)
        assert await janitor.sweep_all([SHARD]) == 1
        assert (later in store.objects, left in store.objects) == (True, False)
        assert leases.requests == 2, "about the two new ones"
        leases.requests = 0
        assert await janitor.sweep_all([SHARD]) == 0
        assert leases.requests == 0

    run_virtually(story())


def test_an_object_that_is_gone_is_forgotten() -> None:
    async def story() -> None:
        leases, store, janitor = _world()
        for number in range(1, 101):
            leases.land(store, number)
        await janitor.sweep_all([SHARD])
        assert len(janitor._listed._known) == 100
        for key in list(store.objects)[:60]:
            del store.objects[key]
        await janitor.sweep_all([SHARD])
        assert len(janitor._listed._known) == 40

    run_virtually(story())


def test_no_more_is_remembered_than_the_bound(monkeypatch: Any) -> None:
    monkeypatch.setattr(listed, "MOST_REMEMBERED", 50)

    async def story() -> None:
        leases, store, janitor = _world()
        for number in range(1, 31):
            leases.land(store, number)
        await janitor.sweep_all([SHARD])
        for number in range(31, 101):
            leases.land(store, number)
        assert await janitor.sweep_all([SHARD]) == 0
        assert len(janitor._listed._known) <= 50
        assert len(store.objects) == 100

    run_virtually(story())


def test_objects_far_apart_do_not_read_all_that_is_between() -> None:
    async def story() -> None:
        leases, store, _ = _world()
        keys = [leases.land(store, number) for number in range(1, 20_001)]
        sparse = [FlushObject(keys[number - 1], SHARD, str(number), 1) for number in range(1_000, 20_001, 1_000)]
        assert await unlisted(leases, sparse) == []
        assert leases.read < 200

    run_virtually(story())
