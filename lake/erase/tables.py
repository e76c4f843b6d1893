"""The Iceberg tables: rows deleted, and no snapshot or file left that has them. Adapter of contracts.erasable.

A DELETE writes the files that hold the rows anew (copy-on-write). Rows that a merge had marked as deleted before lie in
data files still, so those days are rewritten. Then every older snapshot expires with its files, manifests are rewritten
(they list the deleted files) and the snapshot before that expires as well. Bounds are not kept in manifests
(lake.iceberg.tables), so they name no device in between.
"""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
from pyarrow import fs
from pyiceberg.expressions import (
    AlwaysFalse,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThan,
    Or,
)
from pyiceberg.table import Table

from contracts.erasable import Counts, Portion, Remains, Scope, total
from contracts.errors import Misuse, SparkJobFailed
from contracts.names import HISTORY_TABLE, MOTION_HOUR_TABLE
from contracts.record import DEVICE_ID_PATTERN
from contracts.settings import LakeSettings
from lake.derive.business_days import inner_days
from lake.erase.objects import groups_that_may_hold
from lake.iceberg.catalog import catalog
from lake.iceberg.tables import specs
from lake.spark.scratch import SCRATCH_KEPT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_READERS = 8
_HOUR = timedelta(hours=1)
_DEVICE_ID = re.compile(DEVICE_ID_PATTERN)
_Bound = date | datetime | None
ORPHANS_AFTER = timedelta(days=3)
"""Maintenance deletes files that no snapshot names once they are so old."""


class IcebergTables:
    """history.telemetry and the tables derived from it.

    session: gives Spark where something has to be deleted; a search and a count need none.
    """

    name = "history"

    def __init__(self, settings: LakeSettings, session: "Callable[[], SparkSession] | None" = None) -> None:
        self._settings = settings
        self._session = session or self._local_session
        self._names = [spec.name for spec in specs(settings)]
        self.stores = tuple(f"iceberg:{name}" for name in self._names)

    def count(self, scope: Scope) -> Counts:
        """Rows of the current snapshots that are meant."""
        found = {}
        for name in self._names:
            table = self._table(name)
            meant = meant_by(scope, name, self._settings.row.zone) if table is not None else AlwaysFalse()
            found[f"iceberg:{name}"] = 0 if table is None else table.scan(meant, selected_fields=("device_id",)).count()
        return found

    def search(self, scope: Scope) -> Counts:
        """Rows of every data file below warehouse/, in a snapshot or not, deleted by position or not."""
        store = fs.S3FileSystem(**self._settings.s3.filesystem_kwargs(self._settings.row.aws_region))
        root = f"{self._settings.bucket}/warehouse"
        listed = store.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        files = [one.path for one in listed if one.path.endswith(".parquet")]
        found: Counter[str] = Counter(dict.fromkeys(self.stores, 0))
        with ThreadPoolExecutor(_READERS, thread_name_prefix="search") as pool:
            for path, rows in zip(files, pool.map(lambda path: rows_in_file(store, path, scope), files), strict=True):
                found[f"iceberg:{_table_of(path, root)}"] += rows
        return found

    def erase(self, scope: Scope) -> Counts:
        """Delete, expire, rewrite. Raises CommitConflict, SparkJobFailed whose text names nobody."""
        before = self.count(scope)
        if not total(before) and not total(self.search(scope)):
            return before
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException

        from lake.erase.job import erase_rows

        try:
            erase_rows(self._session(), self._settings, scope, self._names)
        except (PySparkException, Py4JError) as error:
            # Its text may quote the statement, which names the device.
            raise SparkJobFailed(f"Spark could not erase from history ({type(error).__name__}); run it again") from None
        return before

    def expires(self, now: datetime) -> list[Remains]:
        """Files that a killed commit left are in no snapshot, and maintenance deletes them."""
        why = "a commit under way may own them: fleetlake maintain deletes them once they are three days old"
        scratch = "fleetlake maintain deletes what no run has written to for three days"
        return [
            Remains("data files of commits that were killed", now + ORPHANS_AFTER, why),
            Remains("Spark's scratch of runs that were killed", now + SCRATCH_KEPT, scratch),
        ]

    def _table(self, name: str) -> Table | None:
        tables = catalog(self._settings)
        return tables.load_table(name) if tables.table_exists(name) else None

    def _local_session(self) -> "SparkSession":
        from lake.spark.session import spark_session

        # On AWS too it runs in the command's own process: a job on a cluster would have to be told the names.
        return spark_session(self._settings.model_copy(update={"spark": "local"}))


