"""The worker: reads shards, decodes, writes live state, lands and commits, and shares shards with other workers."""

from ingest.worker.options import Options, Parts
from ingest.worker.report import Health, Report
from ingest.worker.worker import Worker

__all__ = ["Health", "Options", "Parts", "Report", "Worker"]
