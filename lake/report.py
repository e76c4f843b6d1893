"""What a job says when it is done."""

from typing import Any

import msgspec

from lake.jobs import Job


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

    def to_json(self) -> str:
        """The whole report as JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Report":
        """The report of JSON. Raises msgspec.ValidationError."""
        return msgspec.json.decode(text, type=cls)
