"""Landing: decoded batches to sorted Parquet objects by arrival hour, and the store that they go to."""

from ingest.landing.buffer import FlushLimits, ShardBuffer
from ingest.landing.flush import Flush, Pending
from ingest.landing.hours import arrival_hours, runs_of_hours
from ingest.landing.memory import MemoryStore
from ingest.landing.s3 import S3Store
from ingest.landing.store import ObjectStore

__all__ = [
    "Flush",
    "FlushLimits",
    "MemoryStore",
    "ObjectStore",
    "Pending",
    "S3Store",
    "ShardBuffer",
    "arrival_hours",
    "runs_of_hours",
]
