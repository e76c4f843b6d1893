"""RegionWork as the lake does it. Each call imports what it needs: definitions load without any of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString

from assets.work import CHECKED_ROWS, LandedHour, Merges, Reconciled, Told
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
_NOT_CHECKED = {"fault_codes", "signals", "attributes"}
"""Nested columns, which pandas would hold as Python objects."""


class LakeWork:
    """The work of one region on its real stores."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def take_in(self) -> int:
        """See RegionWork."""
        from lake.merge.intake import intake

        return intake(self._settings)

    def due_merges(self) -> Merges:
        """See RegionWork."""
        from lake.merge.intake import due_merges

        due = due_merges(self._settings)
        return Merges(hours=list(due.hours), straggler_hours=list(due.straggler_hours))

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, LandedHour]:
        """See RegionWork."""
        return {hour.astimezone(UTC): LandedHour(*counts) for hour, *counts in self._rows(_LANDED, list(hours))}

    def last_landed_hour(self) -> datetime | None:
        """See RegionWork."""
        ((hour,),) = self._rows("select max(hour) from ops.landing_object")
        return hour.astimezone(UTC) if hour else None

    def watermark(self) -> datetime | None:
        """See RegionWork."""
        from lake.merge.intake import watermark

        return watermark(self._settings)

    def harvest(self) -> None:
        """See RegionWork."""
        from lake.derive.changed_days import harvest

        harvest(self._settings)

    def due_days(self) -> list[date]:
        """See RegionWork."""
        from lake.derive.progress import due_days

        return due_days(self._settings)

    def due_loads(self) -> list[date]:
        """See RegionWork."""
        from marts.applied import due_loads

        return due_loads(self._settings)

    def load(self, days: Sequence[date]) -> Told:
        """See RegionWork."""
        from marts.load import load_days

        return load_days(self._settings, days)

    def staged_rows(self, table: str, days: Sequence[date]) -> Mapping[date, int]:
        """See RegionWork."""
        return dict.fromkeys(days, 0) | dict(self._rows(_STAGED[table], list(days)))

    def due_marts(self) -> list[date]:
        """See RegionWork."""
        from marts.applied import due_marts

        return due_marts(self._settings)

    def staged_sequences(self, days: Sequence[date]) -> Mapping[date, int]:
        """See RegionWork."""
        from marts.applied import staged_sequences

        return staged_sequences(self._settings, days)

    def mark_marts(self, days: Sequence[date], sequences: Mapping[date, int]) -> None:
        """See RegionWork."""
        from marts.applied import mark_marts

        mark_marts(self._settings, days, sequences)

    def dbt_environment(self) -> Mapping[str, str]:
        """See RegionWork."""
        from marts.dbt import dbt_environment

        return dbt_environment(self._settings)

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """See RegionWork."""
        from marts.rows import mart_rows

        return mart_rows(self._settings.postgres_dsn.get_secret_value(), mart, days)

    def due_releases(self) -> list[date]:
        """See RegionWork."""
        from release import due_releases

        return due_releases(self._settings)

    def publish(self, day: date) -> Told:
        """See RegionWork."""
        from release import publish_day

        return publish_day(self._settings, day)

    def merged_counts(self) -> tuple[int, int]:
        """See RegionWork."""
        ((landed, merged),) = self._rows(_MERGED)
        return landed, merged

    def day_counts(self) -> tuple[int, int]:
        """See RegionWork."""
        ((history, days),) = self._rows(_COUNTED)
        return history, days

    def reconcile(self) -> Reconciled:
        """See RegionWork."""
        from reconcile import reconcile

        return reconcile(self._settings)

    def newest_history(self) -> "pd.DataFrame":
        """See RegionWork: of the business day that changed last."""
        from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan

        from lake.iceberg.catalog import catalog

        columns = tuple(column.name for column in LANDING if column.name not in _NOT_CHECKED)
        ((day,),) = self._rows("select max(day) from ops.changed")
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
        """See RegionWork."""
        import pandas as pd
        import psycopg

        query = "select * from marts.device_day order by day desc limit %s"
        with psycopg.connect(self._settings.postgres_dsn.get_secret_value()) as connection:
            cursor = connection.execute(query, [CHECKED_ROWS])
            names = [column.name for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names)

    def _rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(
            self._settings.postgres_dsn.get_secret_value(), application_name="fleetlake-assets"
        ) as connection:
            return connection.execute(query, values or None).fetchall()
