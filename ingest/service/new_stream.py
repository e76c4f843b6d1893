"""Starts a region anew on a stream that was made again under its name, with leases and ledger that go on."""

import asyncio

import structlog
from msgspec.structs import replace

from contracts.errors import Misuse
from contracts.ledger import LeaseRow, region_watermark_ms
from contracts.settings import RegionSettings
from ingest.kinesis import Shard, StreamClient
from ingest.leases.protocol import Leases
from ingest.runtime.metrics import Metrics
from ingest.service.one_worker import close, parts_of

_log = structlog.get_logger()


def start_anew(settings: RegionSettings) -> None:
    """Have the region's leases be of the stream that there is now. Raises Misuse where they are already."""

    async def do() -> None:
        parts = parts_of(settings, Metrics(settings.region))
        try:
            await move_leases(parts.stream, parts.leases)
        finally:
            await close(parts)

    asyncio.run(do())


async def move_leases(stream: StreamClient, leases: Leases) -> None:
    """Point the leases at the stream as it is now; ledger and landing stay as they are.

    Every row keeps its position, so that the ledger's chain goes on, and remembers it as the end of the earlier stream;
    its shard is read from the oldest record. Rows of shards that the new stream lacks end. May be repeated after a
    failure at any point: workers refuse the stream until the last step. Raises Misuse where a worker changed a row
    meanwhile.
    """
    found, listed = await stream.describe(), {shard.shard_id: shard for shard in await stream.list_shards()}
    rows = await leases.rows()
    before_ms = await leases.stream_created_ms(found.created_ms)
    if found.created_ms in (0, before_ms):
        raise Misuse("the leases are of this stream already: leave --new-stream out")
    reached_ms = max(region_watermark_ms(rows), found.created_ms)
    for row in rows:
        if not await leases.restart(row, _anew(row, listed.get(row.shard_id), reached_ms)):
            raise Misuse(f"a worker still has {row.shard_id}: stop all workers of the region, then try again")
        _log.warning("stream.left", shard=row.shard_id, position=row.position, landed_until_ms=row.watermark_ms)
    if not await leases.belong_to(found.created_ms, instead_of=before_ms):
        raise Misuse("someone else has just moved the leases: leave --new-stream out")


def _anew(row: LeaseRow, shard: Shard | None, reached_ms: int) -> LeaseRow:
    """The row for the shard of that name in the new stream. Nothing of it arrived before the stream was made."""
    return replace(
        row,
        owner=None,
        wanted_by=None,
        fence=row.fence + 1,
        heartbeat=row.heartbeat + 1,
        ended=shard is None,
        parents=list(shard.parents) if shard is not None else row.parents,
        start_ms=0,
        watermark_ms=max(row.watermark_ms, reached_ms),
        earlier_seq=row.position,
    )
