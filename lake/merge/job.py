"""The job MergeLanding: landing objects that are due become part of history.telemetry."""

from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
import structlog
from pyspark.sql import SparkSession

from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.tables import ensure_tables
from lake.merge.account import MergeCounts, account_merges
from lake.merge.commit import commit_merge
from lake.merge.intake import intake
from lake.merge.plan import Kind, MergePlan, OpenObject, plan
from lake.merge.stragglers import due_objects

log = structlog.get_logger()


def merge_landing(
    spark: SparkSession, settings: RegionSettings, hours: Sequence[datetime], *, stragglers: bool
) -> dict[str, int | float]:
    """Merge what the arrival `hours` have on time, then, if asked, all stragglers that are due.

    Returns counts over the commits of this run, and of one that was killed before it had counted. Merging what is
    merged already changes nothing.
    """
    ensure_tables(settings)
    objects = intake(settings)
    done = account_merges(spark, settings)
    for step in _plans(settings, hours, stragglers=stragglers):
        commit_merge(spark, settings, step)
        done += account_merges(spark, settings)
        log.info("merged", region=settings.region, kind=step.kind.value, objects=len(step.objects), rows=step.rows)
    return {"objects_taken_in": objects, **_summed(done)}


def _plans(settings: RegionSettings, hours: Sequence[datetime], *, stragglers: bool) -> list[MergePlan]:
    """What is due is decided before any of it is merged, or a day just begun would no longer be new."""
    with transaction(settings) as connection:
        on_time = _open(connection, hours)
        late = due_objects(connection, settings, datetime.now(UTC)) if stragglers else []
    return plan(Kind.ON_TIME, on_time) + plan(Kind.STRAGGLERS, late)


def _open(connection: psycopg.Connection, hours: Sequence[datetime]) -> list[OpenObject]:
    rows = connection.execute(
        "select key, hour, rows - stragglers from ops.landing_object where on_time_merged is null and hour = any(%s)",
        [list(hours)],
    ).fetchall()
    return [OpenObject(key=key, hour=hour.astimezone(UTC), rows=count) for key, hour, count in rows]


def _summed(merges: Sequence[MergeCounts]) -> dict[str, int | float]:
    return {
        "commits": len(merges),
        "objects": sum(one.objects for one in merges),
        "rows_read": sum(one.rows_read for one in merges),
        "inserted": sum(one.inserted for one in merges),
        "duplicates": sum(one.duplicates for one in merges),
    }
