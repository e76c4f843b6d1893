"""Retention and the desk on a region's real stores, without Dagster: assets, checks and commands call it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from contracts.settings import RegionSettings

if TYPE_CHECKING:
    from contracts.retention import Expiry, Retained
    from privacy.desk import DeskReport
    from privacy.retention import Retention

Expire = Callable[["Expiry"], Mapping[str, int]]
"""Runs the job Expire where Spark is; rows removed by table."""


class PrivacyDesk:
    """Desk on the region's real database."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def count(self) -> "DeskReport":
        """See Desk."""
        from privacy.desk import count_requests

        return count_requests(self._settings)


class LakeRetaining:
    """Retention on the region's real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def look(self, today: date | None = None) -> "Retention":
        """What is past its time on `today`: a dry run."""
        from lake.maintain.retention_policy import read_expiry
        from privacy.retention import look

        together, others = self._stores(_no_spark)
        return look(self._settings, [*together, *others], read_expiry(self._settings, today))

    def check(self) -> "Retention":
        """What was past its time a day ago, when the last nightly run should have removed it."""
        from privacy.retention import a_day_before

        return self.look(a_day_before(datetime.now(UTC).astimezone(self._settings.row.zone).date()))

    def run(self, expire: Expire, who: str) -> "Retention":
        """Remove what is past its time now."""
        from lake.maintain.retained import while_nothing_is_reconciled
        from lake.maintain.retention_policy import read_expiry
        from privacy.retention import run

        together, others = self._stores(expire)
        alone = while_nothing_is_reconciled(self._settings)
        return run(self._settings, together, others, alone, read_expiry(self._settings), who=who)

    def _stores(self, expire: Expire) -> "tuple[Sequence[Retained], Sequence[Retained]]":
        """Those that reconciliation compares, and the others."""
        from lake.maintain.retained import LakeTables, Landing, LiveState
        from marts.retention import FleetDatabase
        from privacy.export.bucket import ExportObjects
        from privacy.retention import PrivacyDatabase

        own = self._settings
        return (
            [LakeTables(own, expire), FleetDatabase(own)],
            [Landing(own), LiveState(own), PrivacyDatabase(own), ExportObjects(own)],
        )


def _no_spark(_: "Expiry") -> Mapping[str, int]:
    raise AssertionError("a look removes nothing")
