"""The job Expire: what is past its time goes from history and the derived tables, whole days by their files alone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from pyspark.sql import SparkSession

from contracts.names import HISTORY_TABLE, MOTION_HOUR_TABLE
from contracts.retention import Expiry, Span
from contracts.settings import LakeSettings
from lake.derive.business_days import midnight, runs_of
from lake.derive.changed_days import harvest
from lake.iceberg.conflicts import retry_conflicts
from lake.iceberg.partitions import gained_rows
from lake.iceberg.snapshots import RETENTION, is_retention, lineage
from lake.iceberg.tables import ensure_tables, table
from lake.maintain.expired import account_expired
from lake.maintain.job import without_delete_files
from lake.maintain.overdue import BY_DAY, overdue_days, overdue_rows
from lake.maintain.retention_policy import read_expiry
from lake.merge.account import account_merges
from lake.merge.commit import snapshot_properties
from lake.merge.spans import Span as Times
from lake.merge.spans import joined, sql_condition

log = structlog.get_logger()
_ONE_DAY = timedelta(days=1)


def expire(spark: SparkSession, settings: LakeSettings, today: date | None = None) -> dict[str, int | float]:
    """Remove what is past its time on `today`. Rows removed by table. Each step may be cut short and done again.

    History goes first and device days last: they say of which days history has records. Commits of retention are left
    out of the harvest, as they change nothing of the days that stay.
    """
    ensure_tables(settings)
    account_merges(settings)
    harvest(settings)
    account_expired(settings)  # of a run that was killed
    due = read_expiry(settings, today)
    left, days = overdue_rows(settings, due), overdue_days(settings, due)
    deleting = _Deleting(spark, settings, due)
    removed = dict.fromkeys(left, 0)
    if days.num_rows:
        removed[HISTORY_TABLE] = deleting.history(set(pc.unique(days.column("day")).to_pylist()))
        account_expired(settings)
        harvest(settings)
    if left[MOTION_HOUR_TABLE]:
        removed[MOTION_HOUR_TABLE] = deleting.by_time(MOTION_HOUR_TABLE, "hour")
    for name in BY_DAY:
        if left[name]:
            removed[name] = deleting.by_day(name)
    log.info("expired", region=settings.region, **{name.rpartition(".")[2]: rows for name, rows in removed.items()})
    return dict(removed)


class _Deleting:
    """By table one DELETE of whole days, by the region's rule, and one of the spans of single devices."""

    def __init__(self, spark: SparkSession, settings: LakeSettings, due: Expiry) -> None:
        self._spark, self._settings, self._due = spark, settings, due
        self._spans = _view(spark, _with_times(due.spans, settings)) if due.spans else None
        exempt = pa.table({"device_id": pa.array(sorted(due.exempt), pa.string())})
        self._exempt = _view(spark, exempt) if due.exempt else None

    def history(self, days: set[date]) -> int:
        """Remove records of these business days, which have some that are past their time."""
        times = joined(Times(self._start(first), self._start(last + _ONE_DAY)) for first, last in runs_of(days))
        without_delete_files(self._spark, self._settings, times)
        return self._delete(HISTORY_TABLE, self._by_region("ts"), self._by_span("ts", times))

    def by_time(self, name: str, column: str) -> int:
        """Remove rows of a table by a time of theirs."""
        times = [Times(self._start(date(2000, 1, 1)), self._start(self._due.horizon))]
        return self._delete(name, self._by_region(column), self._by_span(column, times))

    def by_day(self, name: str) -> int:
        """Remove rows of a table by their business day."""
        spans = f"exists (select 1 from {self._spans} s where s.device_id = t.device_id"  # noqa: S608 - our own names
        spans += f" and t.day >= s.first and t.day < s.before) and t.day < DATE '{self._due.horizon}'"
        region = f"t.day < DATE '{self._due.before}'{self._not_exempt()}"
        return self._delete(name, region, spans if self._spans else None)

    def _by_region(self, column: str) -> str:
        return f"t.{column} < {_literal(self._start(self._due.before))}{self._not_exempt()}"

    def _by_span(self, column: str, times: Sequence[Times]) -> str | None:
        if self._spans is None:
            return None
        inside = f"s.device_id = t.device_id and t.{column} >= s.first_ts and t.{column} < s.before_ts"
        within = sql_condition(f"t.{column}", times)
        return f"{within} and exists (select 1 from {self._spans} s where {inside})"  # noqa: S608 - our own names

    def _not_exempt(self) -> str:
        if self._exempt is None:
            return ""
        return f" and not exists (select 1 from {self._exempt} e where e.device_id = t.device_id)"  # noqa: S608 - as above

    def _delete(self, name: str, *conditions: str | None) -> int:
        """Rows removed, by the commits' own summaries."""
        before = _newest_sequence(self._settings, name)
        for condition in filter(None, conditions):
            statement = f"delete from {self._settings.region}.{name} t where {condition}"  # noqa: S608 - our own names
            self._commit(name, statement)
        fresh = [one for one in lineage(table(self._settings, name)) if (one.sequence_number or 0) > before]
        return -sum(gained_rows(one) for one in fresh if is_retention(one))

    def _commit(self, name: str, statement: str) -> None:
        with snapshot_properties(self._spark, {RETENTION: str(self._due.today)}):
            retry_conflicts(f"retention of {name}", lambda: self._spark.sql(statement).collect())

    def _start(self, day: date) -> datetime:
        return midnight(day, self._settings.row.zone)


def _newest_sequence(settings: LakeSettings, name: str) -> int:
    snapshot = table(settings, name).current_snapshot()
    return 0 if snapshot is None else snapshot.sequence_number or 0


def _with_times(spans: Sequence[Span], settings: LakeSettings) -> pa.Table:
    """Spans as rows: by business days, and by the instants at which these begin."""
    zone, ever = settings.row.zone, date(1970, 1, 2)
    return pa.table(
        {
            "device_id": [span.device_id for span in spans],
            "first": pa.array([span.first or ever for span in spans], pa.date32()),
            "before": pa.array([span.before for span in spans], pa.date32()),
            "first_ts": pa.array([midnight(span.first or ever, zone) for span in spans], pa.timestamp("us", "UTC")),
            "before_ts": pa.array([midnight(span.before, zone) for span in spans], pa.timestamp("us", "UTC")),
        }
    )


def _view(spark: SparkSession, rows: pa.Table) -> str:
    name = f"retention_{uuid4().hex}"
    spark.createDataFrame(rows).createOrReplaceTempView(name)
    return name


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}+00:00'"
