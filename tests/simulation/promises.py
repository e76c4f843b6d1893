"""What must hold once a history is over and everything has settled: a function a promise."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256

import pyarrow as pa

from contracts.kpl import deaggregate, is_aggregate
from contracts.ledger import LANDED, LandedObject, LedgerEntry
from contracts.record import RejectReason
from tests.builders.consumer import broken_chains
from tests.simulation.script import Scripted
from tests.simulation.world import World

_NUMBER = b'"event_id":"'
_NEAR = 1e-4


def broken_promises(world: World) -> list[str]:
    """All of them, those noted on the way first; empty where everything was kept."""
    entries = [world.plain._entries[key] for key in sorted(world.plain._entries)]
    return [
        *world.audit.broken,
        *_chain(world, entries),
        *_once(world, entries),
        *_counts(entries),
        *_no_leftovers(world, entries),
        *_live(world),
    ]


def _chain(world: World, entries: list[LedgerEntry]) -> list[str]:
    """R1: each entry follows its predecessor, the last is the lease's position, fences only grow."""
    rows = [world.plain._rows[name] for name in sorted(world.plain._rows)]
    return [f"chain: {fault}" for fault in broken_chains(rows, entries)]


def _once(world: World, entries: list[LedgerEntry]) -> Iterator[str]:
    """Every record put is landed or rejected exactly once, or trimmed in a shard whose ledger says lost."""
    found: Counter[int] = Counter()
    for entry in entries:
        for described in entry.objects:
            data = world.store.objects.get(described.key)
            if data is None or sha256(data).hexdigest() != described.sha256:
                yield f"{described.key} is listed but is not there as described"
                continue
            table = world.landed.table(data)
            if table.num_rows != described.rows:
                yield f"R2: {described.key} has {table.num_rows} rows, the ledger says {described.rows}"
            found.update(_numbers(described, table))
    lost = {entry.shard_id for entry in entries if entry.lost}
    lost |= {row.shard_id for row in world.plain._rows.values() if row.lost}
    trimmed, unseen = _trimmed(world), _trimmed_unseen(world)
    for number, sent in world.devices.sent.items():
        times = found.pop(number, 0)
        excused = number in unseen or (number in trimmed and sent.shard_id in lost)
        if times != 1 and not (times == 0 and excused):
            about = f"{sent.sequence_number} of {sent.shard_id}{', trimmed' if number in trimmed else ''}"
            yield f"record {number} ({about}) is in landing or rejected {times} times"
    if found:
        yield f"records that nobody put: {dict(found)}"


def _trimmed(world: World) -> set[int]:
    """Numbers of the records that the stream has no more."""
    sent = world.devices.sent.items()
    kept = {shard_id: world.stream.kept(shard_id) for shard_id in {record.shard_id for _, record in sent}}
    return {number for number, record in sent if record.sequence_number not in kept[record.shard_id]}


def _trimmed_unseen(world: World) -> set[int]:
    """Those that precede all that was ever committed of their shard: as if they had been trimmed before anyone came."""
    entries = world.plain._entries.values()
    begun = {entry.shard_id: int(entry.last_seq) for entry in entries if not entry.after_seq}
    sent = world.devices.sent
    return {
        number
        for number in _trimmed(world)
        if int(sent[number].sequence_number) < begun.get(sent[number].shard_id, 10**60)
    }


def _numbers(described: LandedObject, table: pa.Table) -> list[int]:
    values = table["event_id" if described.kind == LANDED else "data"].to_pylist()
    if described.kind == LANDED:
        return [int(value) for value in values]
    return [number for value in values for number in _numbers_in(value)]


def _numbers_in(data: bytes) -> list[int]:
    """Of a rejected record; one that broke the decoder is rejected as it was sent, whole aggregates too."""
    users = deaggregate(data) if is_aggregate(data) else [data]
    return [int(user.partition(_NUMBER)[2].partition(b'"')[0]) for user in users]


