"""How the tables are kept: files, sizes, deletes, snapshots and metadata, read from manifests without Spark."""

from collections import defaultdict
from datetime import date

import msgspec
from pyiceberg.manifest import DataFileContent, ManifestEntry
from pyiceberg.table import Table

from lake.iceberg.partitions import day_of

SMALL_BYTES = 16 * 2**20
"""A data file below this is small: a reader pays for opening it."""


class DayFiles(msgspec.Struct):
    """The files of one day of a table, in one snapshot."""

    day: date
    files: int = 0
    rows: int = 0
    bytes: int = 0
    delete_files: int = 0
    partitions: set[tuple[int, str]] = msgspec.field(default_factory=set)
    """Partition spec and partition of each data file."""
    old_spec: bool = False
    """Whether a file is in a partition layout that the table has left."""

    @property
    def surplus(self) -> int:
        """Data files beyond one a partition."""
        return self.files - len(self.partitions)


class TableHealth(msgspec.Struct, frozen=True):
    """One table at one moment. Sizes in bytes."""

    table: str
    rows: int
    files: int
    bytes: int
    small_files: int
    delete_files: int
    manifests: int
    snapshots: int
    metadata_bytes: int
    largest_day_rows: int
    """Rows of its largest day: beside the mean it tells the skew."""
    days: int


def files_by_day(table: Table) -> list[DayFiles]:
    """The files of each day of the current snapshot, in order of days. Deletes count for the day that they are in."""
    days: dict[date, DayFiles] = {}
    for entry in _entries(table):
        day = day_of(table, entry)
        found = days.setdefault(day, DayFiles(day))
        if entry.data_file.content != DataFileContent.DATA:
            found.delete_files += 1
            found.rows -= entry.data_file.record_count
            continue
        found.files += 1
        found.rows += entry.data_file.record_count
        found.bytes += entry.data_file.file_size_in_bytes
        found.partitions.add((entry.data_file.spec_id, repr(entry.data_file.partition)))
        found.old_spec |= entry.data_file.spec_id != table.spec().spec_id
    return [days[day] for day in sorted(days)]


def table_health(table: Table, name: str) -> TableHealth:
    """The table's figures now."""
    snapshot = table.current_snapshot()
    counts: defaultdict[str, int] = defaultdict(int)
    for entry in _entries(table):
        data = entry.data_file.content == DataFileContent.DATA
        counts["files" if data else "delete_files"] += 1
        counts["bytes"] += entry.data_file.file_size_in_bytes
        counts["small_files"] += data and entry.data_file.file_size_in_bytes < SMALL_BYTES
        counts["rows"] += entry.data_file.record_count * (1 if data else -1)
    by_day = [day.rows for day in files_by_day(table)]
    return TableHealth(
        table=name,
        rows=counts["rows"],
        files=counts["files"],
        bytes=counts["bytes"],
        small_files=counts["small_files"],
        delete_files=counts["delete_files"],
        manifests=len(snapshot.manifests(table.io)) if snapshot else 0,
        snapshots=len(table.metadata.snapshots),
        metadata_bytes=len(table.io.new_input(table.metadata_location)),
        largest_day_rows=max(by_day, default=0),
        days=len(by_day),
    )


def _entries(table: Table) -> list[ManifestEntry]:
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    return [entry for one in manifests for entry in one.fetch_manifest_entry(table.io, discard_deleted=True)]
