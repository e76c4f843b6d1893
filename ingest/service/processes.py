"""Several workers of one region on this machine, one process each, to use more than one core."""

from collections import Counter
from functools import partial

from contracts.settings import RegionSettings
from contracts.team import Team, TeamRules
from ingest.service.one_worker import run_one
from ingest.worker import Report

_END_WITHIN_S = 30.0
"""A worker that was asked to end and has not by then is killed: what it has not committed is read again."""


def consume_together(settings: RegionSettings, workers: int, *, until_idle: bool) -> Report:
    """Run workers that share the region's shards by leases, until all have ended; their reports as one.

    A worker that dies is started again, after pauses that grow while it keeps dying; the others read its shards
    meanwhile. SIGTERM and SIGINT stop all workers gracefully. Raises FleetlakeError where no worker stays alive
    (`until_idle`: where one does not), Misuse where a worker exits because its settings are wrong.
    """
    return together(team_of(settings, workers, until_idle=until_idle).run())


def team_of(settings: RegionSettings, workers: int, *, until_idle: bool) -> Team[Report]:
    """The workers."""
    rules = TeamRules("worker", "worker", _END_WITHIN_S, ends_by_itself=True, every_one_is_needed=until_idle)
    return Team(rules, workers, consume_one, partial(_arguments, settings, workers, until_idle), Report)


def consume_one(settings: RegionSettings, workers: int, until_idle: bool, port: int) -> Report:
    """One worker's life."""
    return run_one(settings, workers=workers, until_idle=until_idle, metrics_port=port)


def together(reports: list[Report]) -> Report:
    """Several workers' reports as one: sums, and the longest time."""
    rejected: Counter[str] = Counter()
    for report in reports:
        rejected.update(report.rejected)
    seconds = max((report.seconds for report in reports), default=0.0)
    read = sum(report.read for report in reports)
    return Report(
        worker=", ".join(report.worker for report in reports),
        seconds=seconds,
        read=read,
        kinesis_records=sum(report.kinesis_records for report in reports),
        landed=sum(report.landed for report in reports),
        rejected=dict(rejected),
        suppressed=sum(report.suppressed for report in reports),
        handled=sum(report.handled for report in reports),
        objects=sum(report.objects for report in reports),
        flushes=sum(report.flushes for report in reports),
        records_per_s=round(read / seconds, 1) if seconds else 0.0,
        trimmed=sum(report.trimmed for report in reports),
        not_committed=[shard for report in reports for shard in report.not_committed],
        live_missing=any(report.live_missing for report in reports),
    )


def _arguments(
    settings: RegionSettings, workers: int, until_idle: bool, number: int
) -> tuple[RegionSettings, int, bool, int]:
    return settings, workers, until_idle, settings.metrics_port + number if settings.metrics_port else 0
