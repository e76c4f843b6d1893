"""The lake's stores as retention sees them: tables, landing and live state (contracts.retention.Retained)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import boto3

from contracts.names import LEDGER_LOCK
from contracts.retention import Expiry, Standing, Standings
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.maintain.live_retention import overdue_live, remove_overdue_live
from lake.maintain.overdue import look
from lake.maintain.prune import prunable, prune_ledger
from lake.maintain.retention_policy import shortest_days
from lake.merge.ledger import entries_after, ledger_shards


class LakeTables:
    """History and the derived tables. `expire`: runs the job Expire where Spark is, and gives its counts."""

    name = "lake"

    def __init__(self, settings: RegionSettings, expire: Callable[[Expiry], Mapping[str, int]]) -> None:
        self._settings, self._expire = settings, expire

    def look(self, due: Expiry) -> Standings:
        """See Retained."""
        return look(self._settings, due)

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        return self._expire(due)


class Landing:
    """Landing and rejected objects, which go by their arrival, whole, with the first of their devices."""

    name = "landing"

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, due: Expiry) -> Standings:
        """See Retained. What no reconciliation has proven to be in history waits."""
        now = datetime.now(UTC)
        then = now - due.since(now.astimezone(self._settings.row.zone).date())
        before = then - timedelta(days=shortest_days(self._settings))
        ages = list(self._committed())
        past = sum(objects for at, objects in ages if at < before)
        going = prunable(self._settings, then)["landing_objects_removed"]
        oldest = min((at for at, objects in ages if objects), default=None)
        return {
            "landing": Standing(
                rows=sum(objects for _, objects in ages),
                overdue=max(past, going),
                waiting=max(past - going, 0),
                oldest=None if oldest is None else oldest.astimezone(self._settings.row.zone).date(),
            )
        }

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        return {"landing": prune_ledger(self._settings)["landing_objects_removed"]}

    def _committed(self) -> Iterator[tuple[datetime, int]]:
        """When each ledger entry was committed, and its objects."""
        settings = self._settings
        dynamodb = boto3.client("dynamodb", **settings.dynamodb.client_kwargs(settings.row.aws_region))
        for shard in ledger_shards(dynamodb, settings.region):
            for entry in entries_after(dynamodb, settings.region, shard, ""):
                yield datetime.fromtimestamp(entry.committed_ms / 1000, UTC), len(entry.objects)


class LiveState:
    """Newest records and trails in Redis."""

    name = "live"

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, due: Expiry) -> Standings:
        """See Retained."""
        return overdue_live(self._settings, due)

    def remove(self, due: Expiry) -> Mapping[str, int]:
        """See Retained."""
        return remove_overdue_live(self._settings, due)


@contextmanager
def while_nothing_is_reconciled(settings: RegionSettings) -> Iterator[None]:
    """Waits for a reconciliation that runs, and holds up the next: between two stores it would see a difference."""
    with transaction(settings) as connection:
        connection.autocommit = True
        connection.execute("select pg_advisory_lock(hashtext(%s))", [LEDGER_LOCK])
        yield
