"""The job MergeLanding: landing objects that are due become part of history.telemetry."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.iceberg.tables import ensure_tables
from lake.merge.account import account_merges
from lake.merge.commit import commit_merge
from lake.merge.intake import intake, watermark
from lake.merge.plan import ROWS_A_GIB, Kind, MergePlan, plan
from lake.merge.progress import MergeCounts, unmerged_on_time
from lake.merge.set_aside import mergeable, objects_set_aside
from lake.merge.stragglers import due_objects
from lake.merge.turns import merging
from lake.spark.session import memory_gib

log = structlog.get_logger()


def merge_landing(
    spark: SparkSession, settings: LakeSettings, hours: Sequence[datetime], *, stragglers: bool
) -> dict[str, int | float]:
    """Merge what the arrival `hours` have on time, then, if asked, all stragglers that are due.

    Returns counts over the commits of this run, and of one that was killed before it had counted. Merging what is
    merged already changes nothing.
    """
    ensure_tables(settings)
    with merging(settings):
        objects = intake(settings)
        done = account_merges(settings)
        for due in _plans(settings, hours, stragglers=stragglers, most_rows=int(memory_gib(spark) * ROWS_A_GIB)):
            step = _commit(spark, settings, due)
            done += account_merges(settings)
            log.info("merged", region=settings.region, kind=step.kind.value, objects=len(step.objects), rows=step.rows)
    aside = len(objects_set_aside(settings))
    return {"objects_taken_in": objects, **_summed(done), "objects_set_aside": aside}


def _commit(spark: SparkSession, settings: LakeSettings, due: MergePlan) -> MergePlan:
    """Merge what can be read of the plan, and return that. The rest is set aside with its reasons.

    A footer may be whole where the rows before it are not: where Spark fails, every object is read to its end once,
    and where one of them cannot be read the others are merged.
    """
    step = mergeable(settings, due)
    if not step.objects:
        return step
    try:
        commit_merge(spark, settings, step)
    except PySparkException:
        sound = mergeable(settings, step, whole=True)
        if len(sound.objects) == len(step.objects):
            raise
        return _commit(spark, settings, sound)
    return step


def _plans(settings: LakeSettings, hours: Sequence[datetime], *, stragglers: bool, most_rows: int) -> list[MergePlan]:
    """What is due is decided before any of it is merged, or a day just begun would no longer be new."""
    reached = watermark(settings) if stragglers else None
    with transaction(settings) as connection:
        on_time = unmerged_on_time(connection, hours)
        late = due_objects(connection, settings, datetime.now(UTC), reached) if stragglers else []
    return plan(Kind.ON_TIME, on_time, most_rows) + plan(Kind.STRAGGLERS, late, most_rows)


def _summed(merges: Sequence[MergeCounts]) -> dict[str, int | float]:
    return {
        "commits": len(merges),
        "objects": sum(one.objects for one in merges),
        "rows_read": sum(one.rows_read for one in merges),
        "inserted": sum(one.inserted for one in merges),
        "duplicates": sum(one.duplicates for one in merges),
    }
