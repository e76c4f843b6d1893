"""History's files by UTC event day, as Iceberg's manifests list them, and their rows."""

import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from hashlib import blake2b

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.transforms import DayTransform

from contracts.errors import SchemaMismatch
from contracts.names import HISTORY_TABLE
from contracts.settings import RegionSettings
from reconcile.model import Findings, counted, named
from reconcile.proof import FINGERPRINT_BYTES
from reconcile.stores import listing

_EPOCH = date(1970, 1, 1)
_AT_ONCE = 8
"""Files whose rows may be in memory together."""
FilesByDay = dict[date, dict[bytes, FileScanTask]]
"""By UTC event day: each data file with its delete files, by fingerprint."""


def files_by_day(
    settings: RegionSettings, table: Table | None, findings: Findings, snapshot_id: int | None = None
) -> FilesByDay:
    """The files of a snapshot, the current one where none is given; nothing is read of them.

    R4: they are in the bucket, in the sizes that the manifests have; others are reported and left out. Raises
    SchemaMismatch where the table has files that belong to no day.
    """
    found: FilesByDay = {}
    if table is None or table.current_snapshot() is None:
        return found
    etags = _Etags(settings, table)
    lacking: list[str] = []
    for task in table.scan(snapshot_id=snapshot_id).plan_files():
        odd = [one.file_path for one in _both(task) if etags.of(one) is None]
        lacking += odd
        if not odd:
            found.setdefault(_day_of(table, task), {})[_fingerprint(task, etags)] = task
    if lacking:
        findings.differs(
            "R4",
            f"history lists {counted(len(lacking), 'file')} that the bucket has not, or in another size "
            f"({named(sorted(lacking), most=2)}); restore them from the bucket's versions, or roll history back to a "
            "snapshot before them and clear the marks of the landing objects that were merged since",
        )
    return found


def read_files(table: Table, tasks: Sequence[FileScanTask], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """These columns of the files' rows, deleted ones left out, a few files at a time."""
    projection = table.scan(selected_fields=columns).projection()
    # pyiceberg warns of each batch whose names come as codes, which is what is asked for here.
    logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)
    dictionary = tuple(name for name in columns if name == "device_id")
    scan = ArrowScan(table.metadata, table.io, projection, AlwaysTrue(), dictionary_columns=dictionary)
    for start in range(0, len(tasks), _AT_ONCE):
        yield from scan.to_record_batches(tasks[start : start + _AT_ONCE])


class _Etags:
    """The ETags of the table's files, by one listing of the bucket."""

    def __init__(self, settings: RegionSettings, table: Table) -> None:
        bucket, _, prefix = table.location().partition("://")[2].partition("/")
        self._below = f"{table.location()}/"
        self._listed = listing(settings, bucket, f"{prefix}/")

    def of(self, file: DataFile) -> str | None:
        """None where the bucket has no such file; nothing is known of files outside the table's location."""
        if not file.file_path.startswith(self._below):
            return ""
        listed = self._listed.get(file.file_path.partition("://")[2].partition("/")[2])
        return listed.etag if listed and listed.size == file.file_size_in_bytes else None


def _both(task: FileScanTask) -> list[DataFile]:
    return [task.file, *task.delete_files]


def _day_of(table: Table, task: FileScanTask) -> date:
    for at, field in enumerate(table.specs()[task.file.spec_id].fields):
        if isinstance(field.transform, DayTransform):
            value = task.file.partition[at]
            return value if isinstance(value, date) else _EPOCH + timedelta(days=value)
    raise SchemaMismatch(
        f"{HISTORY_TABLE} has the file {task.file.file_path} that belongs to no day: its partition spec has no day of "
        "ts; give the table the partition spec of lake/iceberg/tables.py and rewrite that file"
    )


def _fingerprint(task: FileScanTask, etags: _Etags) -> bytes:
    parts = [f"{one.file_path}\0{one.file_size_in_bytes}\0{one.record_count}\0{etags.of(one)}" for one in _both(task)]
    return blake2b("\n".join([parts[0], *sorted(parts[1:])]).encode(), digest_size=FINGERPRINT_BYTES).digest()
