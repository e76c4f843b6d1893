"""Which shards get a lease row and which rows are removed, by what stream and lease table list."""

from collections.abc import Iterable, Sequence, Set

from contracts.ledger import LeaseRow
from ingest.batch import ShardId
from ingest.kinesis.protocol import Shard

_AHEAD_MS = 60_000


def rows_to_insert(
    shards: Sequence[Shard], rows: Sequence[LeaseRow], *, now_ms: int, start_ms: int = 0
) -> list[LeaseRow]:
    """Rows for shards that have none and no parent that is still to be read.

    A child normally gets its row from its parents' last commit. Where a stream is new to the table (no row has a
    watermark), a shard starts with none; where reading has begun, an unknown shard without such parents starts with a
    watermark of now, so that it files nothing into an hour that may be closed.
    """
    known = {row.shard_id for row in rows}
    ended = {row.shard_id for row in rows if row.ended}
    listed = {shard.shard_id for shard in shards}
    in_play = (known | listed) - ended
    fresh = all(row.watermark_ms <= row.start_ms for row in rows)
    watermark_ms = start_ms if fresh else max(now_ms, max(row.watermark_ms for row in rows) + _AHEAD_MS)
    return [
        LeaseRow(shard_id=shard.shard_id, parents=list(shard.parents), start_ms=start_ms, watermark_ms=watermark_ms)
        for shard in shards
        if shard.shard_id not in known and not in_play.intersection(shard.parents)
    ]


def rows_to_remove(shards: Iterable[Shard], rows: Sequence[LeaseRow], *, known_before: Set[ShardId]) -> list[LeaseRow]:
    """Ended rows of shards that the stream no longer lists, their retention having passed, and that no row waits for.

    `known_before` are the shards that had a row before the list was asked for. Any other shard may be missing from the
    list because it was made after it. The rows are read page by page, so they may also lack its parents.
    A row is removed after its parents' rows: without it, its parents' watermarks would count for the region's again.
    """
    listed = {shard.shard_id for shard in shards}
    known = {row.shard_id for row in rows}
    waited_for = {parent for row in rows if not row.ended for parent in row.parents if row.position == ""}
    kept = listed | waited_for
    return [
        row
        for row in rows
        if row.ended and row.shard_id in known_before and row.shard_id not in kept and known.isdisjoint(row.parents)
    ]


def readable(row: LeaseRow, rows: Iterable[LeaseRow], listed: set[ShardId]) -> bool:
    """Whether all parents of a shard have been read to their end (or are gone from stream and table)."""
    if row.ended:
        return False
    unfinished = {other.shard_id for other in rows if not other.ended}
    known = {other.shard_id for other in rows}
    return not any(parent in unfinished or (parent in listed and parent not in known) for parent in row.parents)
