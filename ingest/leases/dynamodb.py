"""Leases and ledger in DynamoDB: tables leases-R (key shard_id) and ledger-R (keys shard_id, last_seq)."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from contracts.errors import LeaseLost, PositionMoved, SinkUnavailable
from contracts.ledger import (
    STREAM_ROW,
    LeaseRow,
    LedgerEntry,
    lease_item,
    lease_row,
    lease_rows,
    ledger_entry,
    ledger_item,
    stream_changes,
    stream_created_ms,
    stream_item,
)
from contracts.names import LAST_SEQ, leases_table, ledger_table, padded_sequence
from contracts.settings import AwsService
from ingest.batch import ShardId
from ingest.leases.expressions import Change, commit_of, held_by
from ingest.leases.protocol import WorkerId, after_commit
from ingest.leases.wire import DynamoWire
from ingest.runtime.aws_access import AwsClock

_CHILD_TRIES = 5


class DynamoLeases:
    """LeaseTable and Ledger of one region. Every read is consistent."""

    def __init__(self, region: str, aws_region: str, access: AwsService, *, aws_clock: AwsClock | None = None) -> None:
        self._leases = leases_table(region)
        self._ledger = ledger_table(region)
        self._wire = DynamoWire(aws_region, access, aws_clock)

    async def rows(self) -> list[LeaseRow]:
        """All rows by shard."""
        items = self._wire.pages("Scan", {"TableName": self._leases, "ConsistentRead": True})
        return sorted(lease_rows([item async for item in items]), key=lambda row: row.shard_id)

    async def insert(self, rows: Sequence[LeaseRow]) -> None:
        """Put each row if it is absent. Where that breaks off, the rows so far are seen at the next look."""
        absent = {"ConditionExpression": "attribute_not_exists(shard_id)"}
        if any([await self._put({"Item": lease_item(row), **absent}) for row in rows]):
            await self._count_a_change()

    async def take(self, seen: LeaseRow, worker: WorkerId) -> LeaseRow | None:
        """Raise the fence by one, if fence and heartbeat are as seen."""
        change = Change()
        change.when("fence", seen.fence).when("heartbeat", seen.heartbeat).when("ended", False)
        change.put("owner", worker).add("fence", 1).add("heartbeat", 1).drop("wanted_by")
        return await self._update(seen.shard_id, change)

    async def renew(
        self, lease: LeaseRow, *, records_per_s: float, bytes_per_s: float, live_seq: str, suppression_version: int = 0
    ) -> LeaseRow:
        """Change the heartbeat, and note the load."""
        change = held_by(lease).add("heartbeat", 1).put("live_seq", live_seq)
        change.put("records_per_s", round(records_per_s, 3)).put("bytes_per_s", round(bytes_per_s, 1))
        if suppression_version > lease.suppression_version:
            change.put("suppression_version", suppression_version)
        return await self._update_held(lease, change)

    async def advance(self, lease: LeaseRow, watermark_ms: int) -> LeaseRow:
        """Move the watermark if that is forward."""
        change = held_by(lease).below("watermark_ms", watermark_ms).put("watermark_ms", watermark_ms)
        if lease.lost:
            change.put("lost", True)
        row = await self._update(lease.shard_id, change)
        return row if row is not None else await self._held(lease)

    async def release(self, lease: LeaseRow, *, live_seq: str, to: WorkerId | None = None) -> None:
        """Remove the owner, and perhaps mark the row for a worker."""
        change = held_by(lease).add("heartbeat", 1).drop("owner").put("live_seq", live_seq)
        if to is None:
            change.drop("wanted_by")
        else:
            change.put("wanted_by", to)
        await self._update_held(lease, change)
        await self._count_a_change()

    async def ask(self, seen: LeaseRow, worker: WorkerId) -> bool:
        """Mark the row as wanted, if nobody else has."""
        change = held_by(seen).absent("wanted_by").put("wanted_by", worker)
        return await self._update(seen.shard_id, change) is not None

    async def changes(self) -> int | None:
        """Read the stream's row."""
        item = await self._wire.get(self._leases, {"shard_id": {"S": STREAM_ROW}})
        return None if item is None else stream_changes(item)

    async def remove(self, row: LeaseRow) -> None:
        """Delete an ended row."""
        request: dict[str, Any] = {"TableName": self._leases, "Key": {"shard_id": {"S": row.shard_id}}}
        request |= Change().when("ended", True).condition()
        await self._wire.conditionally("DeleteItem", request)

    async def restart(self, seen: LeaseRow, anew: LeaseRow) -> bool:
        """Put the row if fence and heartbeat are as seen."""
        condition = Change().when("fence", seen.fence).when("heartbeat", seen.heartbeat).condition()
        return await self._put({"Item": lease_item(anew), **condition})

    async def stream_created_ms(self, created_ms: int) -> int:
        """Read the stream's row, or put it where it is absent."""
        while True:
            item = await self._wire.get(self._leases, {"shard_id": {"S": STREAM_ROW}})
            if item is not None:
                return stream_created_ms(item)
            absent = Change().absent("shard_id").condition()
            if await self._put({"Item": stream_item(created_ms), **absent}):
                return created_ms

    async def belong_to(self, created_ms: int, *, instead_of: int) -> bool:
        """Put the stream's row if it is as told."""
        condition = Change().when("created_ms", instead_of).condition()
        return await self._put({"Item": stream_item(created_ms), **condition})

    async def commit(
        self, lease: LeaseRow, entry: LedgerEntry | None, *, children: Sequence[LeaseRow] | None = None
    ) -> LeaseRow:
        """One TransactWriteItems."""
        if entry is not None and entry.after_seq != lease.position:
            raise PositionMoved(f"{lease.shard_id}: the entry does not start at the lease's position")
        after = after_commit(lease, entry, ended=children is not None)
        for _ in range(_CHILD_TRIES):
            writes: list[dict[str, Any]] = [{"Update": self._keyed(lease.shard_id, commit_of(lease, after))}]
            if entry is not None:
                put = {"Item": ledger_item(entry), "ConditionExpression": "attribute_not_exists(shard_id)"}
                writes.append({"Put": {"TableName": self._ledger, **put}})
            own = len(writes)
            writes.extend([write for child in children or () if (write := await self._child(child))])
            refused = await self._wire.transact(writes)
            if not refused:
                if children is not None:
                    await self._count_a_change()
                return after
            if any(index < own for index in refused):
                await self._explain(lease)
        raise SinkUnavailable(f"{lease.shard_id}: rows of its children keep changing; try again")

    async def find(self, shard_id: ShardId, last_seq: str) -> LedgerEntry | None:
        """One entry."""
        key = {"shard_id": {"S": shard_id}, "last_seq": {"S": padded_sequence(last_seq)}}
        item = await self._wire.get(self._ledger, key)
        return None if item is None else ledger_entry(item)

    async def shards(self) -> list[ShardId]:
        """Read one item a shard: after each, the scan goes on behind the last key that the shard could have."""
        request: dict[str, Any] = {"TableName": self._ledger, "ConsistentRead": True}
        request |= {"Limit": 1, "ProjectionExpression": "shard_id"}
        found: list[ShardId] = []
        while True:
            items, reached = await self._wire.page("Scan", request)
            found += [item["shard_id"]["S"] for item in items]
            if reached is None:
                return sorted(found)
            request["ExclusiveStartKey"] = {**reached, "last_seq": {"S": LAST_SEQ}}

    async def entries(self, shard_id: ShardId, after: str = "", *, most: int | None = None) -> list[LedgerEntry]:
        """The shard's entries in order."""
        return await self._queried(shard_id, ">", after, most)

    async def entries_before(self, shard_id: ShardId, before: str = LAST_SEQ, *, most: int) -> list[LedgerEntry]:
        """The shard's newest entries, newest first."""
        return await self._queried(shard_id, "<", before, most, ScanIndexForward=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def _queried(self, shard_id: ShardId, by: str, than: str, most: int | None, **more: Any) -> list[LedgerEntry]:
        request: dict[str, Any] = {
            "TableName": self._ledger,
            "ConsistentRead": True,
            "KeyConditionExpression": f"shard_id = :shard AND last_seq {by} :than",
            "ExpressionAttributeValues": {":shard": {"S": shard_id}, ":than": {"S": padded_sequence(than)}},
            **more,
        }
        if most is not None:
            request["Limit"] = most
        found: list[LedgerEntry] = []
        async for item in self._wire.pages("Query", request):
            found.append(ledger_entry(item))
            if len(found) == most:
                break
        return found

    def _keyed(self, shard_id: ShardId, change: Change) -> dict[str, Any]:
        return {"TableName": self._leases, "Key": {"shard_id": {"S": shard_id}}, **change.request()}

    async def _count_a_change(self) -> None:
        """What changed is done already; where it cannot be counted, others see it a little later."""
        with suppress(SinkUnavailable):
            request = self._keyed(STREAM_ROW, Change().present("created_ms").add("changes", 1))
            await self._wire.conditionally("UpdateItem", request)

    async def _put(self, request: dict[str, Any]) -> bool:
        return await self._wire.conditionally("PutItem", {"TableName": self._leases, **request}) is not None

    async def _update(self, shard_id: ShardId, change: Change) -> LeaseRow | None:
        request = {**self._keyed(shard_id, change), "ReturnValues": "ALL_NEW"}
        answer = await self._wire.conditionally("UpdateItem", request)
        return None if answer is None else lease_row(answer["Attributes"])

    async def _update_held(self, lease: LeaseRow, change: Change) -> LeaseRow:
        row = await self._update(lease.shard_id, change)
        if row is None:
            raise _lease_lost(lease)
        return row

    async def _held(self, lease: LeaseRow) -> LeaseRow:
        row = await self._row(lease.shard_id)
        if row is None or row.ended or row.owner != lease.owner or row.fence != lease.fence:
            raise _lease_lost(lease)
        return row

    async def _row(self, shard_id: ShardId) -> LeaseRow | None:
        item = await self._wire.get(self._leases, {"shard_id": {"S": shard_id}})
        return None if item is None else lease_row(item)

    async def _explain(self, lease: LeaseRow) -> None:
        row = await self._held(lease)
        where = row.position or "its start"
        raise PositionMoved(f"{lease.shard_id} is at {where}, or the ledger has this flush's last record already")

    async def _child(self, child: LeaseRow) -> dict[str, Any] | None:
        """The write that inserts a child's row, or lowers its watermark where no worker has taken the child yet."""
        known = await self._row(child.shard_id)
        if known is None:
            put = {"Item": lease_item(child), "ConditionExpression": "attribute_not_exists(shard_id)"}
            return {"Put": {"TableName": self._leases, **put}}
        if known.fence > 0:
            return None
        smaller = min(known.watermark_ms, child.watermark_ms)
        change = Change().when("watermark_ms", known.watermark_ms).when("fence", 0).put("watermark_ms", smaller)
        return {"Update": self._keyed(child.shard_id, change)}


def _lease_lost(lease: LeaseRow) -> LeaseLost:
    return LeaseLost(f"{lease.shard_id}: fence {lease.fence} of {lease.owner} is no longer the lease's")
