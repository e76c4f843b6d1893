"""What is due in a region and the steps that are not Spark's: the face that assets and sensors see of the lake."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    import pandas as pd


class Merges(msgspec.Struct, frozen=True):
    """Landing that history lacks: arrival hours with on-time rows, and those whose waiting stragglers are due."""

    hours: list[datetime] = []
    straggler_hours: list[datetime] = []

    @property
    def stragglers(self) -> bool:
        """Whether any stragglers are due."""
        return bool(self.straggler_hours)


class LandedHour(msgspec.Struct, frozen=True):
    """What the ledger lists for one arrival hour."""

    objects: int
    rows: int
    bytes: int
    stragglers: int


class StepReport(Protocol):
    """A report of a step."""

    def metadata(self) -> Mapping[str, Any]:
        """JSON-able values without identifiers."""
        ...


class RegionWork(Protocol):
    """What is due in one region.

    Promises
    - `due_*` are levels, not events: they name what is behind now, however it came to be, and change nothing.
    - `take_in` and `harvest` may be called at any time and by many at once; they move a cursor together with its rows.
    - Each step records what it did in the transaction that did it, so that a step cut short is due again.
    """

    def take_in(self) -> int:
        """Copy new ledger entries to ops.landing_object; how many objects came."""
        ...

    def due_merges(self) -> Merges:
        """Arrival hours, and stragglers, that landed and are not in history."""
        ...

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, LandedHour]:
        """What landed in each of these hours; hours with nothing are left out."""
        ...

    def last_landed_hour(self) -> datetime | None:
        """The newest arrival hour with an object."""
        ...

    def watermark(self) -> datetime | None:
        """Everything that arrived before this time has landed."""
        ...

    def harvest(self) -> None:
        """Mark the days that history's new commits changed."""
        ...

    def due_days(self) -> list[date]:
        """Business days whose trips and device days are behind history."""
        ...

    def due_loads(self) -> list[date]:
        """Business days that Postgres' staging lacks."""
        ...

    def load(self, days: Sequence[date]) -> StepReport:
        """Replace these days in staging, one transaction a day."""
        ...

    def staged_rows(self, table: str, days: Sequence[date]) -> Mapping[date, int]:
        """Rows of staging.trip or staging.device_day by day."""
        ...

    def due_marts(self) -> list[date]:
        """Business days whose marts are behind staging."""
        ...

    def staged_sequences(self, days: Sequence[date]) -> Mapping[date, int]:
        """The sequence at which each day was staged."""
        ...

    def mark_marts(self, days: Sequence[date], sequences: Mapping[date, int]) -> None:
        """Record that the marts hold these days at these sequences."""
        ...

    def dbt_environment(self) -> Mapping[str, str]:
        """The variables with which dbt reaches the region's database."""
        ...

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """Rows of a mart that has a column `day`, by day."""
        ...

    def due_releases(self) -> list[date]:
        """Business days old enough to leave the region and not published at their present sequence."""
        ...

    def publish(self, day: date) -> StepReport:
        """Publish one day under the release policy."""
        ...

    def merged_counts(self) -> tuple[int, int]:
        """Rows of merged landing objects, and rows that the merges inserted or dropped as duplicates."""
        ...

    def day_counts(self) -> tuple[int, int]:
        """Records that merges inserted, and records that the staged device days count."""
        ...

    def reconcile(self) -> "Reconciled":
        """Every stage counted from its own store."""
        ...

    def newest_history(self) -> "pd.DataFrame":
        """The newest rows of history, all scalar columns, at most `CHECKED_ROWS`."""
        ...

    def newest_device_days(self) -> "pd.DataFrame":
        """The newest rows of marts.device_day, at most `CHECKED_ROWS`."""
        ...


CHECKED_ROWS = 200_000
"""Rows that a quality check reads: a bound on its memory."""


class Reconciled(Protocol):
    """What reconciliation found."""

    @property
    def ok(self) -> bool:
        """Whether all stages agree."""
        ...

    @property
    def stages(self) -> Mapping[str, Any]:
        """Counts by stage."""
        ...

    @property
    def differences(self) -> Sequence[Any]:
        """What does not agree."""
        ...
