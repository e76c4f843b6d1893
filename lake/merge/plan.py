"""Which landing objects go into which commit. Pure."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

ROWS_A_GIB = 2_500_000
"""Rows that one commit may read for each GiB of Spark's memory: it bounds what Spark has to sort."""


class Kind(StrEnum):
    """The two sorts of merge, never mixed in a commit (docs/adr/0021)."""

    ON_TIME = "on_time"
    STRAGGLERS = "stragglers"


class OpenObject(msgspec.Struct, frozen=True):
    """A landing object of which a part is not merged yet. `rows` counts that part alone."""

    key: str
    hour: datetime
    rows: int


class MergePlan(msgspec.Struct, frozen=True):
    """One commit to make."""

    kind: Kind
    objects: list[OpenObject]

    @property
    def keys(self) -> list[str]:
        """The objects' keys in order."""
        return sorted(item.key for item in self.objects)

    @property
    def rows(self) -> int:
        """Rows of this kind that the ledger says there are."""
        return sum(item.rows for item in self.objects)


def plan(kind: Kind, objects: Iterable[OpenObject], most_rows: int) -> list[MergePlan]:
    """As few commits as `most_rows` allows, in order of arrival; an object is never divided."""
    groups: list[list[OpenObject]] = []
    rows = 0
    for item in sorted(objects, key=lambda one: (one.hour, one.key)):
        if not groups or rows + item.rows > most_rows:
            groups.append([])
            rows = 0
        groups[-1].append(item)
        rows += item.rows
    return [MergePlan(kind=kind, objects=group) for group in groups]
