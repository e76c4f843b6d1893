"""The protocols of assets.work on a region's real stores.

Each call imports what it needs: definitions load without any of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from assets.work import CHECKED_ROWS, DueMerges, FirstData, LandedHour, Reconciled, SetAside, StepReport
from contracts.settings import RegionSettings

if TYPE_CHECKING:
    import pandas as pd


class _OnStores:
    """Work on the real stores of these settings."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def away(self) -> str | None:
        """See Stores."""
        from lake.stores import away

        return away(self._settings)


class LakeMerging(_OnStores):
    """Merging on the region's real stores."""

    def take_in(self) -> int:
        """See Merging."""
        from lake.merge.intake import intake

        return intake(self._settings)

    def due_merges(self, *, open_hours: bool = False) -> DueMerges:
        """See Merging."""
        from lake.merge.intake import due_merges

        due = due_merges(self._settings, open_hours=open_hours)
        return DueMerges(hours=list(due.hours), straggler_hours=list(due.straggler_hours))

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, LandedHour]:
        """See Merging."""
        from lake.merge.progress import landed_hours

        return landed_hours(self._settings, hours)


class LakeDeriving(_OnStores):
    """Deriving on the region's real stores."""

    def harvest(self) -> None:
        """See Deriving."""
        from lake.derive.changed_days import harvest

        harvest(self._settings)

    def due_days(self) -> list[date]:
        """See Deriving."""
        from lake.derive.progress import due_days

        return due_days(self._settings)

    def known_days(self) -> list[date]:
        """See Deriving."""
        return _known_days(self._settings)

    def first_data(self) -> FirstData | None:
        """See Deriving."""
        from lake.derive.first_data import first_business_day
        from lake.merge.progress import first_landed_hour

        day, hour = first_business_day(self._settings), first_landed_hour(self._settings)
        return FirstData(day, hour) if day and hour else None


class LakeLoading(_OnStores):
    """Loading on the region's real stores."""

    def due_loads(self) -> list[date]:
        """See Loading."""
        from marts.applied import due_loads

        return due_loads(self._settings)

    def known_days(self) -> list[date]:
        """See Loading."""
        return _known_days(self._settings)

    def load(self, days: Sequence[date]) -> StepReport:
        """See Loading."""
        from marts.load import load_days

        return load_days(self._settings, days)

    def staged_rows(self, table: str, days: Sequence[date]) -> Mapping[date, int]:
        """See Loading."""
        from marts.rows import staged_rows

        return staged_rows(self._settings, table, days)

    def due_marts(self) -> list[date]:
        """See Loading."""
        from marts.applied import due_marts

        return due_marts(self._settings)

    def staged_sequences(self, days: Sequence[date]) -> Mapping[date, int]:
        """See Loading."""
        from marts.applied import staged_sequences

        return staged_sequences(self._settings, days)

    def mark_marts(self, days: Sequence[date], sequences: Mapping[date, int]) -> None:
        """See Loading."""
        from marts.applied import mark_marts

        mark_marts(self._settings, days, sequences)

    def dbt_environment(self) -> Mapping[str, str]:
        """See Database."""
        from marts.dbt import dbt_environment

        return dbt_environment(self._settings)

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """See Database."""
        from marts.rows import mart_rows

        return mart_rows(self._settings.postgres_dsn.get_secret_value(), mart, days)


class LakeReleasing(_OnStores):
    """Releasing on the region's real stores."""

    def due_releases(self) -> list[date]:
        """See Releasing."""
        from release import due_releases

        return due_releases(self._settings)

    def publish(self, day: date) -> StepReport:
        """See Releasing."""
        from release import publish_day

        return publish_day(self._settings, day)


class LakeChecking(_OnStores):
    """Checking on the region's real stores."""

    def last_landed_hour(self) -> datetime | None:
        """See Checking."""
        from lake.merge.progress import last_landed_hour

        return last_landed_hour(self._settings)

    def watermark(self) -> datetime | None:
        """See Checking."""
        from lake.merge.intake import watermark

        return watermark(self._settings)

    def objects_set_aside(self) -> Sequence[SetAside]:
        """See Checking."""
        from lake.merge.set_aside import objects_set_aside

        return objects_set_aside(self._settings)

    def merged_counts(self) -> tuple[int, int]:
        """See Checking."""
        from lake.merge.progress import merged_counts

        return merged_counts(self._settings)

    def day_counts(self) -> tuple[int, int]:
        """See Checking."""
        from lake.maintain.expired import expired_rows
        from lake.merge.progress import inserted_rows
        from marts.rows import staged_records

        return inserted_rows(self._settings) - expired_rows(self._settings), staged_records(self._settings)

    def reconcile(self) -> Reconciled:
        """See Checking."""
        from reconcile import reconcile

        return reconcile(self._settings)

    def history_changed_last(self) -> "pd.DataFrame":
        """See Checking."""
        from lake.derive.newest import rows_changed_last

        return rows_changed_last(self._settings, CHECKED_ROWS)

    def mart_built_last(self, mart: str) -> "pd.DataFrame":
        """See Checking."""
        from marts.rows import mart_rows_built_last

        return mart_rows_built_last(self._settings, mart, CHECKED_ROWS)

    def usual_days(self, days: int) -> "pd.DataFrame":
        """See Checking."""
        from marts.rows import usual_days

        return usual_days(self._settings, days)


def _known_days(settings: RegionSettings) -> list[date]:
    from lake.database import transaction
    from lake.derive.progress import known_days

    with transaction(settings) as connection:
        return sorted(known_days(connection))
