"""Many stale days in batches, each with a commit of its own."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

ROWS_A_GIB = 10_000_000
"""Rows of history that a batch's days may have for each GiB of the session: shuffles spill, so it is a matter of time
between two commits rather than of memory."""
MOST_DAYS = 64
"""A batch of more days has a plan of more ranges than pays (lake.merge.spans.MOST_SPANS) where they are far apart."""


def in_batches(
    days: Collection[date], rows: Mapping[date, int], most_rows: int, *, first: Collection[date] = ()
) -> list[list[date]]:
    """The days in groups: those of `first` together, then the others from the newest on.

    rows: rows of history by UTC day. A group has at most MOST_DAYS days and `most_rows` rows, but always a day. So a
    storm of late days holds up neither today nor, for long, the next run, and a run that dies keeps what it has done.
    """
    groups = [sorted(set(days).intersection(first))]
    waiting: list[date] = []
    for day in sorted(set(days).difference(first), reverse=True):
        if waiting and (len(waiting) == MOST_DAYS or _rows([*waiting, day], rows) > most_rows):
            groups.append(sorted(waiting))
            waiting = []
        waiting.append(day)
    return [group for group in (*groups, sorted(waiting)) if group]


def _rows(days: Sequence[date], rows: Mapping[date, int]) -> int:
    return sum(rows.get(day, 0) for day in days)
