"""What became of the runs asked for so far: the only memory of a sensor, read from Dagster's own storage."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

WORK = "fleetlake/work"
"""Tag of a run: what it is for, such as `eu/days`."""
ATTEMPT = "fleetlake/attempt"
"""Tag of a run: how many runs for the same work failed in a row before it, plus one."""
FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(hours=1)
_LOOK_BACK = 25


class Attempts(msgspec.Struct, frozen=True):
    """Where one kind of work stands."""

    under_way: bool = False
    failures: int = 0
    rest_until: datetime | None = None
    last_run: str = "none"

    @property
    def number(self) -> int:
        """The number of the next attempt, from 1."""
        return self.failures + 1

    def run_key(self, span: str) -> str:
        """A run key that only one run can have.

        It names the run that it follows: asked twice before a run exists, it is the same and Dagster launches one run;
        once that run has ended, in whatever way, it is another and the work can be asked for again.
        """
        return f"{span} after {self.last_run}"

    def resting(self, now: datetime) -> bool:
        """Whether the last attempt failed so recently that the next has to wait."""
        return self.rest_until is not None and now < self.rest_until

    def resting_words(self) -> str:
        """How many failed in a row and how long the next waits; nothing after a success."""
        if self.rest_until is None:
            return ""
        return f"{self.failures} failed in a row; resting until {self.rest_until:%H:%M:%S} UTC"


def attempts_of(instance: DagsterInstance, work: str) -> Attempts:
    """The state of `work` from its newest runs."""
    records = instance.get_run_records(RunsFilter(tags={WORK: work}), limit=_LOOK_BACK)
    if not records:
        return Attempts()
    if any(not record.dagster_run.is_finished for record in records):
        return Attempts(under_way=True, last_run=records[0].dagster_run.run_id)
    failures = _failed_in_a_row(records)
    ended = max(record.end_time or record.update_timestamp.timestamp() for record in records)
    return Attempts(
        failures=failures,
        rest_until=datetime.fromtimestamp(ended, UTC) + rest_after(failures) if failures else None,
        last_run=records[0].dagster_run.run_id,
    )


def rest_after(failures: int) -> timedelta:
    """How long to wait after that many failures in a row: doubling, at most an hour."""
    doubled: timedelta = FIRST_REST * (1 << min(failures - 1, 16))
    return min(doubled, LONGEST_REST)


def _failed_in_a_row(records: Sequence[RunRecord]) -> int:
    failures = 0
    for record in records:
        if record.dagster_run.status == DagsterRunStatus.SUCCESS:
            break
        failures += 1
    return failures
