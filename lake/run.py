"""Runs a job in a Spark session: the same wherever the session is."""

import time
from typing import TYPE_CHECKING

from contracts.errors import Misuse
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, HISTORY_TABLE, TRIP_TABLE
from contracts.settings import LakeSettings
from lake.iceberg.partitions import total_rows
from lake.iceberg.tables import own_tables, table
from lake.jobs import ColumnReport, Expire, Job, Maintain, MergeLanding, Report, TableReport
from lake.spark.session import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(spark: "SparkSession", settings: LakeSettings, job: Job) -> Report:
    """Do the job and report. Doing it again, or twice at once, gives the same rows.

    Raises Misuse for a job of another region; ForeignTable where the catalog has one of another's tables, before any
    work; CommitConflict, NotReconciled and what Spark raises.
    """
    check_region(settings, job)
    began = time.monotonic()
    own_tables(settings)
    connect(spark, settings)
    if isinstance(job, MergeLanding):
        from lake.merge.job import merge_landing

        counts = merge_landing(spark, settings, job.hours, stragglers=job.stragglers)
        written = [HISTORY_TABLE]
    elif isinstance(job, Maintain):
        from lake.maintain.job import TABLES, maintain

        counts = maintain(spark, settings, days=job.days)
        written = list(TABLES)
    elif isinstance(job, Expire):
        from lake.maintain.expire import expire

        counts = expire(spark, settings, job.today)
        written = list(counts)
    else:
        from lake.derive.job import derive_days

        counts = derive_days(spark, settings, job.days, again=job.again)
        written = [TRIP_TABLE, DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE]
    seconds = round(time.monotonic() - began, 3)
    tables = {name: _described(settings, name) for name in written}
    return Report(job=job, region=job.region, seconds=seconds, counts=counts, tables=tables)


def check_region(settings: LakeSettings, job: Job) -> None:
    """Raises Misuse for a job of another region."""
    if job.region != settings.region:
        raise Misuse(f"a job of region {job.region!r} was given to a process of region {settings.region!r}")


def _described(settings: LakeSettings, name: str) -> TableReport:
    found = table(settings, name)
    columns = [ColumnReport(field.name, str(field.field_type), field.doc or "") for field in found.schema().fields]
    return TableReport(rows=total_rows(found), columns=columns)
