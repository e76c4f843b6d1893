"""A table's snapshots: which are part of it, which were when somebody looked last, and which retention made."""

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

RETENTION = "fleetlake.retention"
"""Snapshot property of a commit of retention: the business day on which what it removed was past its time."""


def lineage(table: Table, since: int | None = None) -> list[Snapshot]:
    """A snapshot (the current one unless `since` names another) and its ancestors, newest first, as far as kept."""
    chain: list[Snapshot] = []
    step = table.current_snapshot() if since is None else table.snapshot_by_id(since)
    while step is not None:
        chain.append(step)
        parent = step.parent_snapshot_id
        step = table.snapshot_by_id(parent) if parent is not None else None
    return chain


def properties_of(snapshot: Snapshot) -> dict[str, str]:
    """The snapshot's own properties and the counts of its summary."""
    return dict(snapshot.summary.additional_properties) if snapshot.summary else {}


def is_retention(snapshot: Snapshot) -> bool:
    """Whether the commit removed rows that were past their time, and changed no other."""
    return RETENTION in properties_of(snapshot)
