"""How earlier runs of a kind of work ended, read from Dagster's run storage: sensors keep no state of their own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

WORK = "fleetlake/work"
"""Tag of a run: the kind of work, such as `eu/days`."""
ATTEMPT = "fleetlake/attempt"
"""Tag of a run: the number of consecutive failures before it, plus one."""
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)
_LOOK_BACK = 25


class Attempts(msgspec.Struct, frozen=True):
    """The latest runs of one kind of work: whether one is in progress, and how many failed in a row."""

    under_way: bool = False
    failures: int = 0
    retry_at: datetime | None = None
    last_run: str = "none"

    @property
    def number(self) -> int:
        """The number of the next attempt, from 1."""
        return self.failures + 1

    def run_key(self, span: str) -> str:
        """A run key that only one run can have: it names the run that it follows.

        Two evaluations before a run exists return the same key, so Dagster launches one run. Once that run has ended,
        successfully or not, the key differs and the work can be requested again.
        """
        return f"{span} after {self.last_run}"

    def backing_off(self, now: datetime) -> bool:
        """Whether the last attempt failed so recently that the next one has to wait."""
        return self.retry_at is not None and now < self.retry_at

    def backoff_message(self) -> str:
        """How many runs failed in a row and when the next may start; empty after a success."""
        if self.retry_at is None:
            return ""
        return f"{self.failures} failed in a row; resting until {self.retry_at:%H:%M:%S} UTC"


def attempts_of(instance: DagsterInstance, work: str) -> Attempts:
    """Read the attempts of `work` from its newest runs."""
    records = instance.get_run_records(RunsFilter(tags={WORK: work}), limit=_LOOK_BACK)
    if not records:
        return Attempts()
    if any(not record.dagster_run.is_finished for record in records):
        return Attempts(under_way=True, last_run=records[0].dagster_run.run_id)
    failures = _failed_in_a_row(records)
    ended = max(record.end_time or record.update_timestamp.timestamp() for record in records)
    return Attempts(
        failures=failures,
        retry_at=datetime.fromtimestamp(ended, UTC) + backoff(failures) if failures else None,
        last_run=records[0].dagster_run.run_id,
    )


def backoff(failures: int) -> timedelta:
    """Wait time after that many consecutive failures: it doubles, up to an hour."""
    doubled: timedelta = FIRST_BACKOFF * (1 << min(failures - 1, 16))
    return min(doubled, LONGEST_BACKOFF)


def _failed_in_a_row(records: Sequence[RunRecord]) -> int:
    failures = 0
    for record in records:
        if record.dagster_run.status == DagsterRunStatus.SUCCESS:
            break
        failures += 1
    return failures
