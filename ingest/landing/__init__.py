"""Landing: decoded batches to sorted Parquet objects by arrival hour, and the store that they go to."""

from ingest.landing.buffer import FlushLimits, ShardBuffer, joined
from ingest.landing.flush import Flush, Pending
from ingest.landing.folder import FolderStore
from ingest.landing.hours import arrival_hours, runs_of_hours
from ingest.landing.memory import MemoryStore
from ingest.landing.prefixed import Prefixed
from ingest.landing.s3 import S3Store
from ingest.landing.store import ObjectStore

__all__ = [
    "Flush",
    "FlushLimits",
    "FolderStore",
    "MemoryStore",
    "ObjectStore",
    "Pending",
    "Prefixed",
    "S3Store",
    "ShardBuffer",
    "arrival_hours",
    "joined",
    "runs_of_hours",
]
