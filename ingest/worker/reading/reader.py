"""How a leased shard is read: polled, or pushed by enhanced fan-out."""

from contracts.ledger import LeaseRow
from ingest.kinesis import ShardCursor, Start
from ingest.kinesis.protocol import ShardReader
from ingest.kinesis.subscriber import ShardSubscriber
from ingest.kinesis.trouble import Trouble
from ingest.worker.options import Options, Parts


def shard_reader(parts: Parts, options: Options, lease: LeaseRow, trouble: Trouble) -> ShardReader:
    """A reader from the lease's position on, which tells its trouble."""
    start = _start(lease)
    if parts.fan_out is not None:
        return ShardSubscriber(parts.fan_out, lease.shard_id, start, trouble=trouble)
    return ShardCursor(parts.stream, lease.shard_id, start, clock=parts.clock, limits=options.limits, trouble=trouble)


def _start(lease: LeaseRow) -> Start:
    if lease.position:
        return Start.after(lease.position)
    return Start.arrived(lease.start_ms) if lease.start_ms else Start.oldest()
