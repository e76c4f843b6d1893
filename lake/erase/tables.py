"""The Iceberg tables: rows deleted, and no snapshot or file left that has them. Adapter of contracts.erasable.

A DELETE writes the files that hold the rows anew (copy-on-write). Rows that a merge had marked as deleted before lie in
data files still, so those days are rewritten. Then every older snapshot expires with its files, manifests are rewritten
(they list the deleted files) and the snapshot before that expires as well. Bounds are not kept in manifests
(lake.iceberg.tables), so they name no device in between.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyarrow import fs
from pyiceberg.expressions import (
    AlwaysFalse,
)
from pyiceberg.table import Table

from contracts.erasable import Counts, Remains, Scope, total
from contracts.errors import SparkJobFailed
from contracts.settings import LakeSettings
from lake.erase.meant import meant_by, rows_in_file
from lake.iceberg.catalog import catalog
from lake.iceberg.tables import specs
from lake.spark.scratch import SCRATCH_KEPT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_READERS = 8
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


def _table_of(path: str, root: str) -> str:
    """warehouse/history/telemetry/data/... is history.telemetry."""
    return ".".join(path.removeprefix(root + "/").split("/")[:2])
