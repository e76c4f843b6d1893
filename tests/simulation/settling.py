"""Whether a healed cluster has done all that it has to do."""

from contracts.ledger import LeaseRow
from tests.simulation.promises import leftovers, stale_devices
from tests.simulation.world import World


def left(world: World) -> str:
    """What is still to be done; empty where nothing is."""
    if shards := _shards_left(world) or _readers_left(world):
        return shards
    if world.live._epoch is None:
        return "live state has no epoch"
    if stale := stale_devices(world):
        return f"live state of {stale}"
    return "writes under way" if world.weather.under_way else ", ".join(sorted(leftovers(world)))


def _shards_left(world: World) -> str:
    """Which shard is not where it should be: read to its end, and ended or in living hands."""
    rows = world.plain._rows
    for shard_id, closed in world.stream.shards():
        row = rows.get(shard_id)
        if row is None or row.ended != closed:
            return f"{shard_id} {'has no row' if row is None else 'is not ended' if closed else 'is ended'}"
        if not closed and int(row.position or 0) < world.stream.last(shard_id):
            return f"{shard_id} is at {row.position}"
        if not closed and row.position and _trimmed_unnoticed(world, row):
            return f"{shard_id} has lost records and does not say so"
    living = {life.machine.name for life in world.running}
    for row in rows.values():
        if not row.ended and not (row.owner in living and world.stream.has(row.shard_id)):
            return f"{row.shard_id} is not ended and has no living owner"
    return ""


def _readers_left(world: World) -> str:
    """Which worker reads what is another's, or has not delivered all that it has read."""
    rows = world.plain._rows
    for life in world.running:
        for shard in life.worker._holdings:
            row = rows.get(shard.shard_id)
            if row is None or row.owner != life.machine.name:
                return f"{life.machine.name} still reads {shard.shard_id}"
            if not shard.idle:
                return f"{life.machine.name} has not done all of {shard.shard_id}"
    return ""


def _trimmed_unnoticed(world: World, row: LeaseRow) -> bool:
    """Whether records beyond the shard's position are gone while neither row nor ledger tells of a loss."""
    put = world.stream.put_ms.get(row.shard_id, [])
    entries = [entry for (shard_id, _), entry in world.plain._entries.items() if shard_id == row.shard_id]
    told = row.lost or any(entry.lost for entry in entries)
    return bool(put) and int(row.position) < put[-1][0] and not told
