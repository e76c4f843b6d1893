"""The jobs that Spark runs, as data: what a run is asked for travels as JSON to wherever Spark is."""

from datetime import date, datetime

import msgspec


class MergeLanding(msgspec.Struct, frozen=True, tag="merge_landing"):
    """Merge what these arrival hours have on time into history and, if asked, all stragglers that are due."""

    region: str
    hours: list[datetime]
    stragglers: bool = False


class DeriveDays(msgspec.Struct, frozen=True, tag="derive_days"):
    """Derive trips and device days of these business days, those that are stale; all of them where `again`."""

    region: str
    days: list[date]
    again: bool = False


Job = MergeLanding | DeriveDays


def encode(job: Job) -> str:
    """The job as JSON."""
    return msgspec.json.encode(job).decode()


def decode(text: str) -> Job:
    """The job of JSON. Raises msgspec.ValidationError."""
    job: Job = msgspec.json.decode(text, type=Job)
    return job
