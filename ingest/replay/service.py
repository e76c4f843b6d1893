"""Replays a region's rejected records on its stores."""

import asyncio

from contracts.errors import Misuse
from contracts.ledger import LedgerEntry, ledger_entry
from contracts.names import ledger_table, stream
from contracts.record import RejectReason
from contracts.settings import RegionSettings
from ingest.landing import S3Store
from ingest.leases.wire import DynamoWire
from ingest.replay.replay import Replayer, ReplayReport
from ingest.replay.writer import KinesisWriter


def replay_rejected(settings: RegionSettings, *, reason: str | None = None, again: bool = False) -> ReplayReport:
    """Put a region's rejected records back on its stream, all or of one reason; see Replayer for what it promises.

    Raises Misuse for an unknown reason, SinkUnavailable if a store or the stream is unavailable.
    """
    if reason is not None and reason not in set(RejectReason):
        raise Misuse(f"no reason {reason!r}; there are {', '.join(RejectReason)}")
    return asyncio.run(_replay(settings, reason, again=again))


async def _replay(settings: RegionSettings, reason: str | None, *, again: bool) -> ReplayReport:
    store = S3Store.of(settings)
    writer = KinesisWriter(stream(settings.region), settings.row.aws_region, settings.kinesis)
    try:
        report = await Replayer(store, writer).run(await _entries(settings), reason=reason, again=again)
    finally:
        await asyncio.gather(store.close(), writer.close())
    report.region = settings.region
    return report


async def _entries(settings: RegionSettings) -> list[LedgerEntry]:
    """The whole ledger, shards that no longer exist included; read before anything is put, so that a run ends."""
    wire = DynamoWire(settings.row.aws_region, settings.dynamodb)
    try:
        request = {"TableName": ledger_table(settings.region), "ConsistentRead": True}
        entries = [ledger_entry(item) async for item in wire.pages("Scan", request)]
    finally:
        await wire.close()
    return sorted(entries, key=lambda entry: (entry.shard_id, int(entry.last_seq)))
