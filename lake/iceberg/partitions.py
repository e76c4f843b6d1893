"""What Iceberg's manifests say about days, read with pyiceberg and without Spark."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFileContent, ManifestEntry, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.transforms import HourTransform
from pyiceberg.types import NestedField, PrimitiveType

_EPOCH = date(1970, 1, 1)
_START = datetime(1970, 1, 1, tzinfo=UTC)


def rows_by_day(table: Table) -> Counter[date]:
    """Rows of the current snapshot by day: data less position deletes. Empty for a table without a snapshot."""
    snapshot = table.current_snapshot()
    return Counter() if snapshot is None else rows_by_day_of(table, snapshot)


def rows_by_day_of(table: Table, snapshot: Snapshot) -> Counter[date]:
    """The same of any snapshot that is kept."""
    rows: Counter[date] = Counter()
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            sign = 1 if entry.data_file.content == DataFileContent.DATA else -1
            rows[day_of(table, entry)] += sign * entry.data_file.record_count
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


def changed_spans(table: Table, snapshot: Snapshot, column: str) -> set[tuple[datetime, datetime]]:
    """The least and the greatest time in each data file that the snapshot itself added or removed, both inclusive.

    column: the timestamp that the first partition field is a day of. A file without bounds has its whole day, and so
    has a partition of which the snapshot only marked rows as deleted: their times are not in the manifest.
    """
    field = table.schema().find_field(column)
    spans: set[tuple[datetime, datetime]] = set()
    marked, with_data = set(), set()
    for entry in _own_entries(table, snapshot):
        place = (
            day_of(table, entry),
            tuple(entry.data_file.partition[at] for at in range(len(entry.data_file.partition))),
        )
        if entry.data_file.content != DataFileContent.DATA:
            marked.add(place)
            continue
        with_data.add(place)
        spans.add(_bounds(entry, field) or _whole(place[0]))
    return spans | {_whole(day) for day, _ in marked - with_data}


def _bounds(entry: ManifestEntry, field: NestedField) -> tuple[datetime, datetime] | None:
    low = (entry.data_file.lower_bounds or {}).get(field.field_id)
    high = (entry.data_file.upper_bounds or {}).get(field.field_id)
    if low is None or high is None or not isinstance(field.field_type, PrimitiveType):
        return None
    first, last = (int(from_bytes(field.field_type, bound)) for bound in (low, high))
    return _START + timedelta(microseconds=first), _START + timedelta(microseconds=last)


def _whole(day: date) -> tuple[datetime, datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1) - timedelta(microseconds=1)


def _own_entries(table: Table, snapshot: Snapshot) -> Iterator[ManifestEntry]:
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            own = entry.snapshot_id in (None, snapshot.snapshot_id)
            if own and entry.status in (ManifestEntryStatus.ADDED, ManifestEntryStatus.DELETED):
                yield entry


def day_of(table: Table, entry: ManifestEntry) -> date:
    """The day of a file: the first partition field of all our tables is a date, or a transform's days or hours."""
    value = entry.data_file.partition[0]
    if isinstance(value, date):
        return value
    hourly = isinstance(table.specs()[entry.data_file.spec_id].fields[0].transform, HourTransform)
    return _EPOCH + timedelta(days=value // 24 if hourly else value)
