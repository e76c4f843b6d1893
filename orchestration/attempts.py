"""How earlier runs of a kind of work ended, read from Dagster's run storage: sensors keep no state of their own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from dagster import DagsterInstance, RunRecord, RunsFilter

from orchestration.endings import Ending, Kind, ending_of

WORK = "fleetlake/work"
"""Tag of a run: the kind of work, such as `eu/days`."""
ATTEMPT = "fleetlake/attempt"
"""Tag of a run: the number of consecutive failures before it, plus one."""
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)
FORGIVEN_LOSSES = 3
"""Runs in a row that may end with their process before it is thought to be their own fault, such as their memory."""
LOOK_BACK = 25
"""Runs of a kind of work that are read; they are never removed."""


class Attempts(msgspec.Struct, frozen=True):
    """The latest runs of one kind of work: whether one is in progress, and how many failed in a row."""

    under_way: bool = False
    failures: int = 0
    """Outages of stores, and the first runs that were lost with their process, are not counted."""
    retry_at: datetime | None = None
    last_run: str = "none"
    since: datetime | None = None
    """Since when runs have not done their work; None after a success."""
    outage: bool = False
    """Whether the newest run ended because a store did not answer."""
    reason: str = ""
    """Why the newest run did not do its work; empty after a success."""

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
        """Whether the last failure was so recent that the next attempt has to wait."""
        return self.retry_at is not None and now < self.retry_at

    def backoff_message(self) -> str:
        """How many runs failed in a row, when the next may start, and why; empty where none failed."""
        if self.retry_at is None:
            return ""
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.failures} failed in a row; resting until {self.retry_at:%H:%M:%S} UTC{why}"


def attempts_of(instance: DagsterInstance, work: str) -> Attempts:
    """Read the attempts of `work` from its newest runs."""
    records = instance.get_run_records(RunsFilter(tags={WORK: work}), limit=LOOK_BACK)
    if not records:
        return Attempts()
    last_run = records[0].dagster_run.run_id
    if any(not record.dagster_run.is_finished for record in records):
        return Attempts(under_way=True, last_run=last_run)
    ended = _without_success(instance, records)
    counted = _counted(ended)
    return Attempts(
        failures=len(counted),
        retry_at=_end_of(counted[-1]) + backoff(len(counted)) if counted else None,
        last_run=last_run,
        since=_end_of(ended[0][0]) if ended else None,
        outage=bool(ended) and ended[-1][1].kind is Kind.OUTAGE,
        reason=ended[-1][1].reason if ended else "",
    )


def backoff(failures: int) -> timedelta:
    """Wait time after that many consecutive failures: it doubles, up to an hour."""
    doubled: timedelta = FIRST_BACKOFF * (1 << min(failures - 1, 16))
    return min(doubled, LONGEST_BACKOFF)


def _without_success(instance: DagsterInstance, records: Sequence[RunRecord]) -> list[tuple[RunRecord, Ending]]:
    """The runs since the last success and how they ended, oldest first."""
    found: list[tuple[RunRecord, Ending]] = []
    for record in records:
        ending = ending_of(instance, record)
        if ending.kind is Kind.DONE:
            break
        found.append((record, ending))
    return found[::-1]


def _counted(ended: Sequence[tuple[RunRecord, Ending]]) -> list[RunRecord]:
    """The runs that are failures: waiting cures an outage, and not what such a run did."""
    counted, lost = [], 0
    for record, ending in ended:
        lost += ending.kind is Kind.LOST
        if ending.kind is Kind.FAILED or (ending.kind is Kind.LOST and lost > FORGIVEN_LOSSES):
            counted.append(record)
    return counted


def _end_of(record: RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
