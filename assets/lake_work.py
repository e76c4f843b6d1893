"""The protocols of assets.work on a region's real stores.

Each call imports what it needs: definitions load without any of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

from assets.work import CHECKED_ROWS, DueMerges, FirstData, LandedHour, Reconciled, StepReport
from contracts.names import HISTORY_TABLE
from contracts.record import LANDING
from contracts.settings import RegionSettings

if TYPE_CHECKING:
    import pandas as pd

_LANDED = """
    select hour, count(*), sum(rows)::bigint, sum(bytes)::bigint, sum(stragglers)::bigint
    from ops.landing_object where hour = any(%s) group by hour
"""
_STAGED: dict[str, LiteralString] = {
    "trip": "select day, count(*) from staging.trip where day = any(%s) group by day",
    "device_day": "select day, count(*) from staging.device_day where day = any(%s) group by day",
}
_MERGED = """
    select (select coalesce(sum(case when on_time_merged is null then 0 else rows - stragglers end
                                + case when stragglers_merged is null then 0 else stragglers end), 0)::bigint
            from ops.landing_object),
           (select coalesce(sum(inserted + duplicates), 0)::bigint from ops.merge)
"""
_COUNTED = """
    select (select coalesce(sum(inserted), 0)::bigint from ops.merge),
           (select coalesce(sum(records), 0)::bigint from staging.device_day)
"""
_WATERMARK = "select coalesce(min(watermark) filter (where not ended), min(watermark)) from ops.watermarks"
_NOT_CHECKED = {"fault_codes", "signals", "attributes"}
"""Nested columns, which pandas would hold as Python objects."""


class LandedCounts(msgspec.Struct, frozen=True):
    """See LandedHour."""

    objects: int
    rows: int
    bytes: int
    stragglers: int


class LakeMerging:
    """Merging on the region's real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def take_in(self) -> int:
        """See Merging."""
        from lake.merge.intake import intake

        return intake(self._settings)

    def due_merges(self) -> DueMerges:
        """See Merging."""
        from lake.merge.intake import due_merges

        due = due_merges(self._settings)
        return DueMerges(hours=list(due.hours), straggler_hours=list(due.straggler_hours))

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, LandedHour]:
        """See Merging."""
        return {
            hour.astimezone(UTC): LandedCounts(*counts) for hour, *counts in _rows(self._settings, _LANDED, list(hours))
        }


class LakeDeriving:
    """Deriving on the region's real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def harvest(self) -> None:
        """See Deriving."""
        from lake.derive.changed_days import harvest

        harvest(self._settings)

    def due_days(self) -> list[date]:
        """See Deriving."""
        from lake.derive.changed_days import due_days

        return due_days(self._settings)

    def known_days(self) -> list[date]:
        """See Deriving."""
        return [day for (day,) in _rows(self._settings, "select day from ops.changed order by day")]

    def first_data(self) -> FirstData | None:
        """See Deriving."""
        from lake.derive.first_data import first_business_day

        day = first_business_day(self._settings)
        ((hour,),) = _rows(self._settings, "select min(hour) from ops.landing_object")
        return FirstData(day, hour.astimezone(UTC)) if day and hour else None


class LakeLoading:
    """Loading on the region's real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def due_loads(self) -> list[date]:
        """See Loading."""
        from marts.load import due_loads

        return due_loads(self._settings)

    def known_days(self) -> list[date]:
        """See Loading."""
        return [day for (day,) in _rows(self._settings, "select day from ops.derived order by day")]

    def load(self, days: Sequence[date]) -> StepReport:
        """See Loading."""
        from marts.load import load_days

        return load_days(self._settings, days)

    def staged_rows(self, table: str, days: Sequence[date]) -> Mapping[date, int]:
        """See Loading."""
        return dict.fromkeys(days, 0) | dict(_rows(self._settings, _STAGED[table], list(days)))

    def due_marts(self) -> list[date]:
        """See Loading."""
        from marts.load import due_marts

        return due_marts(self._settings)

    def staged_sequences(self, days: Sequence[date]) -> Mapping[date, int]:
        """See Loading."""
        from marts.load import staged_sequences

        return staged_sequences(self._settings, days)

    def mark_marts(self, days: Sequence[date], sequences: Mapping[date, int]) -> None:
        """See Loading."""
        from marts.load import mark_marts

        mark_marts(self._settings, days, sequences)

    def dbt_environment(self) -> Mapping[str, str]:
        """See Loading."""
        from marts.dbt import dbt_environment

        return dbt_environment(self._settings)

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """See Loading."""
        from marts.rows import mart_rows

        return mart_rows(self._settings.postgres_dsn.get_secret_value(), mart, days)


class LakeReleasing:
    """Releasing on the region's real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def due_releases(self) -> list[date]:
        """See Releasing."""
        from release import due_releases

        return due_releases(self._settings)

    def publish(self, day: date) -> StepReport:
        """See Releasing."""
        from release import publish_day

        return publish_day(self._settings, day)


class LakeChecking:
    """Checking on the region's real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def last_landed_hour(self) -> datetime | None:
        """See Checking."""
        ((hour,),) = _rows(self._settings, "select max(hour) from ops.landing_object")
        return hour.astimezone(UTC) if hour else None

    def watermark(self) -> datetime | None:
        """See Checking: as the leases were at the last `take_in`."""
        ((moment,),) = _rows(self._settings, _WATERMARK)
        return moment.astimezone(UTC) if moment else None

    def merged_counts(self) -> tuple[int, int]:
        """See Checking."""
        ((landed, merged),) = _rows(self._settings, _MERGED)
        return landed, merged

    def day_counts(self) -> tuple[int, int]:
        """See Checking."""
        ((history, days),) = _rows(self._settings, _COUNTED)
        return history, days

    def reconcile(self) -> Reconciled:
        """See Checking."""
        from reconcile import reconcile

        return reconcile(self._settings)

    def newest_history(self) -> "pd.DataFrame":
        """See Checking: of the business day that changed last."""
        from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan

        from lake.iceberg.catalog import catalog

        columns = tuple(column.name for column in LANDING if column.name not in _NOT_CHECKED)
        ((day,),) = _rows(self._settings, "select max(day) from ops.changed")
        table = catalog(self._settings).load_table(HISTORY_TABLE)
        if day is None:
            return table.scan(selected_fields=columns, limit=0).to_pandas()
        first = datetime(day.year, day.month, day.day, tzinfo=self._settings.row.zone)
        newest = And(
            GreaterThanOrEqual(term="ts", value=(first - timedelta(days=1)).isoformat()),
            LessThan(term="ts", value=(first + timedelta(days=1)).isoformat()),
        )
        return table.scan(row_filter=newest, selected_fields=columns, limit=CHECKED_ROWS).to_pandas()

    def newest_device_days(self) -> "pd.DataFrame":
        """See Checking."""
        import pandas as pd
        import psycopg

        query = "select * from marts.device_day order by day desc limit %s"
        with psycopg.connect(self._settings.postgres_dsn.get_secret_value()) as connection:
            cursor = connection.execute(query, [CHECKED_ROWS])
            names = [column.name for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names)


def _rows(settings: RegionSettings, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(settings.postgres_dsn.get_secret_value(), application_name="fleetlake-assets") as connection:
        return connection.execute(query, values or None).fetchall()
