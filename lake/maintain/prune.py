"""Removes the beginning of the ledger, with its objects, once history has it and a reconciliation has proven that."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import boto3
import msgspec
import psycopg
import structlog

from contracts.errors import StoreUnavailable
from contracts.ledger import LANDED, LeaseRow, LedgerEntry
from contracts.names import ledger_table, padded_sequence, replayed_prefix
from contracts.settings import LakeSettings
from lake.database import transaction
from lake.maintain.beginning import (
    beginnings,
    forget_objects,
    merged_at,
    move_beginning,
    proven_until,
    sole_pruning,
)
from lake.maintain.retention_policy import shortest_days
from lake.merge.ledger import entries_after, leases, ledger_shards

log = structlog.get_logger()
_AT_ONCE = 500
MOST_A_RUN = 100_000
"""Entries that one maintenance removes at most: a night's, where there is a year to catch up with."""
_DYNAMO_AT_ONCE, _S3_AT_ONCE = 25, 1_000


class Rule(msgspec.Struct, frozen=True):
    """What may go. Times are Postgres' and the workers' clocks'."""

    committed_before: datetime
    """Landing's retention, and what a rebuild of live state may still read; sooner where its data goes sooner."""
    merged_before: datetime
    """History cannot be rolled back to before these merges, and a reconciliation that agreed has seen them."""

    @classmethod
    def of(cls, settings: LakeSettings, proven: datetime, now: datetime, kept_at_most: int) -> "Rule":
        """The rule of a region. proven: when the newest reconciliation that agreed began. kept_at_most: days for which
        anything of the region is kept; an object holds devices of all kinds, so it goes with the first of them.
        """
        wanted = settings.landing_keep_days or kept_at_most
        days = min(max(wanted, settings.live_unseen_days + 1), kept_at_most)
        rolled_back = now - timedelta(hours=settings.snapshot_keep_h)
        return cls(min(now - timedelta(days=days), proven), min(rolled_back, proven))

    def allows(self, entry: LedgerEntry, merged: dict[str, datetime | None]) -> bool:
        """Whether the entry is old and proven. merged: when each of its landed objects was merged."""
        committed = datetime.fromtimestamp(entry.committed_ms / 1000, UTC)
        times = [merged[item.key] for item in entry.objects if item.kind == LANDED]
        return committed < self.committed_before and all(at is not None and at < self.merged_before for at in times)


def prune_ledger(settings: LakeSettings, now: datetime | None = None) -> dict[str, int]:
    """Remove what the rule allows, shard by shard from its beginning. Counts of entries and objects removed.

    The sums go to ops.ledger_beginning first; then the objects go, their rows, and the entries last. So what is cut
    short is known as the beginning's, by its entries, and the next run removes it. Nothing is done beside a
    reconciliation, nor where no reconciliation has agreed yet.
    """
    done = {"ledger_entries_removed": 0, "landing_objects_removed": 0}
    with sole_pruning(settings) as connection:
        proven = None if connection is None else proven_until(connection)
        if connection is None or proven is None:
            log.info("ledger not pruned", region=settings.region, why="no reconciliation has agreed, or one is running")
            return done
        rule = Rule.of(settings, proven, now or datetime.now(UTC), shortest_days(settings))
        pruning = _Pruning(settings, connection, rule)
        for removed in pruning.run():
            done["ledger_entries_removed"] += len(removed)
            done["landing_objects_removed"] += sum(len(entry.objects) for entry in removed)
            if done["ledger_entries_removed"] >= MOST_A_RUN:
                break
    return done


def prunable(settings: LakeSettings, now: datetime | None = None) -> dict[str, int]:
    """What `prune_ledger` would remove now. Counts of entries and objects."""
    with transaction(settings) as connection:
        proven = proven_until(connection)
        if proven is None:
            return {"ledger_entries_removed": 0, "landing_objects_removed": 0}
        rule = Rule.of(settings, proven, now or datetime.now(UTC), shortest_days(settings))
        found = [entry for left, going in _Pruning(settings, connection, rule).due() for entry in (*left, *going)]
    return {
        "ledger_entries_removed": len(found),
        "landing_objects_removed": sum(len(entry.objects) for entry in found),
    }


