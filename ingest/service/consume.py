"""Consumes a region's stream: in this process, or in several that share it."""

from contracts.logs import log_to_stderr
from contracts.settings import RegionSettings
from ingest.service.one_worker import run_one
from ingest.service.processes import consume_together
from ingest.worker import Report


def consume(
    settings: RegionSettings, workers: int = 1, until_idle: bool = False, *, metrics_port: int | None = None
) -> Report:
    """Consume a region's stream until SIGTERM or SIGINT, or `until_idle` until every shard is read to its tip.

    workers: processes that share the stream by leases; with one, this process is the worker. metrics_port: instead of
    the settings' port. Raises FleetlakeError where a shard failed in a way that waiting does not cure.
    """
    log_to_stderr()
    if workers > 1:
        return consume_together(settings, workers, until_idle=until_idle)
    return run_one(settings, until_idle=until_idle, metrics_port=metrics_port)
