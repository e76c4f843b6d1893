"""The jobs that Spark runs and what they report, as data: both travel as JSON to and from wherever Spark is."""

from datetime import date, datetime
from typing import Any

import msgspec


class MergeLanding(msgspec.Struct, frozen=True, tag="merge_landing"):
    """Merge the on-time rows of these arrival hours into history and, if asked, all stragglers that are due."""

    region: str
    hours: list[datetime]
    stragglers: bool = False


class DeriveDays(msgspec.Struct, frozen=True, tag="derive_days"):
    """Derive trips and device days of these business days, those that are stale; all of them where `again`."""

    region: str
    days: list[date]
    again: bool = False


class Maintain(msgspec.Struct, frozen=True, tag="maintain"):
    """Keep the tables in shape: at most `days` closed days rewritten, old snapshots and stray files deleted."""

    region: str
    days: int = 31


class Expire(msgspec.Struct, frozen=True, tag="expire"):
    """Remove what is past its time on business day `today`, as the registry and the region table say."""

    region: str
    today: date


Job = MergeLanding | DeriveDays | Maintain | Expire


def encode(job: Job) -> str:
    """The job as JSON."""
    return msgspec.json.encode(job).decode()


def decode(text: str) -> Job:
    """The job of JSON. Raises msgspec.ValidationError."""
    job: Job = msgspec.json.decode(text, type=Job)
    return job


class ColumnReport(msgspec.Struct, frozen=True):
    """One column of a table."""

    name: str
    type: str
    description: str = ""


class TableReport(msgspec.Struct, frozen=True):
    """A table after the job: its rows and columns."""

    rows: int
    columns: list[ColumnReport]


class Report(msgspec.Struct, frozen=True):
    """What a job did: counts by name, and the tables that it wrote. Holds no identifier."""

    job: Job
    region: str
    seconds: float
    counts: dict[str, int | float]
    tables: dict[str, TableReport]

    def metadata(self) -> dict[str, Any]:
        """The report as JSON-able values: job, seconds, each count, and rows and columns of each table."""
        return {
            "job": type(self.job).__name__,
            "seconds": self.seconds,
            **self.counts,
            "tables": msgspec.to_builtins(self.tables),
        }


class Failure(msgspec.Struct, frozen=True):
    """Why a job has no report. Holds no identifier: whoever launched the job may write it anywhere."""

    failed: str
    """The error's class."""
    text: str = ""
    """What Fleetlake says of it; nothing where the error is another program's."""
