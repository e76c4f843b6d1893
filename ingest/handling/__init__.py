"""A consumer of one's own: a function that is given a stream's records, as users of the KCL write it."""

from ingest.handling.application import Application
from ingest.handling.service import handle_stream
from ingest.worker.handling.records import Handler, Handling, Poison, Record, ShardRecords
from ingest.worker.handling.unpacked import Unpacking

__all__ = [
    "Application",
    "Handler",
    "Handling",
    "Poison",
    "Record",
    "ShardRecords",
    "Unpacking",
    "handle_stream",
]
