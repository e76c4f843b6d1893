"""What maintenance has removed of the ledger: proven by an earlier reconciliation, kept as sums that counts include."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg

from contracts.ledger import LANDED, LandedObject, LedgerEntry
from contracts.names import LEDGER_LOCK
from contracts.settings import RegionSettings


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ops.ledger_beginning: one shard's entries up to `last_seq`, in user records."""

    shard_id: str
    last_seq: str
    entries: int
    user_records: int
    landed: int
    rejected: int
    suppressed: int


_BEGINNINGS = f"select {', '.join(Beginning.__struct_fields__)} from ops.ledger_beginning"  # noqa: S608 - own names


def read_beginnings(postgres: "psycopg.Connection[Any]") -> dict[str, Beginning]:
    """All of them by shard; none in a database whose schema is of an earlier version."""
    found = postgres.execute("select to_regclass('ops.ledger_beginning')").fetchone()
    if found is None or found[0] is None:
        return {}
    rows = postgres.execute(_BEGINNINGS).fetchall()
    return {row[0]: Beginning(**dict(zip(Beginning.__struct_fields__, row, strict=True))) for row in rows}


@contextmanager
def while_nothing_is_removed(settings: RegionSettings) -> Iterator[None]:
    """Waits for maintenance that removes entries just now, and holds up the next until the block ends."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as postgres:
        postgres.execute("select pg_advisory_lock_shared(hashtext(%s))", [LEDGER_LOCK])
        try:
            yield
        finally:
            with suppress(psycopg.Error):  # the server may notice a closed connection a moment later
                postgres.execute("select pg_advisory_unlock_shared(hashtext(%s))", [LEDGER_LOCK])


def expired(
    settings: RegionSettings, entries: Iterable[LedgerEntry], merged: Mapping[str, bool], now: datetime | None = None
) -> dict[str, LandedObject]:
    """Objects that may be gone by policy, as by a rule of the bucket, though their entries are still there: older than
    landing's retention, and for landed ones, wholly merged (`merged`, by key)."""
    if not settings.landing_keep_days:
        return {}
    before = (now or datetime.now(UTC)) - timedelta(days=settings.landing_keep_days)
    return {
        item.key: item
        for entry in entries
        if datetime.fromtimestamp(entry.committed_ms / 1000, UTC) < before
        for item in entry.objects
        if item.kind != LANDED or merged.get(item.key, False)
    }