def rows_in_file(store: fs.FileSystem, path: str, scope: Scope) -> int:
    """Rows of a data file that are of the scope's devices, by the column; of those meant in part, by their times."""
    try:
        with store.open_input_file(path) as source:
            file = pq.ParquetFile(source)
            names = [name for name in ("device_id", "ts") if name in file.schema_arrow.names]
            groups = list(groups_that_may_hold(file, scope.devices))
            if not groups or "device_id" not in names:
                return 0
            rows = file.read_row_groups(groups, columns=names)
    except FileNotFoundError:
        return 0
    if "ts" in names:
        return sum(scope.mask(rows["device_id"], rows["ts"]).to_pylist())
    only_whole = Scope(tuple(portion for portion in scope.portions if portion.whole), None, scope.request_id)
    return sum(only_whole.mask(rows["device_id"]).to_pylist())


def meant_by(scope: Scope, name: str, zone: ZoneInfo) -> BooleanExpression:
    """The rows of a table that are meant. A derived row is where its whole day is; days in part are derived anew."""
    meant: BooleanExpression = In("device_id", scope.whole_devices) if scope.whole_devices else AlwaysFalse()
    for portion in scope.ranges:
        column, _, start, end = _span(portion, name, zone, inner=True)
        own: BooleanExpression = EqualTo("device_id", portion.device_id)  # type: ignore[arg-type]
        if start is not None:
            own = And(own, GreaterThanOrEqual(column, start.isoformat()))  # type: ignore[arg-type]
        if end is not None:
            own = And(own, LessThan(column, end.isoformat()))  # type: ignore[arg-type]
        meant = Or(meant, own)
    return meant


def condition(scope: Scope, name: str, zone: ZoneInfo) -> str:
    """What to delete, as SQL. Ids are of contracts.record.DEVICE_ID_PATTERN, so no quote is among their letters."""
    parts = []
    if scope.whole_devices:
        parts.append(f"device_id in ({', '.join(_quoted(one) for one in scope.whole_devices)})")
    for portion in scope.ranges:
        column, kind, start, end = _span(portion, name, zone, inner=False)
        own = [f"device_id = {_quoted(portion.device_id)}"]
        own += [f"{column} >= {kind} '{_literal(start)}'"] if start is not None else []
        own += [f"{column} < {kind} '{_literal(end)}'"] if end is not None else []
        parts.append(f"({' and '.join(own)})")
    return " or ".join(parts) or "false"


def _quoted(device_id: str) -> str:
    if not _DEVICE_ID.fullmatch(device_id):
        raise Misuse("a device id that is none: 1 to 128 of A-Z a-z 0-9 . _ : -")
    return f"'{device_id}'"


def _span(portion: Portion, name: str, zone: ZoneInfo, *, inner: bool) -> tuple[str, str, _Bound, _Bound]:
    """Column, SQL type, first value, and the value before which it ends. inner: only what lies wholly within."""
    start, end = portion.start, portion.end
    if name == HISTORY_TABLE:
        return "ts", "timestamp", start, end
    if name == MOTION_HOUR_TABLE:
        first, last = (None if one is None else one.replace(minute=0, second=0, microsecond=0) for one in (start, end))
        if start is not None and first is not None and inner and first < start:
            first += _HOUR
        if end is not None and last is not None and not inner and last < end:
            last += _HOUR
        return "hour", "timestamp", first, last
    return "day", "date", *inner_days(start, end, zone)


def _literal(value: date | datetime) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return str(value)


def _table_of(path: str, root: str) -> str:
    """warehouse/history/telemetry/data/... is history.telemetry."""
    return ".".join(path.removeprefix(root + "/").split("/")[:2])
