"""The worker: reads shards, decodes, keeps live state current, lands and commits, and shares shards with others."""

from ingest.worker.options import Options, Parts
from ingest.worker.worker import Report, Worker

__all__ = ["Options", "Parts", "Report", "Worker"]
