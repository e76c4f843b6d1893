"""Landed and rejected objects, rewritten under new keys where they hold the scope. Adapter of contracts.erasable.

An entry of the ledger keeps its range and its counts; its objects are others, with fewer rows, and `erased` says how
many less. What follows the ledger is put right from it: ops.landing_object, the sums of ops.merge, marks of replays,
objects that an earlier run left. So a run that is killed anywhere is finished by the next.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from contracts.erasable import Counts, Remains, Scope
from contracts.errors import CommitConflict
from contracts.ledger import LANDED, LandedObject, LedgerEntry, ledger_entry, ledger_item
from contracts.names import ledger_table, original_keys, padded_sequence, replayed_prefix
from contracts.settings import LakeSettings
from lake.database import transaction
from lake.erase.bucket import Bucket
from lake.erase.objects import Unreadable, meant_rows, without
from lake.merge.account import account_merges
from lake.merge.ledger import entries_after, ledger_shards
from lake.merge.progress import lock_cursor, replace_objects, stale_entries
from lake.merge.turns import no_merge

_READERS = 8


class LandedObjects:
    """The objects below landing/ and rejected/, and what is kept about them."""

    name = "landing"
    stores = ("s3:landing/", "s3:rejected/", "s3:replayed/", "dynamodb:ledger", "ops.landing_object")

    def __init__(self, settings: LakeSettings) -> None:
        self._settings = settings
        self._bucket = Bucket(settings)

    def count(self, scope: Scope) -> Counts:
        """Rows of listed objects that are meant."""
        found: Counter[str] = Counter({"s3:landing/": 0, "s3:rejected/": 0})
        for item, rows in self._meant(scope, [item for entry in self._entries() for item in entry.objects]):
            found[_store(item.key)] += rows
        return found

    def search(self, scope: Scope) -> Counts:
        """Rows of every object below the prefixes, listed by the ledger or not, that name the scope."""
        keys = [*self._bucket.keys("landing/"), *self._bucket.keys("rejected/")]
        items = [
            LandedObject(
                key=key,
                kind=LANDED if key.startswith("landing/") else "rejected",
                hour_ms=0,
                rows=0,
                bytes=0,
                sha256="",
            )
            for key in keys
        ]
        found: Counter[str] = Counter({"s3:landing/": 0, "s3:rejected/": 0})
        for item, rows in self._meant(scope, items):
            found[_store(item.key)] += rows
        return found

    def erase(self, scope: Scope) -> Counts:
        """Rewrite what holds the scope, while no merge reads it."""
        removed: Counter[str] = Counter({"s3:landing/": 0, "s3:rejected/": 0})
        with no_merge(self._settings):
            account_merges(self._settings)
            for entry in list(self._entries()):
                removed.update(self._rewritten(scope, entry))
            self._follow_ledger()
        return removed

    def expires(self, now: datetime) -> list[Remains]:
        """Earlier versions go with the objects; where the bucket cannot say whether it keeps any, that is said."""
        if self._bucket.versions_known:
            return []
        why = "the region's role may not ask whether the bucket keeps versions; its lifecycle rule ends them"
        return [Remains("earlier versions of objects, where the bucket keeps them", now + timedelta(days=30), why)]

    def _entries(self) -> Iterator[LedgerEntry]:
        client = self._dynamodb()
        for shard_id in ledger_shards(client, self._settings.region):
            yield from entries_after(client, self._settings.region, shard_id, "")

    def _meant(self, scope: Scope, items: Sequence[LandedObject]) -> Iterator[tuple[LandedObject, int]]:
        def rows_of(item: LandedObject) -> int | None:
            if item.rows and item.kind == LANDED and not scope.touches(_time(item.min_ts_ms), _time(item.max_ts_ms)):
                return 0
            data = self._bucket.get(item.key)
            try:
                return 0 if data is None else int(pc.sum(meant_rows(scope, item.kind, data)).as_py() or 0)
            except Unreadable:
                return None

        with ThreadPoolExecutor(_READERS, thread_name_prefix="erase") as pool:
            for item, rows in zip(items, pool.map(rows_of, items), strict=True):
                if rows is None:
                    item, rows = replace(item, key=f"{_store(item.key)}unreadable"), 1  # noqa: PLW2901
                if rows:
                    yield item, rows

    def _rewritten(self, scope: Scope, entry: LedgerEntry) -> Counts:
        """Put new objects in the place of those that hold the scope, then amend the entry."""
        made: dict[str, LandedObject] = {}
        for item, _ in self._meant(scope, entry.objects):
            data = self._bucket.get(item.key)
            found = without(scope, item, data) if data is not None else None
            if found is None:
                continue
            new, body, rows = found
            self._bucket.put(new.key, body)
            if item.kind != LANDED:
                self._carry_marks(item.key, new.key, rows)
            made[item.key] = new
        if not made:
            return {}
        self._amend(entry, made)
        gone: Counter[str] = Counter()
        for old, new in made.items():
            self._bucket.delete(old)
            gone[_store(old)] += next(item.rows for item in entry.objects if item.key == old) - new.rows
        return gone

    def _amend(self, entry: LedgerEntry, made: Mapping[str, LandedObject]) -> None:
        """The entry with other objects, if it is still what was read; and what Postgres says of them.

        Under the shard's lock of intake, which takes in the entry as it was or as it is.
        """
        objects = [made.get(item.key, item) for item in entry.objects]
        removed = sum(item.rows for item in entry.objects) - sum(item.rows for item in objects)
        amended = replace(entry, objects=objects, erased=entry.erased + removed)
        with transaction(self._settings) as connection:
            lock_cursor(connection, entry.shard_id)
            self._put_entry(entry, amended)
            replace_objects(connection, amended)

    def _put_entry(self, was: LedgerEntry, now: LedgerEntry) -> None:
        client = self._dynamodb()
        table = ledger_table(self._settings.region)
        key = {"shard_id": {"S": was.shard_id}, "last_seq": {"S": padded_sequence(was.last_seq)}}
        held = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        changed = "an entry of the ledger changed while its objects were rewritten; run the erasure again"
        if held is None or ledger_entry(held) != was:
            raise CommitConflict(changed)
        try:
            client.put_item(
                TableName=table,
                Item=ledger_item(now),
                ConditionExpression="#entry = :was",
                ExpressionAttributeNames={"#entry": "entry"},
                ExpressionAttributeValues={":was": held["entry"]},
            )
        except client.exceptions.ConditionalCheckFailedException:
            raise CommitConflict(changed) from None

    def _follow_ledger(self) -> None:
        """What a killed run had not done: Postgres by the ledger, and objects that rewritten ones took the place of."""
        entries = list(self._entries())
        with transaction(self._settings) as connection:
            stale = stale_entries(connection, entries)
        for entry in stale:
            with transaction(self._settings) as connection:
                lock_cursor(connection, entry.shard_id)
                replace_objects(connection, entry)
        listed = {item.key for entry in entries for item in entry.objects}
        for key in sorted(listed):
            for earlier in original_keys(key):
                self._bucket.delete(earlier)
                if key.startswith("rejected/"):
                    self._drop_marks(earlier)

    def _carry_marks(self, old: str, new: str, rows: pa.Table) -> None:
        """Marks of what is left: a replay counts them against the object's rows."""
        left = set(zip(rows["sequence_number"].to_pylist(), rows["sub_sequence"].to_pylist(), strict=True))
        for key in self._bucket.keys(replayed_prefix(old)):
            marks = msgspec.json.decode(self._bucket.get(key) or b"[]")
            kept = [mark for mark in marks if (mark["sequence_number"], mark["sub_sequence"]) in left]
            self._bucket.put(replayed_prefix(new) + key.rpartition("/")[2], msgspec.json.encode(kept))

    def _drop_marks(self, key: str) -> None:
        for mark in list(self._bucket.keys(replayed_prefix(key))):
            self._bucket.delete(mark)

    def _dynamodb(self) -> Any:
        return boto3.client("dynamodb", **self._settings.dynamodb.client_kwargs(self._settings.row.aws_region))


def _store(key: str) -> str:
    return f"s3:{key.partition('/')[0]}/"


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