def _poisoned(world: World) -> set[str]:
    """Devices of which a record was rejected because decoding broke: an earlier reading may have shown it."""
    found = set()
    for entry in world.plain._entries.values():
        for described in entry.objects if RejectReason.POISON in entry.rejected else ():
            if described.kind != LANDED:
                numbers = _numbers(described, world.landed.table(world.store.objects[described.key]))
                found |= {world.devices.sent[number].device for number in numbers}
    return found


def _counts(entries: list[LedgerEntry]) -> Iterator[str]:
    """R2: user records are landed, rejected and suppressed; so are the rows of the objects."""
    for entry in entries:
        rows: dict[str, int] = defaultdict(int)
        for described in entry.objects:
            rows[described.kind] += described.rows
        landed = rows.pop(LANDED, 0)
        if landed != entry.landed or sum(rows.values()) != entry.rejected_total:
            yield f"R2: {entry.shard_id} {entry.last_seq}: rows of objects are not the entry's counts"
        if entry.user_records != entry.landed + entry.rejected_total + entry.suppressed:
            yield f"R2: {entry.shard_id} {entry.last_seq}: user records are not landed + rejected + suppressed"


def leftovers(world: World) -> set[str]:
    """Objects that no ledger entry lists, of shards that still have a row: the janitor judges no others."""
    listed = {described.key for entry in world.plain._entries.values() for described in entry.objects}
    rows = world.plain._rows
    return {key for key in world.store.objects if key not in listed and key.rsplit("/", 1)[1].rsplit("-", 3)[0] in rows}


def _no_leftovers(world: World, entries: list[LedgerEntry]) -> list[str]:
    """R3, after the janitor."""
    return [f"R3: {key} is no entry's object" for key in sorted(leftovers(world))]


def stale_devices(world: World) -> list[str]:
    """Devices whose live state is not their newest landed record. None is judged where the stream lost some, and no
    device of which it trimmed records before anything of their shard was committed: live state may have seen those."""
    if any(item.lost for item in (*world.plain._entries.values(), *world.plain._rows.values())):
        return []
    listed = defaultdict(int)
    for (shard_id, _), entry in world.plain._entries.items():
        listed[shard_id] = max(listed[shard_id], int(entry.last_seq))
    newest: dict[str, str] = {}
    for sent in world.devices.sent.values():
        if sent.order and int(sent.sequence_number) <= listed[sent.shard_id]:
            newest[sent.device] = max(sent.order, newest.get(sent.device, ""))
    unsure = {world.devices.sent[number].device for number in _trimmed_unseen(world)}
    unsure |= world.unsure | _poisoned(world)
    shown = world.live.orders
    devices = sorted((newest.keys() | shown.keys()) - unsure)
    return [device for device in devices if shown.get(device) != newest.get(device)]


def _live(world: World) -> Iterator[str]:
    """P2: live state is the greatest order key; and, where a real server holds it, what else belongs to that record."""
    shown = world.live.orders
    stale = stale_devices(world)
    for device in stale:
        yield f"live: {device} shows {shown.get(device)}, which is not its newest"
    if isinstance(world.live, Scripted):
        yield from _places(world, world.live, shown)


def _places(world: World, live: Scripted, shown: dict[str, str]) -> Iterator[str]:
    """The position is that of the newest record with one, of those up to the record that is shown."""
    if any(item.lost for item in (*world.plain._entries.values(), *world.plain._rows.values())):
        return
    unsure = {world.devices.sent[number].device for number in _trimmed(world)} | world.unsure | _poisoned(world)
    for device in sorted(shown.keys() - unsure):
        sent = [one for one in world.devices.sent.values() if one.device == device and one.order <= shown[device]]
        placed = max((one for one in sent if one.place), key=lambda one: one.order, default=None)
        position, newest = live.position(device), max(sent, key=lambda one: one.order)
        if placed is None:
            near = position is None
        else:
            near = position is not None and all(
                abs(one - other) < _NEAR for one, other in zip(position, placed.place or (), strict=True)
            )
        if not near:
            yield f"live: {device} is shown at {position}, not at {placed and placed.place}"
        if (live.seen_ms(device) or 0) < newest.arrival_ms:
            yield f"live: {device} was seen at {live.seen_ms(device)}, not at {newest.arrival_ms} or later"
