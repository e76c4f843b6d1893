"""The worker: reads shards, decodes, keeps live state current, lands and commits, and shares shards with others."""

from ingest.worker.options import Options, Parts
from ingest.worker.report import Health, Report
from ingest.worker.worker import Worker

__all__ = ["Health", "Options", "Parts", "Report", "Worker"]
