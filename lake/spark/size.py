"""How large a local session a job is worth: known before Spark starts, from what is due."""

from datetime import timedelta

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.iceberg.partitions import rows_by_day
from lake.iceberg.tables import history
from lake.jobs import DeriveDays, Job, MergeLanding

LARGE_ROWS = 3_000_000
"""From so many rows on, a job runs for minutes: it wins by the second compiler, a parallel collector and memory."""


def is_large(settings: LakeSettings, job: Job) -> bool:
    """Whether a local session for this job should be a large one."""
    return rows_of(settings, job) >= LARGE_ROWS


def rows_of(settings: LakeSettings, job: Job) -> int:
    """Rows that the job will read, some of them perhaps twice. Maintenance reads a day at a time: it counts none."""
    if isinstance(job, MergeLanding):
        with transaction(settings) as connection:
            row = connection.execute(_DUE_ROWS, [job.hours, job.stragglers]).fetchone()
        return int(row[0]) if row else 0
    if isinstance(job, DeriveDays):
        wanted = {day + timedelta(days=n) for day in job.days for n in (0, 1)}
        return sum(rows for day, rows in rows_by_day(history(settings)).items() if day in wanted)
    return 0


_DUE_ROWS = """
    select coalesce(sum(case when on_time_merged is null and hour = any(%s) then rows - stragglers else 0 end), 0)
         + coalesce(sum(case when stragglers_merged is null and %s then stragglers else 0 end), 0)
    from ops.landing_object where on_time_merged is null or stragglers_merged is null
"""