class _Pruning:
    def __init__(self, settings: LakeSettings, connection: psycopg.Connection[Any], rule: Rule) -> None:
        self._settings = settings
        self._connection = connection
        self._rule = rule
        aws_region = settings.row.aws_region
        self._dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(aws_region))
        self._s3 = boto3.client("s3", **settings.s3.client_kwargs(aws_region))

    def run(self) -> Iterator[list[LedgerEntry]]:
        """Remove, some entries of one shard at a time; gives those removed."""
        for left, going in self.due():
            if going:
                move_beginning(self._connection, going)
            self._remove([*left, *going])
            yield [*left, *going]

    def due(self) -> Iterator[tuple[list[LedgerEntry], list[LedgerEntry]]]:
        """Entries to remove, some of a shard at a time: those that the beginning has already, and those that follow."""
        begin = beginnings(self._connection)
        held = {row.shard_id: row for row in leases(self._dynamodb, self._settings.region)}
        for shard_id in ledger_shards(self._dynamodb, self._settings.region):
            entries = entries_after(self._dynamodb, self._settings.region, shard_id, "")
            while some := list(islice(entries, _AT_ONCE)):
                left = [entry for entry in some if padded_sequence(entry.last_seq) <= begin.get(shard_id, "")]
                going = self._leading(some[len(left) :], held.get(shard_id))
                if left or going:
                    yield left, going
                if len(left) + len(going) < len(some):
                    break

    def _leading(self, entries: Sequence[LedgerEntry], lease: LeaseRow | None) -> list[LedgerEntry]:
        """Those of these entries, from the first on, that may go. A lease's newest entry stays with it."""
        merged = merged_at(self._connection, entries)
        going = []
        for entry in entries:
            if (lease is not None and entry.last_seq == lease.position) or not self._rule.allows(entry, merged):
                break
            going.append(entry)
        return going

    def _remove(self, entries: Sequence[LedgerEntry]) -> None:
        """Objects first and entries last: an object without an entry would count as nobody's."""
        rejected = [item.key for entry in entries for item in entry.objects if item.kind != LANDED]
        marks = [key for each in rejected for key in self._keys(replayed_prefix(each))]
        self._delete_objects([*marks, *(item.key for entry in entries for item in entry.objects)])
        forget_objects(self._connection, entries)
        self._delete_entries(entries)

    def _keys(self, prefix: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._settings.bucket, Prefix=prefix)
        return (item["Key"] for page in pages for item in page.get("Contents", ()))

    def _delete_objects(self, keys: Sequence[str]) -> None:
        for some in _batches(keys, _S3_AT_ONCE):
            wanted = {"Objects": [{"Key": key} for key in some], "Quiet": True}
            answer = self._s3.delete_objects(Bucket=self._settings.bucket, Delete=wanted)
            for error in answer.get("Errors", ()):
                raise StoreUnavailable(
                    f"S3 bucket {self._settings.bucket} does not delete {error['Key']}: {error['Code']}; "
                    "check the region's policy, and run maintain again"
                )

    def _delete_entries(self, entries: Sequence[LedgerEntry]) -> None:
        table = ledger_table(self._settings.region)
        for some in _batches(entries, _DYNAMO_AT_ONCE):
            left: Any = {table: [{"DeleteRequest": {"Key": _key_of(entry)}} for entry in some]}
            while left:
                left = self._dynamodb.batch_write_item(RequestItems=left).get("UnprocessedItems")


def _key_of(entry: LedgerEntry) -> dict[str, Any]:
    return {"shard_id": {"S": entry.shard_id}, "last_seq": {"S": padded_sequence(entry.last_seq)}}


def _batches(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
