"""A consumer goes on where maintenance has removed the ledger's beginning: positions, rebuild, sweep, resharding."""

import asyncio

from contracts.names import padded_sequence
from ingest.leases.memory import MemoryLeases
from ingest.live import MemoryLive
from tests.builders.consumer import World, broken_chains, fill
from tests.builders.virtual_time import run_virtually

_DAY_S = 86_400


def _remove_beginning(world: World) -> set[str]:
    """The first entry of each shard goes with its objects, as lake.maintain.prune does it; the objects' keys."""
    leases, removed = world.leases, set[str]()
    assert isinstance(leases, MemoryLeases)
    for shard_id in {shard for shard, _ in leases._entries}:
        entry = leases._entries.pop(min(key for key in leases._entries if key[0] == shard_id))
        assert padded_sequence(entry.last_seq) != padded_sequence(leases._rows[shard_id].position)
        removed |= {made.key for made in entry.objects}
    for key in removed:
        del world.store.objects[key]
    return removed


def test_nothing_of_what_is_left_or_comes_is_lost_and_live_state_is_rebuilt_from_it() -> None:
    async def story() -> None:
        world = World(shards=2, live=MemoryLive(), retention_ms=100 * _DAY_S * 1000)
        fill(world.stream, 60, devices=10)
        await world.read_all("first")
        await asyncio.sleep(40 * _DAY_S)
        kept = fill(world.stream, 60, first=60, devices=10)
        await world.read_all("second")
        assert _remove_beginning(world)
        world.live = live = MemoryLive()
        world.stream.split(world.stream.open_shards()[0])
        kept |= fill(world.stream, 60, first=120, devices=10)

        report = await world.read_all("third", sweep_every_s=1.0, sweep_all_every_s=1.0)

        assert not report.live_missing
        assert await live.epoch() is not None
        assert sorted(await world.landed_ids()) == sorted(kept)
        newest = [await live.latest(f"d{device}") for device in range(10)]
        assert all(value is not None and b'"event_id":"17%d"' % device in value for device, value in enumerate(newest))
        listed = {made.key for entry in await world.entries() for made in entry.objects}
        assert set(world.store.objects) == listed
        breaks = broken_chains(await world.leases.rows(), await world.entries())
        assert len(breaks) == 2, "each of both shards begins after its removed entry, and at no other place"
        assert all(" follows " in fault and fault.endswith("follows ") for fault in breaks)

    run_virtually(story())
