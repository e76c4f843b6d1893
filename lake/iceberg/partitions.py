"""What Iceberg's manifests say about days, read with pyiceberg and without Spark."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from pyiceberg.manifest import DataFileContent, ManifestEntry, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

_EPOCH = date(1970, 1, 1)


def rows_by_day(table: Table) -> Counter[date]:
    """Rows of the current snapshot by day: data less position deletes. Empty for a table without a snapshot."""
    rows: Counter[date] = Counter()
    snapshot = table.current_snapshot()
    if snapshot is None:
        return rows
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            sign = 1 if entry.data_file.content == DataFileContent.DATA else -1
            rows[day_of(entry)] += sign * entry.data_file.record_count
    return rows


def total_rows(table: Table) -> int:
    """Rows of the current snapshot, by its own summary: all data records less position deletes."""
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return 0
    counts = snapshot.summary.additional_properties
    return int(counts.get("total-records", 0)) - int(counts.get("total-position-deletes", 0))


def gained_rows(snapshot: Snapshot) -> int:
    """Rows that the table has more after this commit than before it, by the commit's own summary.

    A second update of rows of one data file replaces that file's delete file by one that has the old positions too:
    they count as added, and those of the old file as removed.
    """
    counts = snapshot.summary.additional_properties if snapshot.summary else {}

    def count(name: str) -> int:
        return int(counts.get(name, 0))

    rows = count("added-records") - count("deleted-records")
    return rows - (count("added-position-deletes") - count("removed-position-deletes"))


def changed_days(table: Table, snapshot: Snapshot) -> set[date]:
    """The days of the partitions in which the snapshot itself added or removed a file."""
    return {day_of(entry) for entry in _own_entries(table, snapshot)}


def _own_entries(table: Table, snapshot: Snapshot) -> Iterator[ManifestEntry]:
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            own = entry.snapshot_id in (None, snapshot.snapshot_id)
            if own and entry.status in (ManifestEntryStatus.ADDED, ManifestEntryStatus.DELETED):
                yield entry


def day_of(entry: ManifestEntry) -> date:
    """The first partition field of all our tables is a day: a transform's count of days, or a date."""
    value = entry.data_file.partition[0]
    return value if isinstance(value, date) else _EPOCH + timedelta(days=value)
