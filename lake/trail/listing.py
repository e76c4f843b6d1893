"""Which landing objects a spot query has to look into: listed by the ledger and not wholly in history."""

from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

import psycopg

from contracts.ledger import LANDED
from contracts.outages import POSTGRES
from contracts.settings import RegionSettings
from lake.merge.device_index import devices_in
from lake.merge.ledger import entries_after
from lake.merge.shards import shards_to_read
from lake.stores import DYNAMODB
from lake.trail.counted_files import Account
from lake.trail.postgres import Postgres
from lake.trail.sources import SourceFile
from lake.trail.wanted import Wanted

_OPEN = """
select key, case when on_time_merged is null then devices else straggler_devices end, min_ts, max_ts, bytes,
  exists (select from ops.set_aside s where s.key = o.key)
from ops.landing_object o
where (on_time_merged is null or stragglers_merged is null)
  and (min_ts is null or min_ts < %(end)s) and (max_ts is null or max_ts >= %(start)s)
"""
_CURSORS = "select shard_id, last_seq from ops.landing_cursor"


class OpenObjects:
    """Lists the landing objects that may hold wanted rows which history lacks.

    Those that `ops.landing_object` has as not wholly merged, and those of ledger entries after its cursor. An object
    that is indexed is left out where its index says that none of the devices is in it: of all its rows while none of
    them are merged, of its stragglers where only they wait.
    """

    def __init__(self, settings: RegionSettings, postgres: Postgres, dynamodb: Any, pool: Executor) -> None:
        self._settings, self._postgres, self._dynamodb, self._pool = settings, postgres, dynamodb, pool

    def listed(self, wanted: Wanted, account: Account) -> tuple[list[SourceFile], int]:
        """The objects, by their keys, and how many more may hold wanted rows and are set aside, since no one can read
        them. The ledger is asked before the table, so that an object which moves from one to
        the other meanwhile is not missed.
        """
        account.asks(POSTGRES)
        cursors, shards = self._postgres.ask(self._cursors_and_shards)
        account.asks(DYNAMODB)
        found = self._pool.map(lambda shard: self._after_cursor(shard, cursors.get(shard, ""), wanted), shards)
        newer = {file.path: file for files in found for file in files}
        account.asks(POSTGRES)
        rows = self._postgres.ask(
            lambda connection: connection.execute(_OPEN, {"start": wanted.start, "end": wanted.end}).fetchall()
        )
        aside = {self._path(row[0]) for row in rows if row[-1]}
        waiting = {file.path: file for row in rows if (file := self._waiting(row, wanted)) is not None}
        readable = {path: file for path, file in (newer | waiting).items() if path not in aside}
        return [file for _, file in sorted(readable.items())], len(aside)

    def _cursors_and_shards(self, connection: psycopg.Connection[Any]) -> tuple[dict[str, str], list[str]]:
        cursors = dict(connection.execute(_CURSORS).fetchall())
        return cursors, shards_to_read(connection, self._dynamodb, self._settings.region)

    def _waiting(self, row: Sequence[Any], wanted: Wanted) -> SourceFile | None:
        key, index, first, last, size, _ = row
        devices = wanted.devices if index is None else devices_in(index, wanted.devices)
        return SourceFile(self._path(key), devices, first, last, size) if devices else None

    def _after_cursor(self, shard: str, last_seq: str, wanted: Wanted) -> list[SourceFile]:
        return [
            SourceFile(self._path(landed.key), wanted.devices, first, last, landed.bytes)
            for entry in entries_after(self._dynamodb, self._settings.region, shard, last_seq)
            for landed in entry.objects
            if landed.kind == LANDED
            and wanted.overlaps(first := _utc(landed.min_ts_ms), last := _utc(landed.max_ts_ms))
        ]

    def _path(self, key: str) -> str:
        return f"{self._settings.bucket}/{key}"


def _utc(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
