"""What is due in a region and the steps that are not Spark's, one protocol a stage: assets and sensors see only these.

Promises of all of them
- `due_*` report state, not events: they list what is behind now, however it came to be, and change nothing.
- A step records what it did in the transaction that did it, so that a step cut short is due again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    import pandas as pd

    from contracts.retention import Expiry
    from privacy.desk import DeskReport
    from privacy.retention import Retention


class Stores(Protocol):
    """The stores that a stage works with."""

    def away(self) -> str | None:
        """A store that does not answer, by name and region; None where all do. Takes some seconds at most."""
        ...


class DueMerges(msgspec.Struct, frozen=True):
    """Landing that history lacks: arrival hours with on-time rows, and arrival hours whose stragglers are due."""

    hours: list[datetime] = []
    straggler_hours: list[datetime] = []

    @property
    def stragglers(self) -> bool:
        """Whether any stragglers are due."""
        return bool(self.straggler_hours)


class LandedHour(Protocol):
    """What the ledger lists for one arrival hour."""

    @property
    def objects(self) -> int:
        """Landing objects."""
        ...

    @property
    def rows(self) -> int:
        """Their rows."""
        ...

    @property
    def bytes(self) -> int:
        """Their size."""
        ...

    @property
    def stragglers(self) -> int:
        """Rows that arrived too late to be merged with their hour."""
        ...


class StepReport(Protocol):
    """What one step did."""

    def metadata(self) -> Mapping[str, Any]:
        """JSON-able values without identifiers."""
        ...


class SetAside(Protocol):
    """A landing object that merges leave out, because it is missing, damaged or of another contract."""

    @property
    def key(self) -> str:
        """Its key in the region's bucket."""
        ...

    @property
    def reason(self) -> str:
        """Why it cannot be merged."""
        ...

    @property
    def rows(self) -> int:
        """Rows that the ledger says it has."""
        ...

    @property
    def since(self) -> datetime:
        """When a merge left it out first."""
        ...


class Merging(Stores, Protocol):
    """Landing on its way into history. `take_in` may be called at any time and by many at once."""

    def take_in(self) -> int:
        """Copy new ledger entries to ops.landing_object, cursor and rows in one transaction; the number of objects."""
        ...

    def due_merges(self, *, open_hours: bool = False) -> DueMerges:
        """Arrival hours, and stragglers, that landed and are not in history: of hours that have ended, unless
        `open_hours`.
        """
        ...

    def landed(self, hours: Iterable[datetime]) -> Mapping[datetime, LandedHour]:
        """What landed in each of these hours; hours without an object are left out."""
        ...


class FirstData(msgspec.Struct, frozen=True):
    """Where a region's data begins."""

    day: date
    """The first business day, outliers left out."""
    hour: datetime
    """The first arrival hour."""


class Deriving(Stores, Protocol):
    """Business days on their way from history to trips. `harvest` may be called at any time and by many at once."""

    def harvest(self) -> None:
        """Mark the days that history's new commits changed, cursor and marks in one transaction."""
        ...

    def due_days(self) -> list[date]:
        """Business days whose trips and device days are behind history."""
        ...

    def known_days(self) -> list[date]:
        """Business days that history has, or had, rows of."""
        ...

    def first_data(self) -> FirstData | None:
        """Where the region's data begins; None while history is empty."""
        ...


class Database(Stores, Protocol):
    """The Postgres database in which dbt builds marts."""

    def dbt_environment(self) -> Mapping[str, str]:
        """The variables with which dbt connects to it."""
        ...

    def mart_rows(self, mart: str, days: Sequence[date]) -> Mapping[date, int]:
        """Rows by day of a mart that has a column `day`."""
        ...


class Loading(Database, Protocol):
    """Derived days on their way into staging and marts."""

    def due_loads(self) -> list[date]:
        """Business days that were derived and that staging lacks."""
        ...

    def known_days(self) -> list[date]:
        """Business days that history has, or had, rows of."""
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


class Releasing(Stores, Protocol):
    """Aggregates on their way out of the region."""

    def due_releases(self) -> list[date]:
        """Business days old enough to leave the region and not published at their present sequence."""
        ...

    def publish(self, day: date) -> StepReport:
        """Publish one day under the release policy."""
        ...


class Checking(Protocol):
    """What the asset checks count and read."""

    def last_landed_hour(self) -> datetime | None:
        """The newest arrival hour with an object."""
        ...

    def watermark(self) -> datetime | None:
        """Everything that arrived before this time has landed."""
        ...

    def objects_set_aside(self) -> Sequence[SetAside]:
        """The landing objects that merges leave out."""
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

    def history_changed_last(self) -> "pd.DataFrame":
        """Rows of the business days that changed last, all scalar columns, at most `CHECKED_ROWS`."""
        ...

    def mart_built_last(self, mart: str) -> "pd.DataFrame":
        """Rows of the mart's days that were built last, at most `CHECKED_ROWS`."""
        ...

    def usual_days(self, days: int) -> "pd.DataFrame":
        """What the newest day that is over and those of `days` before it are like, a row a day, oldest first."""
        ...


class Retaining(Protocol):
    """Retention over all stores of a region."""

    def run(self, expire: "Callable[[Expiry], Mapping[str, int]]", who: str) -> "Retention":
        """Remove what is past its time. expire: removes it from the lake's tables, where Spark is."""
        ...

    def check(self) -> "Retention":
        """What was past its time a day ago; removes nothing."""
        ...


class Desk(Protocol):
    """Requests of data subjects."""

    def count(self) -> "DeskReport":
        """How many there are, open, due and done."""
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
