"""Which files of the Iceberg history may hold wanted rows: planned by day, bucket and statistics, deletes honoured."""

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, In, LessThan, Reference
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import _read_all_delete_files
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import FileScanTask, Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import StringType, TimestamptzType

from contracts.names import HISTORY_TABLE
from contracts.settings import CATALOG_SCHEMA, RegionSettings
from lake.iceberg.catalog import load_own
from lake.trail.counted_files import Account, CountedIO, KeptFiles
from lake.trail.postgres import Postgres
from lake.trail.sources import SourceFile
from lake.trail.wanted import Wanted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCATION = f"""
    select metadata_location from {CATALOG_SCHEMA}.iceberg_tables
    where catalog_name = %s and table_namespace = %s and table_name = %s
"""  # noqa: S608 - a name of ours


class HistoryTable:
    """history.telemetry as it is now, its metadata read again only where a commit has replaced it.

    Metadata, manifests and their lists are never written twice, so those that were read are kept. Safe to share
    between threads.
    """

    def __init__(self, settings: RegionSettings, store: fs.FileSystem, postgres: Postgres) -> None:
        self._settings, self._store, self._postgres = settings, store, postgres
        self._metadata_files = KeptFiles()
        self._loaded: Table | None = None

    def load(self, account: Account) -> Table | None:
        """The table, whose reads are booked on `account`; None where it was never made."""
        loaded = self._loaded
        if loaded is None or loaded.metadata_location != self._location():
            try:
                loaded = self._loaded = load_own(self._settings, HISTORY_TABLE)
            except NoSuchTableError:
                return None
        table = copy(loaded)
        table.io = CountedIO(self._store, account, loaded.io.properties, self._metadata_files)
        return table

    def _location(self) -> str | None:
        """Where the newest metadata is, as the SQL catalog says; None where only the catalog itself can say."""
        if self._settings.catalog != "sql":
            return None
        row = self._postgres.ask(lambda connection: connection.execute(_LOCATION, self._named()).fetchone())
        return None if row is None else str(row[0])

    def _named(self) -> list[str]:
        namespace, _, name = self._settings.identifier(HISTORY_TABLE).rpartition(".")
        return [self._settings.region, namespace, name]


class HistoryPlan:
    """The data files of one snapshot that may hold wanted rows. A history that was never written to has none.

    Planning reads the manifest list and those manifests whose partitions overlap; buckets and days that cannot hold
    the devices' rows are left out. Columns are found by name: history's columns are never renamed.
    """

    def __init__(self, history: HistoryTable, wanted: Wanted, account: Account) -> None:
        self._account = account
        self._tasks: dict[str, FileScanTask] = {}
        self._deletes_read: set[str] = set()
        self.files: list[SourceFile] = []
        table = history.load(account)
        if table is None:
            return
        self._io: FileIO = table.io
        tasks = table.scan(row_filter=_filter(wanted)).plan_files()
        self._tasks = {task.file.file_path: task for task in tasks}
        narrowed = _Narrowed(table, wanted)
        self.files = [narrowed.source_file(task.file) for task in self._tasks.values()]

    def deleted(self, paths: Iterable[str]) -> Mapping[str, list[pa.ChunkedArray]]:
        """Positions of deleted rows, by data file, where these have any."""
        tasks = [self._tasks[path] for path in paths if path in self._tasks and self._tasks[path].delete_files]
        if not tasks:
            return {}
        for path in {delete.file_path for task in tasks for delete in task.delete_files} - self._deletes_read:
            self._account.opened()
            self._deletes_read.add(path)
        return _read_all_delete_files(self._io, tasks)


class _Narrowed:
    """Says of a data file which of the wanted devices it may hold, by its bucket, and when its records are of."""

    def __init__(self, table: Table, wanted: Wanted) -> None:
        self._specs, self._wanted = table.specs(), wanted
        self._ts_id = table.schema().find_field("ts").field_id
        self._buckets: dict[int, dict[int | None, tuple[str, ...]]] = {}

    def source_file(self, file: DataFile) -> SourceFile:
        first, last = (_time(bounds, self._ts_id) for bounds in (file.lower_bounds, file.upper_bounds))
        return SourceFile(file.file_path, self._devices(file), first, last, file.file_size_in_bytes)

    def _devices(self, file: DataFile) -> tuple[str, ...]:
        for at, field in enumerate(self._spec(file).fields):
            if isinstance(field.transform, BucketTransform):
                return self._in_buckets(field.transform).get(file.partition[at], ())
        return self._wanted.devices

    def _spec(self, file: DataFile) -> PartitionSpec:
        return self._specs[file.spec_id]

    def _in_buckets(self, transform: BucketTransform[Any]) -> dict[int | None, tuple[str, ...]]:
        """The wanted devices by their bucket."""
        count = int(transform.num_buckets)
        if count not in self._buckets:
            bucket_of = transform.transform(StringType())
            found: dict[int | None, tuple[str, ...]] = {}
            for device in self._wanted.devices:
                bucket = bucket_of(device)
                found[bucket] = (*found.get(bucket, ()), device)
            self._buckets[count] = found
        return self._buckets[count]


def _filter(wanted: Wanted) -> BooleanExpression:
    return And(
        In(term=Reference("device_id"), literals=wanted.devices),
        GreaterThanOrEqual(term=Reference("ts"), value=wanted.start.isoformat()),
        LessThan(term=Reference("ts"), value=wanted.end.isoformat()),
    )


def _time(bounds: Mapping[int, bytes] | None, field_id: int) -> datetime | None:
    raw = (bounds or {}).get(field_id)
    return None if raw is None else _EPOCH + timedelta(microseconds=int(from_bytes(TimestamptzType(), raw)))
